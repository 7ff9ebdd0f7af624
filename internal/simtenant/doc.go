// Package simtenant stands in for Microsoft: one http.Handler with Entra's
// sign-in page and token endpoints, the audit collections of Graph, the Office
// 365 Management Activity API and a key vault of one tenant that does not
// exist. It speaks the wire as it is, with its limits, its errors and its
// oddities, and can be told to fail in every way that the real services were
// seen to fail in.
//
// Behind the wire lies a history: records made from a seed (a company, its
// workdays, a few attacks) or records of a file. The package knows the truth
// about what it published, so that a test can compare.
//
// It must not know anything of the program that reads it: no type of ours, no
// setting but the names of those that Env and VaultEnv list, and of what it
// does only what a directory knows of an application that is registered in it:
// its name, its scope and its app roles.
package simtenant

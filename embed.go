// Package aoc holds the files that the Functions host reads, for the small host
// of `aoc local`: go:embed cannot look up from the package that needs them. It
// knows nothing else.
package aoc

import "embed"

// Functions is the script root as the repository keeps it: host.json, and
// functions/<name>/function.json for each function.
//
//go:embed host.json functions
var Functions embed.FS

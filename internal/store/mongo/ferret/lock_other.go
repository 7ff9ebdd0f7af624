//go:build !unix

package ferret

// lock does nothing where there is no flock: two that build at once both do.
func lock(string) (unlock func(), _ error) { return func() {}, nil }

package audit

import "slices"

// Scope is what a caller may see. Its zero value sees nothing, so that a read
// path that forgets it shows nothing rather than all.
type Scope struct {
	granted            bool
	services, operates []string
}

// Everything is the scope of callers who may see all events.
func Everything() Scope { return Scope{granted: true} }

// Except is the scope of callers from whom events of these services or these
// operations are hidden; values are compared exactly.
func Except(services, operations []string) Scope {
	return Scope{granted: true, services: slices.Clone(services), operates: slices.Clone(operations)}
}

// Nothing reports whether the scope sees no event at all.
func (s Scope) Nothing() bool { return !s.granted }

// Hidden returns the services and operations that stores must leave out.
func (s Scope) Hidden() (services, operations []string) { return s.services, s.operates }

// Sees reports whether an event of this service and operation is shown.
func (s Scope) Sees(service, operation string) bool {
	return s.granted && !slices.Contains(s.services, service) && !slices.Contains(s.operates, operation)
}

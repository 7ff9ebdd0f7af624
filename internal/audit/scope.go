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
// operations are hidden. Neither case nor the dot at an operation's end counts:
// a setting's spelling must not decide whether something leaks.
func Except(services, operations []string) Scope {
	operations = slices.Clone(operations)
	for i, o := range operations {
		operations[i] = OperationName(o)
	}
	return Scope{granted: true, services: folded(services), operates: folded(operations)}
}

func folded(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = Fold(v)
	}
	return out
}

// Nothing reports whether the scope sees no event at all.
func (s Scope) Nothing() bool { return !s.granted }

// Whole reports whether the scope sees every event. Sums over all that is
// stored, such as the ledger's, are for such callers only.
func (s Scope) Whole() bool { return s.granted && len(s.services)+len(s.operates) == 0 }

// Hidden returns the services and operations that stores must leave out, folded
// as Event.Keys is.
func (s Scope) Hidden() (services, operations []string) { return s.services, s.operates }

// Sees reports whether an event of this service and operation is shown.
func (s Scope) Sees(service, operation string) bool {
	return s.granted && !slices.Contains(s.services, Fold(service)) && !slices.Contains(s.operates, Fold(operation))
}

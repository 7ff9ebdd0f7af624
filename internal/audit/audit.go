// Package audit says what the things of AOC are: a record, an event, a query,
// a window of the ledger, a job. It holds their identity and their rules, does
// no I/O, imports nothing but the standard library, and may be imported by all.
// It knows neither where records come from nor how they are stored.
package audit

import "errors"

// The few kinds of error that callers tell apart. Everything else is an
// internal error: logged once where it surfaces, never shown to a caller.
var (
	// ErrNotFound says that the thing asked for is not there, or not for this caller.
	ErrNotFound = errors.New("not found")
	// ErrInvalid says that the caller's input is wrong; its text is for the caller.
	ErrInvalid = errors.New("invalid")
	// ErrBusy says that another holds what was asked for; trying later may succeed.
	ErrBusy = errors.New("busy")
	// ErrFenced says that a newer holder has taken over and this write came too late.
	ErrFenced = errors.New("fenced off by a newer holder")
)

// InvalidError is bad input that names its field. It matches ErrInvalid.
type InvalidError struct {
	Field string // the parameter or property, as the caller wrote it
	Want  string // what was expected, and what came
}

// Error reads "start: expected an RFC 3339 time, got …".
func (e *InvalidError) Error() string { return e.Field + ": " + e.Want }

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Invalid returns an InvalidError for a field and what was expected of it.
func Invalid(field, want string) error { return &InvalidError{Field: field, Want: want} }

package audit

import "time"

// Act is something that was done to or with AOC itself. It becomes a record of
// the feed AOC, and is kept and searched like all others.
type Act struct {
	ID        string    // acts with one id are one; see ActID
	Time      time.Time // UTC
	Operation string    // "Search events", "Sign in", …
	By        Principal
	IP        string // "" where it is not known
	UserAgent string
	Targets   []Target
	Details   []Change // what was asked for: a query, a span, a job's options; New holds the value
	Result    Result
	Reason    string // why it was refused or failed, for people
	RequestID string // as the answer told it
}

// ActID names an act by what makes two of them one. Repeated searches of one
// caller within a slot of time share an id, so that a page that looks every
// half a minute is noted once.
func ActID(parts ...string) string { return hash(append([]string{"act"}, parts...)...) }

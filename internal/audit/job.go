package audit

import "time"

// JobState is how far a job has come.
type JobState string

// The states of a job.
const (
	JobRunning JobState = "running"
	JobDone    JobState = "done"
)

// Job is work that somebody asked for and may follow. A backfill is rows of
// the ledger; its job remembers which, and what they had counted before.
type Job struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`         // "backfill"
	By        string    `json:"by,omitempty"` // who asked, see Principal.Key; "" is AOC itself
	State     JobState  `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	DoneAt    time.Time `json:"done_at,omitzero"`
	Hours     int       `json:"hours"` // as asked and clamped
	Spans     []Span    `json:"spans"`
	Progress  Progress  `json:"progress"`
	Before    Counts    `json:"before"` // the windows' counts when it was made

	Options  JobOptions `json:"options"`
	Position int64      `json:"position,omitempty"` // how far it has come in insertion order
	After    string     `json:"after,omitempty"`    // how far it has come by id, where its kind goes by that
	Queries  []JobQuery `json:"queries,omitempty"`  // of a purview job
	Error    string     `json:"error,omitempty"`    // the last failure, in words; it is tried again
	Notes    []string   `json:"notes,omitempty"`    // what it could not do or prove, for people
}

// JobOptions is what was asked of a job besides its kind.
type JobOptions struct {
	Since  time.Time `json:"since,omitzero"`  // only events at or after it
	Limit  int       `json:"limit,omitempty"` // events at most; 0: no limit
	DryRun bool      `json:"dry_run,omitempty"`
}

// Span is the part of a job that one feed can still reach.
type Span struct {
	Source Source    `json:"source"`
	Start  time.Time `json:"start"` // a whole hour
	End    time.Time `json:"end"`   // a whole hour, exclusive
	Note   string    `json:"note,omitempty"`
}

// Progress is how much of a job is done.
type Progress struct {
	Windows int `json:"windows"` // of the ledger, in all
	Done    int `json:"done"`    // run well since the job was made, or known to be lost
	Failing int `json:"failing"` // tried since, failed, and to be tried again
	Scanned int `json:"scanned"` // events looked at, for jobs over what is stored
	Changed int `json:"changed"` // of them changed, or with a dry run that would be
	Counts
}

// JobQuery is one audit log query of a purview job.
type JobQuery struct {
	ID      string    `json:"id"` // "" until it was submitted
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	State   string    `json:"state"`             // waiting, running, read, failed, divided
	Records int       `json:"records"`           // of the reading that gave most
	Note    string    `json:"note,omitempty"`    // what it could not prove
	Tries   int       `json:"tries,omitempty"`   // submissions that failed
	Asked   time.Time `json:"asked_at,omitzero"` // the last submission
}

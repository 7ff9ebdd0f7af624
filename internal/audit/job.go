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
	Kind      string    `json:"kind"` // "backfill"
	State     JobState  `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	DoneAt    time.Time `json:"done_at,omitzero"`
	Hours     int       `json:"hours"` // as asked and clamped
	Spans     []Span    `json:"spans"`
	Progress  Progress  `json:"progress"`
	Before    Counts    `json:"before"` // the windows' counts when it was made
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
	Counts
}

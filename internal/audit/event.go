package audit

import (
	"encoding/json"
	"time"
)

// Record is one audit record as its feed handed it on: the bytes untouched.
type Record struct {
	Source   Source
	TenantID string
	Blob     string          // the content id or page that it came in, for people who trace it
	Raw      json.RawMessage // as it came
}

// Event is what AOC makes of a record, one shape for all feeds. Empty fields
// are those that the record does not say.
type Event struct {
	ID            string    `json:"id"`                       // see NewID
	RecordID      string    `json:"record_id"`                // the source's own id, "" where it has none
	TenantID      string    `json:"tenant_id"`                // lower-case GUID
	Source        Source    `json:"source"`                   // the feed
	Service       string    `json:"service"`                  // what people call it
	Operation     string    `json:"operation"`                // as the source names it, without trailing dots and spaces
	Category      string    `json:"category"`                 // a label of mappings.yml, else the source's own
	RecordType    int       `json:"record_type,omitempty"`    // Management API's RecordType, known or not
	Time          time.Time `json:"time"`                     // UTC, in steps of 100 ns
	Actor         Actor     `json:"actor"`                    // who
	Targets       []Target  `json:"targets"`                  // to what
	Changes       []Change  `json:"changes"`                  // what was changed
	Context       Context   `json:"context"`                  // from where, with what
	Result        Result    `json:"result"`                   // how it ended
	Summary       string    `json:"summary"`                  // one sentence for people
	CorrelationID string    `json:"correlation_id,omitempty"` // what ties records of one act together
	Redactions    []string  `json:"redactions,omitempty"`     // JSON Pointers (RFC 6901) of the secrets cut out of the raw bytes
	Tags          []string  `json:"tags,omitempty"`           // set by people
}

// Actor is who did it: a person, an app or the service itself.
type Actor struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	UPN  string `json:"upn,omitempty"`
	Type string `json:"type,omitempty"` // user, admin, guest, app, system
	IP   string `json:"ip,omitempty"`   // without a port
	App  string `json:"app,omitempty"`  // the app it was done with, or that did it
}

// Target is one thing that it was done to.
type Target struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"` // as the source names it, or "file", "mailbox", "site", …
}

// Change is one property that was changed, or one parameter that was given.
type Change struct {
	Name string `json:"name"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// Context is from where and with what it was done, as far as the feed says.
type Context struct {
	SessionID  string `json:"session_id,omitempty"`
	UserAgent  string `json:"user_agent,omitempty"`
	DeviceID   string `json:"device_id,omitempty"`
	DeviceName string `json:"device_name,omitempty"`
	AppID      string `json:"app_id,omitempty"`
	AppName    string `json:"app_name,omitempty"`
	Country    string `json:"country,omitempty"`
	City       string `json:"city,omitempty"`
	ErrorCode  string `json:"error_code,omitempty"`
}

// Result is how an act ended.
type Result string

// The results.
const (
	Success Result = "success"
	Failure Result = "failure"
	Partial Result = "partial"
	Unknown Result = "unknown"
)

// Results lists all results, for validation and filters.
func Results() []Result { return []Result{Success, Failure, Partial, Unknown} }

// Raw is a record's evidence: its bytes as stored, secrets cut out, and their hash.
type Raw struct {
	Bytes  []byte // as it came, less what Event.Redactions names
	SHA256 string // of Bytes, lower-case hex
}

// Stored is what a store keeps of one record.
type Stored struct {
	Event  Event
	Raw    Raw
	Tokens []string // see Tokenize; the search index
}

// Inserted counts what became of a batch: new records and those known already.
// Their sum is the batch's length.
type Inserted struct{ New, Known int }

// Sequenced is an event with its place in insertion order.
type Sequenced struct {
	Seq   int64
	Event Event
}

// Facet is one combination of values that stored events have. A store keeps
// each once, so that filter options cost no scan and privacy holds for them too.
type Facet struct {
	Service, Operation, Category string
	Source                       Source
	Result                       Result
}

// Facet returns the event's own combination.
func (e *Event) Facet() Facet {
	return Facet{Service: e.Service, Operation: e.Operation, Category: e.Category, Source: e.Source, Result: e.Result}
}

// Quarantined is a record that could not be made an event. It costs exactly
// itself and waits for a better normaliser.
type Quarantined struct {
	ID       string    `json:"id"` // hash of feed and bytes: the same bad record is kept once
	TenantID string    `json:"tenant_id"`
	Source   Source    `json:"source"`
	Blob     string    `json:"blob,omitempty"`
	Reason   string    `json:"reason"` // for people; holds nothing of the record's values
	At       time.Time `json:"at"`     // when it was set aside
	Raw      []byte    `json:"-"`      // nil where the bytes may hold secrets that could not be cut out
}

// Identity is what a directory says of an id.
type Identity struct {
	Name string
	UPN  string // users only
	Type string // user, group, servicePrincipal, device
}

// KnownName is what a directory said of an id, and how long that is believed.
// A miss is kept too, so that it is not asked for again and again.
type KnownName struct {
	Identity Identity
	Found    bool
	Until    time.Time
}

package audit

import "time"

// Instance is what one running process tells of itself. Under the Functions
// host the API shares no memory with those that plan and collect, so what its
// metrics say of them comes through the store.
type Instance struct {
	ID       string
	Started  time.Time
	At       time.Time // when it last told
	Version  string
	Limiters []LimiterStats
}

// LimiterStats is what a limiter of calls to an API did since its process began.
type LimiterStats struct {
	Name      string
	Calls     int64         // that were let begin
	Waited    time.Duration // of all callers together
	Throttles int64         // refusals that it was told of
	Share     float64       // of its bound that it uses now, above 0 and at most 1
	Alone     bool          // it is not shared, or Redis is out of reach
}

package limit

import "time"

// How a limiter adapts; limit.lua gets the same numbers.
const (
	fullShare   = 16              // a bound is lowered and raised by sixteenths
	riseAfter   = time.Minute     // of quiet, for each sixteenth
	forgetAfter = 5 * time.Minute // a lone refusal among so much quiet lowers nothing
	minQuiet    = time.Second     // after a refusal that asks for none
	maxQuiet    = 24 * time.Hour
)

// pace is how fast a limiter goes: not at all until a moment, and then with a
// share of its bound. Its zero value has never been refused.
type pace struct {
	closed  time.Time // no call before it
	since   time.Time // the share rises from here on
	lowered int       // sixteenths that the share lacked then
}

// lacks returns the sixteenths that are missing at the moment now.
func (p *pace) lacks(now time.Time) int {
	if p.lowered == 0 || !now.After(p.since) {
		return p.lowered
	}
	return max(0, p.lowered-int(now.Sub(p.since)/riseAfter))
}

// bound returns how many of n calls are allowed at the moment now, at least 1.
func (p *pace) bound(now time.Time, n int) int {
	return max(1, n*(fullShare-p.lacks(now))/fullShare)
}

// throttled takes note of a refusal, and says whether it asks for more quiet
// than is kept already.
func (p *pace) throttled(now time.Time, quiet time.Duration) bool {
	lacks := p.lacks(now)
	// Calls that were on their way together are refused together: those that
	// come back while it is closed count as one.
	if !now.Before(p.closed) && (lacks > 0 || now.Sub(p.closed) < forgetAfter) {
		lacks = fullShare - max(1, (fullShare-lacks)/2)
	}
	p.lowered = lacks
	longer := p.hold(now.Add(quiet))
	p.since = p.closed
	return longer
}

// hold closes until a moment, and says whether that is longer than before.
func (p *pace) hold(until time.Time) bool {
	if !until.After(p.closed) {
		return false
	}
	p.closed = until
	return true
}

func boundedQuiet(quiet time.Duration) time.Duration {
	return min(max(quiet, minQuiet), maxQuiet)
}

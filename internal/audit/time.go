package audit

import "time"

// TickLength is the step of event time: sources give seven fractional digits.
const TickLength = 100 * time.Nanosecond

// Ticks is a moment as stores keep it: steps of 100 ns since 1970, UTC.
// BSON dates keep only milliseconds and would reorder events.
type Ticks int64

// TicksOf returns t in ticks, what is below a tick cut off. It is right for
// the years 1 to 9999.
func TicksOf(t time.Time) Ticks {
	return Ticks(t.Unix()*int64(time.Second/TickLength) + int64(t.Nanosecond())/int64(TickLength))
}

// Time returns the moment in UTC.
func (t Ticks) Time() time.Time {
	const perSecond = int64(time.Second / TickLength)
	sec, rest := int64(t)/perSecond, int64(t)%perSecond
	return time.Unix(sec, rest*int64(TickLength)).UTC()
}

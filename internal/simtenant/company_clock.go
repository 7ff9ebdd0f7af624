package simtenant

import (
	"math/rand/v2"
	"time"
)

// local returns t on the company's clock. The European rule is written out
// because a machine without a time zone database must make the same tenant.
func local(t time.Time) time.Time {
	t = t.UTC()
	offset := time.Hour
	if !t.Before(lastSunday(t.Year(), time.March)) && t.Before(lastSunday(t.Year(), time.October)) {
		offset = 2 * time.Hour
	}
	return t.Add(offset)
}

// lastSunday is the moment at which clocks change in a month.
func lastSunday(year int, month time.Month) time.Time {
	last := time.Date(year, month+1, 0, 1, 0, 0, 0, time.UTC)
	return last.AddDate(0, 0, -int(last.Weekday()))
}

// onClock returns the moment at which the company's clock shows so much after
// midnight, days away from the day of t.
func onClock(t time.Time, days int, after time.Duration) time.Time {
	wall := local(t)
	midnight := time.Date(wall.Year(), wall.Month(), wall.Day()+days, 0, 0, 0, 0, time.UTC).Add(after)
	return midnight.Add(-local(midnight.Add(-time.Hour)).Sub(midnight.Add(-time.Hour)))
}

// workday is the share of a workday's records in each hour of the local day:
// lunch is a dip, the evening thins out, the night is nearly empty.
var workday = [24]float64{
	.0015, .001, .001, .001, .001, .002, .010, .045, .104, .118, .118, .103,
	.050, .085, .110, .100, .075, .035, .015, .009, .007, .005, .003, .0015,
}

const weekendShare = 0.06

// share returns what part of a workday's records falls into the hour at t.
func share(t time.Time) float64 {
	wall := local(t)
	s := workday[wall.Hour()]
	if day := wall.Weekday(); day == time.Saturday || day == time.Sunday {
		// Nobody starts at eight on a Sunday: half of it is flat.
		return weekendShare * (s + 1.0/24) / 2
	}
	return s
}

// presence is where somebody is on a day, and the session that their sign-ins,
// mail and files of that day share.
type presence struct {
	away    bool
	office  bool
	ip      string
	session string
	place   place
}

func (c *company) presence(p *person, t time.Time) presence {
	day := uint64(local(t).Unix() / 86400)
	rng := rand.NewPCG(c.seed^day, hash64(p.id))
	roll := rng.Uint64()
	out := presence{session: uuid(rng.Uint64(), rng.Uint64()), ip: p.home, place: p.city}
	out.away = roll%14 == 0
	if weekday := local(t).Weekday(); weekday != time.Saturday && weekday != time.Sunday && roll>>8%5 < 3 {
		out.office, out.ip, out.place = true, officeIP, headOffice
		if roll>>16%6 == 0 {
			out.ip = officeIPv6 + string(hexDigits[roll>>20&15]) + string(hexDigits[roll>>24&15])
		}
	}
	return out
}

// hash64 is FNV-1a, written out because it must never change with a library.
func hash64(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// onCall returns who of IT answers at night in the week of t.
func (c *company) onCall(t time.Time) *person {
	rota := [...]int{globalAdmin, exchangeAdmin, analyst, endpointAdmin}
	return c.staff[rota[(local(t).Unix()/86400+3)/7%int64(len(rota))]]
}

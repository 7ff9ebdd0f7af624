package normalize

import (
	"errors"
	"time"

	"aoc/internal/audit"
)

var (
	errNoTime  = errors.New("the record says no time")
	errBadTime = errors.New("the record's time cannot be read")
	errYear    = errors.New("the record's time lies outside the years 1990 to 2200")
)

// layouts are the forms of time that feeds use; Go reads a fraction of any
// length after the seconds without being told. CreationTime of the Management
// API is documented as UTC and has no zone; Azure Monitor's exports and SIEMs
// write a space, and Intune's export has the American form.
var layouts = [...]string{
	"2006-01-02T15:04:05",
	"2006-01-02T15:04:05Z07:00",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05 Z07:00",
	"1/2/2006 3:04:05 PM",
	"1/2/2006 15:04:05",
	"1/2/2006 3:04:05 PM Z07:00",
	"1/2/2006 15:04:05 Z07:00",
}

// parseTime reads a time that a feed wrote, in UTC and steps of 100 ns. A time
// without zone is UTC. It never guesses: what it cannot read is an error.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, errNoTime
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if t = t.UTC(); t.Year() < 1990 || t.Year() > 2200 {
			return time.Time{}, errYear
		}
		return audit.TicksOf(t).Time(), nil
	}
	return time.Time{}, errBadTime
}

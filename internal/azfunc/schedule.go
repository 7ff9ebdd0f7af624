package azfunc

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// bothDays is the bit by which robfig/cron marks a field that held a star. Where
// neither of the two day fields has it, cron fires when either matches; NCRONTAB
// wants both (https://github.com/atifaziz/NCrontab), so one always gets it.
const bothDays = 1 << 63

// parseSchedule reads an NCRONTAB expression: six fields, seconds first, in UTC
// as Azure runs them. Five fields start at minutes, as in the host.
func parseSchedule(text string) (cron.Schedule, error) {
	if strings.ContainsAny(text, "?@=%") {
		return nil, fmt.Errorf("expected an NCRONTAB expression, got %q", text)
	}
	parser := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	parsed, err := parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("expected an NCRONTAB expression, got %q: %w", text, err)
	}
	schedule, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("expected an NCRONTAB expression, got %q", text)
	}
	schedule.Location = time.UTC
	schedule.Dow |= bothDays
	if schedule.Next(time.Now()).IsZero() {
		return nil, errors.New("this schedule never fires")
	}
	return schedule, nil
}

// underMinute says whether a schedule fires more often than once a minute: then
// the host keeps no status of it, and sends none.
func underMinute(s cron.Schedule, now time.Time) bool {
	at := s.Next(now)
	for range 5 {
		next := s.Next(at)
		if next.Sub(at) < time.Minute && !next.IsZero() {
			return true
		}
		at = next
	}
	return false
}

package azfunc

import (
	"context"
	"time"
)

// wireTime is how the host writes times in envelopes.
const wireTime = "2006-01-02T15:04:05-07:00"

// timerStatus is a timer's schedule status; a zero time is never.
type timerStatus struct{ last, next, updated time.Time }

func firstStatus(f *Function, now time.Time) timerStatus {
	return timerStatus{next: f.schedule.Next(now)}
}

// runTimer fires one timer by its schedule. The next time is reckoned from when a
// firing began, and waited for when it is done: a timer never overlaps itself, and
// one that overran its next time fires again at once. A failed invocation waits
// for the next time like any other.
func (h *Host) runTimer(ctx context.Context, f *Function) {
	status := firstStatus(f, time.Now().UTC())
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(status.next)):
		}
		began := time.Now().UTC()
		if began.Before(status.next) {
			began = status.next // a clock that runs ahead must not fire one time twice
		}
		if err := h.fire(ctx, f, status); err != nil && ctx.Err() == nil {
			h.log.ErrorContext(ctx, "timer failed", "function", f.Name, "error", err)
		}
		status = timerStatus{last: began, next: f.schedule.Next(began), updated: began}
	}
}

// fire sends a timer's envelope.
func (h *Host) fire(ctx context.Context, f *Function, status timerStatus) error {
	timer := map[string]any{
		"Schedule":       map[string]any{"AdjustForDST": true},
		"ScheduleStatus": nil,
		"IsPastDue":      false,
	}
	if f.useMonitor && !underMinute(f.schedule, time.Now().UTC()) {
		timer["ScheduleStatus"] = map[string]any{
			"Last":        status.last.Format(wireTime),
			"Next":        status.next.Format(wireTime),
			"LastUpdated": status.updated.Format(wireTime),
		}
	}
	out, err := h.invoke(ctx, f, map[string]any{f.Binding: timer}, map[string]any{})
	if err != nil {
		return err
	}
	return h.deliver(f, out)
}

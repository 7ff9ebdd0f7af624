package simtenant

import "time"

// Wire chooses between what Microsoft documents and what was seen on the
// wire. The zero value is the documentation, except where a field says so.
type Wire struct {
	// StartEnabledFails answers a start of an enabled subscription that changes
	// nothing with 400 AF20024. Documented: 200.
	StartEnabledFails bool
	// LongExpiration keeps blobs for 20 days. Documented: 7.
	LongExpiration bool
	// ThrottleForbidden throttles the Management API with 403. Documented: 429.
	ThrottleForbidden bool
	// NoRetryAfter leaves the header out of throttled answers, as Graph's
	// reports often do.
	NoRetryAfter bool
	// ReportsThrottleBody is the body that the audit logs were seen to answer
	// 429 with (code UnknownError). Documented: TooManyRequests.
	ReportsThrottleBody bool
	// FirstContentDelay is the time from the first start of a content type
	// until content is listed. Documented: up to 12 h; seen: about 2 min.
	FirstContentDelay time.Duration
	// Backfill is how much content from before the first start is listed. Zero:
	// all that is kept. Seen: about 22 h.
	Backfill time.Duration
	// ExactLookback refuses a start more than 7 days back to the second.
	// Otherwise one hour more is let pass, as seen.
	ExactLookback bool
	// LongWindowPartial answers a window of more than 24 h with its first 24 h.
	// Documented: AF20055.
	LongWindowPartial bool
	// DefaultFromMidnight lists today since 00:00 UTC when no window is given,
	// as the troubleshooting guide has it. The reference: the last 24 h.
	DefaultFromMidnight bool
	// OldNextPage writes /api/v1/ instead of /api/v1.0/ into NextPageUri, as
	// the reference's example does.
	OldNextPage bool
}

// SetWire replaces the choices while the tenant runs.
func (t *Tenant) SetWire(w Wire) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wire = w
}

func (t *Tenant) onWire() Wire {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wire
}

// expires is when a blob of the Management API is gone.
func (w Wire) expires(created time.Time) time.Time {
	if w.LongExpiration {
		return created.Add(20 * 24 * time.Hour)
	}
	return created.Add(7 * 24 * time.Hour)
}

func (w Wire) lookback() time.Duration {
	if w.ExactLookback {
		return 7 * 24 * time.Hour
	}
	return 7*24*time.Hour + time.Hour
}

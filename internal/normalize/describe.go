package normalize

import (
	"slices"

	"aoc/internal/audit"
)

// Describe makes an event's summary, category label and tokens, and nothing
// else of it. It depends on the event, its raw bytes and the mappings alone, so
// it is run again when names were filled in or the mappings changed. Without
// raw bytes the label is made of the category that the event has.
func (n *Normalizer) Describe(s *audit.Stored) {
	own := s.Event.Category
	if len(s.Raw.Bytes) > 0 {
		if again, ok := ownCategory(s); ok {
			own = again
		}
	}
	n.describe(s, own)
}

// ownCategory reads what the source calls the record's category; the event has
// the label, from which it cannot be told.
func ownCategory(s *audit.Stored) (string, bool) {
	d := desks.Get().(*desk)
	defer d.release()
	if err := d.tape.read(s.Raw.Bytes); err != nil {
		return "", false
	}
	again := d.open(&audit.Event{TenantID: s.Event.TenantID, Source: s.Event.Source})
	if err := again.read(); err != nil {
		return "", false
	}
	return clip(again.event.Category, maxName), true
}

func (n *Normalizer) describe(s *audit.Stored, ownCategory string) {
	e, m := &s.Event, n.mappings
	r := m.ruleFor(e)
	e.Category = m.label(r, ownCategory, e)
	e.Summary = m.summary(r, e)
	s.Tokens = tokensOf(e)
}

// summary tells the event in a sentence. A failure without words of its own is
// told by the fallback's, for the rule's sentence would say that it was done.
func (m *Mappings) summary(r rule, e *audit.Event) string {
	t := r.summary
	if e.Result == audit.Failure {
		t = r.failure
		if t == nil {
			t = m.fallback.failure
		}
	}
	if t == nil {
		t = m.fallback.summary
	}
	s := t.fill(e, m)
	if s == "" {
		s = e.Operation
	}
	if e.Result == audit.Partial {
		s += " (in part)"
	}
	return s
}

// tokensOf makes the search index of an event. Tokens are bounded, so what
// people search for most comes first.
func tokensOf(e *audit.Event) []string {
	a, c := &e.Actor, &e.Context
	texts := make([]string, 0, 24+2*len(e.Targets)+3*len(e.Changes))
	texts = append(texts, e.Summary, e.Operation, a.UPN, a.Name, a.IP, a.ID)
	for _, t := range e.Targets {
		texts = append(texts, t.Name)
	}
	texts = append(texts, e.RecordID, e.CorrelationID, c.AppName, a.App, c.DeviceName, c.SessionID, c.AppID, c.DeviceID,
		c.ErrorCode, c.Country, c.City, e.Service, e.Category, string(e.Result))
	for _, t := range e.Targets {
		texts = append(texts, t.ID)
	}
	for _, ch := range e.Changes {
		texts = append(texts, ch.Name, ch.New, ch.Old)
	}
	return audit.Tokenize(withoutRepeats(append(texts, c.UserAgent))...)
}

// withoutRepeats drops empty texts and those that were said before: a sign-in
// name is actor, mailbox and target at once.
func withoutRepeats(texts []string) []string {
	kept := texts[:0]
	for _, s := range texts {
		if s != "" && !slices.Contains(kept[:min(len(kept), maxTargets)], s) {
			kept = append(kept, s)
		}
	}
	return kept
}

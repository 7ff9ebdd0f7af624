package storetest

import (
	"fmt"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

// testPages walks answers to their end while more events are stored: what was
// there at the start comes exactly once, in order, and nothing comes twice.
func testPages(t *testing.T, e Engine) {
	b := newBed(t, e)
	next := e.size(600, 150)
	all := append(b.seed(t, 0, next), crowd(t, b, next/2)...)
	queries := []audit.Query{
		{Limit: 37},
		{Limit: 7, Filters: []audit.Filter{{Field: audit.FieldService, Values: []string{"teams", "intune"}}}},
		{Limit: 10, Terms: []string{"crowd"}},
		{Limit: 11, Terms: []string{"contoso"}, Filters: []audit.Filter{{Field: audit.FieldResult, Values: []string{"success"}}}},
		{Limit: 1, Filters: []audit.Filter{{Field: audit.FieldActor, Values: []string{all[0].Event.Actor.UPN}}}},
	}
	for _, q := range queries {
		q.Scope = audit.Everything()
		whole := q
		whole.Limit = len(all)
		want := ids(answer(whole, all).Events)
		require.Greater(t, len(want), q.Limit)
		seen := map[string]bool{}
		var was *audit.Position
		for {
			page := search(t, b, q)
			for _, event := range page.Events {
				p := audit.PositionOf(&event)
				require.True(t, was == nil || compare(p, *was) < 0, "out of order or twice")
				was, seen[event.ID] = &p, true
			}
			if page.Next == nil {
				break
			}
			q.After = page.Next
			all = append(all, b.seed(t, next, next+2)...)
			next += 2
		}
		for _, id := range want {
			require.True(t, seen[id], "%s was skipped", id)
		}
	}
}

// crowd stores events at the tick of the i-th event and the ticks beside it.
func crowd(t *testing.T, b *bed, i int) []audit.Stored {
	var batch []audit.Stored
	at := Event(i).Event.Time
	for n := range 90 {
		e := Event(n).Event
		e.RecordID = fmt.Sprintf("crowd-%d", n)
		e.Time = at.Add(time.Duration(n%3-1) * audit.TickLength)
		batch = append(batch, stored(e, []byte(`"Crowd":true`)))
	}
	insert(t, b, batch, len(batch), 0)
	return batch
}

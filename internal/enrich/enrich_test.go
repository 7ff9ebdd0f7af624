package enrich

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

// directory knows everybody whose id ends with an even digit.
type directory struct {
	asked [][]string
	down  error
}

func (d *directory) Names(_ context.Context, ids []string) (map[string]audit.Identity, error) {
	d.asked = append(d.asked, ids)
	if d.down != nil {
		return nil, d.down
	}
	found := map[string]audit.Identity{}
	for _, id := range ids {
		if (id[35]-'0')%2 == 0 {
			found[id] = audit.Identity{Name: "Name " + id[30:], UPN: id[30:] + "@x.example", Type: "user"}
		}
	}
	return found, nil
}

// shelf is a cache in memory.
type shelf struct {
	kept map[string]audit.KnownName
	down error
}

func (s *shelf) KnownNames(_ context.Context, ids []string, now time.Time) (map[string]audit.KnownName, error) {
	known := map[string]audit.KnownName{}
	for _, id := range ids {
		if got, ok := s.kept[id]; ok && !now.After(got.Until) {
			known[id] = got
		}
	}
	return known, s.down
}

func (s *shelf) KeepNames(_ context.Context, names map[string]audit.KnownName) error {
	maps.Copy(s.kept, names)
	return s.down
}

func guid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func batch(ids ...string) []audit.Stored {
	var b []audit.Stored
	for _, id := range ids {
		b = append(b, audit.Stored{Event: audit.Event{Actor: audit.Actor{ID: id}, Targets: []audit.Target{{ID: id}}}})
	}
	return b
}

func TestFill(t *testing.T) {
	d := &directory{}
	e := New(d)
	b := batch(guid(2), guid(3), guid(2), "alice@x.example", "")
	b[0].Event.Targets = append(b[0].Event.Targets, audit.Target{ID: guid(4), Name: "as it was then", Type: "group"})
	require.NoError(t, e.Fill(t.Context(), b))
	require.Equal(t, [][]string{{guid(2), guid(3)}}, d.asked, "one call for a batch, and never for what is no directory id or has a name")
	require.Equal(t, audit.Actor{ID: guid(2), Name: "Name 000002", UPN: "000002@x.example"}, b[0].Event.Actor)
	require.Equal(t, []audit.Target{{ID: guid(2), Name: "Name 000002", Type: "user"}, {ID: guid(4), Name: "as it was then", Type: "group"}}, b[0].Event.Targets)
	require.Empty(t, b[1].Event.Actor.Name)
	require.Equal(t, b[0].Event.Actor, b[2].Event.Actor)

	require.NoError(t, e.Fill(t.Context(), batch(guid(2), guid(3))))
	require.Len(t, d.asked, 1, "hits and misses are remembered")
}

func TestManyIDsAreAskedInParts(t *testing.T) {
	d := &directory{}
	var ids []string
	for i := range 2500 {
		ids = append(ids, guid(i))
	}
	require.NoError(t, New(d).Fill(t.Context(), batch(ids...)))
	require.Len(t, d.asked, 3)
	for _, part := range d.asked {
		require.LessOrEqual(t, len(part), 1000)
	}
}

func TestAnswersAreBelievedForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &directory{}
		e := New(d)
		fill := func() int {
			require.NoError(t, e.Fill(t.Context(), batch(guid(2), guid(3))))
			return len(d.asked)
		}
		require.Equal(t, 1, fill())
		time.Sleep(unknown + time.Second)
		require.Equal(t, 2, fill())
		require.Equal(t, []string{guid(3)}, d.asked[1], "a new object may have come")
		time.Sleep(known)
		require.Equal(t, 3, fill())
		require.Len(t, d.asked[2], 2)
	})
}

func TestADirectoryThatIsDown(t *testing.T) {
	d := &directory{down: errors.New("503")}
	e := New(d)
	b := batch(guid(2))
	require.ErrorContains(t, e.Fill(t.Context(), b), "look up names: 503")
	require.Equal(t, guid(2), b[0].Event.Actor.ID, "the event goes on without")
	d.down = nil
	require.NoError(t, e.Fill(t.Context(), b))
	require.Equal(t, "Name 000002", b[0].Event.Actor.Name)
}

func TestCaches(t *testing.T) {
	d := &directory{}
	near, far := &shelf{kept: map[string]audit.KnownName{}}, &shelf{kept: map[string]audit.KnownName{}}
	require.NoError(t, New(d, near, far).Fill(t.Context(), batch(guid(2), guid(3))))
	require.Len(t, near.kept, 2, "misses too")
	require.Len(t, far.kept, 2)

	b := batch(guid(2), guid(3))
	require.NoError(t, New(d, near, far).Fill(t.Context(), b), "another instance")
	require.Len(t, d.asked, 1)
	require.Equal(t, "Name 000002", b[0].Event.Actor.Name)

	near.down = errors.New("connection refused")
	b = batch(guid(2), guid(4))
	require.ErrorContains(t, New(d, near, far).Fill(t.Context(), b), "connection refused")
	require.Equal(t, "Name 000002", b[0].Event.Actor.Name, "a cache that is down is passed over")
	require.Equal(t, "Name 000004", b[1].Event.Actor.Name)
	require.Equal(t, []string{guid(4)}, d.asked[1])
}

func TestIsObjectID(t *testing.T) {
	for id, want := range map[string]bool{
		guid(1): true, "8E2F1C3A-0000-4000-8000-00000000000A": true, "": false, "alice@contoso.com": false,
		"8e2f1c3a000040008000000000000000000a": false, "8e2f1c3a-0000-4000-8000-00000000000g": false,
	} {
		require.Equal(t, want, isObjectID(id), id)
	}
}

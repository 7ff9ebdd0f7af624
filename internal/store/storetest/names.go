package storetest

import (
	"fmt"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testNames(t *testing.T, e Engine) {
	b := newBed(t, e)
	now := b.clock.Now()
	known := func(s Store, want map[string]audit.KnownName, at time.Time, ids ...string) {
		t.Helper()
		names, err := s.KnownNames(t.Context(), ids, at)
		require.NoError(t, err)
		require.Equal(t, want, names)
	}
	keep := func(s Store, names map[string]audit.KnownName) {
		t.Helper()
		require.NoError(t, s.KeepNames(t.Context(), names))
	}
	none := map[string]audit.KnownName{}
	known(b, none, now)
	known(b, none, now, "a", "b")
	keep(b, nil)

	user := audit.KnownName{Identity: audit.Identity{Name: `Élodie "Müller"`, UPN: "elodie@contoso.example", Type: "user"}, Found: true, Until: now.Add(time.Hour)}
	app := audit.KnownName{Identity: audit.Identity{Name: "Backup $app", Type: "servicePrincipal"}, Found: true, Until: now.Add(2 * time.Hour)}
	miss := audit.KnownName{Until: now.Add(audit.TickLength)}
	keep(b, map[string]audit.KnownName{"user": user, "$app.x": app, "miss": miss})
	other := b.again()
	known(other, map[string]audit.KnownName{"user": user, "miss": miss}, now, "miss", "nobody", "user", "miss")
	known(other, map[string]audit.KnownName{"user": user, "$app.x": app}, miss.Until, "user", "$app.x", "miss")
	known(b, none, now, "USER", "use", "")

	renamed := user
	renamed.Identity.Name, renamed.Until = "Élodie Durand", now.Add(3*time.Hour)
	keep(other, map[string]audit.KnownName{"user": renamed, "miss": app, "new": miss})
	known(b, map[string]audit.KnownName{"user": renamed, "miss": app, "new": miss}, now, "user", "miss", "new")
	keep(b, map[string]audit.KnownName{"user": {Until: renamed.Until}})
	known(b, map[string]audit.KnownName{"user": {Until: renamed.Until}}, now, "user")

	many, ids := map[string]audit.KnownName{}, []string{}
	for n := range e.size(2500, 250) {
		id := fmt.Sprintf("id-%d", n)
		ids = append(ids, id)
		many[id] = audit.KnownName{Identity: audit.Identity{Name: id, Type: "group"}, Found: true, Until: user.Until}
	}
	keep(b, many)
	known(b, many, now, ids...)
}

package simtenant

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCompanyHasNoTwoOfAnything(t *testing.T) {
	c := newCompany(9, 5000)
	require.Len(t, c.staff, 5000)
	seen := map[string]bool{}
	for _, p := range c.staff {
		for _, v := range []string{p.id, p.upn, p.puid, p.sid, p.mailbox, p.device.id, p.drive.url} {
			require.NotEmpty(t, v)
			require.False(t, seen[v], v)
			seen[v] = true
		}
	}
}

func TestTheCastIsTheSameInEveryTenant(t *testing.T) {
	for _, seed := range []uint64{0, 1, 99} {
		h := newHistory(seed, testEpoch, 1) // more people than that have a part
		require.Equal(t, "halden.example", h.domain())
		admin := h.company.staff[globalAdmin]
		require.Equal(t, "Marit Halvorsen", admin.name)
		require.Equal(t, "marit.halvorsen@halden.example", admin.upn)
		require.Equal(t, []string{"Global Administrator"}, admin.roles)
		require.Empty(t, h.company.staff[marketer].roles)
	}
}

func TestObjectsAreKnownByID(t *testing.T) {
	h := newHistory(9, testEpoch, 40)
	c := h.company
	for _, want := range []struct{ id, kind, field, value string }{
		{c.staff[engineer].id, "user", "userPrincipalName", "pavel.novotny@halden.example"},
		{c.staff[engineer].device.id, "device", "deviceId", c.staff[engineer].device.deviceID},
		{c.groups[0].id, "group", "displayName", c.groups[0].name},
		{c.app("Microsoft Graph").id, "servicePrincipal", "appId", "00000003-0000-0000-c000-000000000000"},
		{c.app("Docu Sync Pro").id, "servicePrincipal", "displayName", "Docu Sync Pro"},
	} {
		kind, body, ok := h.object(want.id)
		require.True(t, ok)
		require.Equal(t, want.kind, kind)
		require.Equal(t, want.id, body["id"])
		require.Equal(t, want.value, body[want.field])
	}
	_, _, ok := h.object("00000000-0000-0000-0000-000000000000")
	require.False(t, ok)
}

func TestLocalTime(t *testing.T) {
	for utc, want := range map[string]string{
		"2026-01-15T12:00:00Z": "13:00",
		"2026-03-29T00:59:59Z": "01:59",
		"2026-03-29T01:00:00Z": "03:00",
		"2026-07-01T12:00:00Z": "14:00",
		"2026-10-25T00:59:59Z": "02:59",
		"2026-10-25T01:00:00Z": "02:00",
		"2026-12-31T23:30:00Z": "00:30",
	} {
		at, err := time.Parse(time.RFC3339, utc)
		require.NoError(t, err)
		require.Equal(t, want, local(at).Format("15:04"), utc)
	}
}

func TestOnClock(t *testing.T) {
	for day := range 400 {
		epoch := time.Date(2026, 1, 1, 22, 45, 0, 0, time.UTC).AddDate(0, 0, day)
		for _, hour := range []int{0, 5, 9, 18, 23} {
			at := local(onClock(epoch, -2, time.Duration(hour)*time.Hour))
			require.Equal(t, hour, at.Hour(), epoch)
			require.Equal(t, local(epoch).AddDate(0, 0, -2).YearDay(), at.YearDay(), epoch)
		}
	}
}

func TestPresenceLastsTheDay(t *testing.T) {
	c := newCompany(9, 40)
	p := c.staff[3]
	morning := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	require.Equal(t, c.presence(p, morning), c.presence(p, morning.Add(10*time.Hour)))
	require.NotEqual(t, c.presence(p, morning).session, c.presence(p, morning.Add(24*time.Hour)).session)
	sunday := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for _, p := range c.staff {
		require.False(t, c.presence(p, sunday).office)
	}
}

func TestOnCallChangesWeekly(t *testing.T) {
	c := newCompany(9, 40)
	monday := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	first := c.onCall(monday)
	require.Same(t, first, c.onCall(monday.Add(6*24*time.Hour)))
	require.NotSame(t, first, c.onCall(monday.Add(7*24*time.Hour)))
}

package source

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"aoc/internal/audit"
	"aoc/internal/simtenant"

	"github.com/stretchr/testify/require"
)

func TestTheClockIsComparedWithMicrosofts(t *testing.T) {
	tests := map[string]struct {
		ahead time.Duration // of Microsoft's clock
		state audit.CheckState
		found string
	}{
		"right":       {0, audit.CheckOK, "agrees with Microsoft's"},
		"half a min":  {30 * time.Second, audit.CheckOK, "agrees"},
		"behind":      {2 * time.Minute, audit.CheckWarning, "clock is 2m"},
		"ahead":       {-2 * time.Minute, audit.CheckWarning, "ahead of Microsoft's"},
		"far behind":  {6 * time.Minute, audit.CheckFailed, "behind Microsoft's"},
		"a day ahead": {-24 * time.Hour, audit.CheckFailed, "clock is 24h0m"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tenant, err := simtenant.New(simtenant.Options{Seed: 7, People: 10})
			require.NoError(t, err)
			srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(tt.ahead).UTC().Format(http.TimeFormat))
				tenant.ServeHTTP(w, r)
			}))
			t.Cleanup(srv.Close)
			got := of(t, simulated(t, tenant, srv.URL, srv.Client().Transport).Check(t.Context()), "Clock")
			require.Equal(t, tt.state, got.State, got)
			require.Contains(t, got.Found, tt.found)
			require.Equal(t, tt.state != audit.CheckOK, got.Advice != "")
		})
	}
}

func TestTheClockWithoutADateIsBoundByTheToken(t *testing.T) {
	tests := map[string]struct {
		set   map[string]any
		state audit.CheckState
		found string
	}{
		"fits":         {nil, audit.CheckOK, "No answer told the exact time"},
		"not yet made": {map[string]any{"iat": time.Now().Unix() + 120}, audit.CheckWarning, "at least"},
		"gone already": {map[string]any{"exp": time.Now().Unix() - 3600}, audit.CheckFailed, "ahead of"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := of(t, checkWith(t, &given{tokens: []string{token(tt.set)}}, answer(200, `{"value":[]}`)), "Clock")
			require.Equal(t, tt.state, got.State, got)
			require.Contains(t, got.Found, tt.found)
		})
	}
}

package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"aoc/internal/audit"
)

// pingTime bounds the look at the database: health is asked often and by
// things that wait for little.
const pingTime = 2 * time.Second

func (a *API) features(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	p := audit.PrincipalOf(r.Context())
	features := a.Features
	features.Sources = filled(features.Sources)
	return writeJSON(w, http.StatusOK, featuresAnswer{Features: features, Admin: p.Admin, Restricted: !p.Scope.Whole()})
}

// featuresAnswer is what this AOC has, and what of it is for the caller.
type featuresAnswer struct {
	Features
	Admin      bool `json:"admin" jsonschema:"The caller may start jobs and change things."`
	Restricted bool `json:"restricted" jsonschema:"Some services are hidden from the caller."`
}

// signIn tells a page how people sign in, before anybody has.
func (a *API) signIn(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	signIn := a.SignIn
	signIn.Scopes = filled(signIn.Scopes)
	return writeJSON(w, http.StatusOK, signIn)
}

func (a *API) version(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, a.Version)
}

// health answers 200 while the program lives; the body tells of the database.
func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, aliveAnswer{"ok", a.pulse.look(r.Context(), a), a.Version.Version})
}

// pulse remembers the last look at the database: the route is open.
type pulse struct {
	mu   sync.Mutex
	at   time.Time
	last string
}

func (p *pulse) look(ctx context.Context, a *API) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.at.IsZero() && time.Since(p.at) < readyFresh {
		return p.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTime)
	defer cancel()
	p.last = "ok"
	if err := a.Ledger.Ping(ctx); err != nil {
		a.Log.WarnContext(ctx, "the database cannot be reached", "error", err)
		p.last = "unreachable"
	}
	p.at = time.Now()
	return p.last
}

type aliveAnswer struct {
	Status   string `json:"status" jsonschema:"ok: an answer is sign of life enough."`
	Database string `json:"database" jsonschema:"ok or unreachable."`
	Version  string `json:"version" jsonschema:"The release."`
}

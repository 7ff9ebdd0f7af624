package api

import (
	"context"
	"net/http"
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
	database := a.pulse.get(readyFresh, func() string { return a.databaseNow(r.Context()) })
	return writeJSON(w, http.StatusOK, aliveAnswer{"ok", database, a.Version.Version})
}

// databaseNow looks at the database, as readyNow does.
func (a *API) databaseNow(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTime)
	defer cancel()
	return a.stateOf(ctx, Dependency{Name: "database", Check: func(ctx context.Context) (string, error) { return "ok", a.Ledger.Ping(ctx) }})
}

type aliveAnswer struct {
	Status   string `json:"status" jsonschema:"ok: an answer is sign of life enough."`
	Database string `json:"database" jsonschema:"ok or unreachable."`
	Version  string `json:"version" jsonschema:"The release."`
}

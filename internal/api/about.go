package api

import (
	"context"
	"net/http"
	"time"
)

// pingTime bounds the look at the database: health is asked often and by
// things that wait for little.
const pingTime = 2 * time.Second

func (a *API) features(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, a.Features)
}

func (a *API) version(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, a.Version)
}

// health answers 200 while the program lives; the body tells of the database.
func (a *API) health(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pingTime)
	defer cancel()
	database := "ok"
	if err := a.Ledger.Ping(ctx); err != nil {
		a.Log.WarnContext(ctx, "the database cannot be reached", "error", err)
		database = "unreachable"
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "database": database, "version": a.Version.Version})
}

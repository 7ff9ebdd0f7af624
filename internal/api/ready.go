package api

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// readyFresh is how long a look at the dependencies is good for: the route is
// open, and nobody must be able to hammer a database through it.
const readyFresh = 2 * time.Second

// Dependency is something without which requests cannot be answered. Check says
// in a word how it does, such as "ok", "unreachable", "unused".
type Dependency struct {
	Name     string
	Required bool // AOC is not ready while its state is neither ok nor unused
	Check    func(ctx context.Context) (state string, err error)
}

type readyAnswer struct {
	Status       string            `json:"status" jsonschema:"ready or not ready."`
	Dependencies map[string]string `json:"dependencies" jsonschema:"By name, in a word, such as ok, unused, late or unreachable."`
}

// readiness remembers the last look.
type readiness struct {
	mu   sync.Mutex
	at   time.Time
	last readyAnswer
}

// ready answers 200 when requests can be answered, else 503. It tells words,
// never addresses or errors.
func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	answer := a.readiness.look(r.Context(), a)
	status := http.StatusOK
	if answer.Status != "ready" {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, answer)
}

func (s *readiness) look(ctx context.Context, a *API) readyAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() && time.Since(s.at) < readyFresh {
		return s.last
	}
	// The look outlives a caller who hangs up: others wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTime)
	defer cancel()
	states := make([]string, len(a.Dependencies))
	var looks sync.WaitGroup
	for i, d := range a.Dependencies {
		looks.Go(func() { states[i] = a.stateOf(ctx, d) })
	}
	looks.Wait()
	s.last = readyAnswer{Status: "ready", Dependencies: map[string]string{}}
	for i, d := range a.Dependencies {
		s.last.Dependencies[d.Name] = states[i]
		if d.Required && states[i] != "ok" && states[i] != "unused" {
			s.last.Status = "not ready"
		}
	}
	s.at = time.Now()
	return s.last
}

func (a *API) stateOf(ctx context.Context, d Dependency) string {
	state, err := d.Check(ctx)
	if err != nil {
		a.Log.WarnContext(ctx, "a dependency is not well", "dependency", d.Name, "error", err)
		return "unreachable"
	}
	return state
}

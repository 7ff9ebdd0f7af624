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

// kept is what a look found, for as long as that is good: many who ask at once
// wait for one look.
type kept[T any] struct {
	mu    sync.Mutex
	at    time.Time // of the last look; zero: there was none
	found T
}

func (k *kept[T]) get(fresh time.Duration, look func() T) T {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at.IsZero() || time.Since(k.at) >= fresh {
		k.found, k.at = look(), time.Now()
	}
	return k.found
}

// ready answers 200 when requests can be answered, else 503. It tells words,
// never addresses or errors.
func (a *API) ready(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	answer := a.readiness.get(readyFresh, func() readyAnswer { return a.readyNow(r.Context()) })
	status := http.StatusOK
	if answer.Status != "ready" {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, answer)
}

// readyNow looks. It outlives a caller who hangs up: others wait for it.
func (a *API) readyNow(ctx context.Context) readyAnswer {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTime)
	defer cancel()
	states := make([]string, len(a.Dependencies))
	var looks sync.WaitGroup
	for i, d := range a.Dependencies {
		looks.Go(func() { states[i] = a.stateOf(ctx, d) })
	}
	looks.Wait()
	answer := readyAnswer{Status: "ready", Dependencies: map[string]string{}}
	for i, d := range a.Dependencies {
		answer.Dependencies[d.Name] = states[i]
		if d.Required && states[i] != "ok" && states[i] != "unused" {
			answer.Status = "not ready"
		}
	}
	return answer
}

func (a *API) stateOf(ctx context.Context, d Dependency) string {
	state, err := d.Check(ctx)
	if err != nil {
		a.Log.WarnContext(ctx, "a dependency is not well", "dependency", d.Name, "error", err)
		return "unreachable"
	}
	return state
}

// Package enrich puts names beside the ids of events. It asks a directory in
// batches through a cache and never once per event; where the directory is
// down, events go on without names. It knows no directory, only how to ask one.
package enrich

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"aoc/internal/audit"
)

// Directory looks ids up. Ids that it does not know are absent from its answer.
type Directory interface {
	Names(ctx context.Context, ids []string) (map[string]audit.Identity, error)
}

// Cache keeps answers where other instances and later starts find them.
type Cache interface {
	// KnownNames returns what is kept of ids and still to be believed at the moment now.
	KnownNames(ctx context.Context, ids []string, now time.Time) (map[string]audit.KnownName, error)
	// KeepNames adds or overwrites.
	KeepNames(ctx context.Context, names map[string]audit.KnownName) error
}

// How long an answer is believed, and how many are kept.
const (
	known   = 24 * time.Hour
	unknown = time.Hour // new objects take a while to appear, so a no is asked again sooner
	maxKept = 100_000
	maxIDs  = 1000 // of one look-up: getByIds takes no more
)

// Enricher fills names in. It is safe for concurrent use.
type Enricher struct {
	directory Directory
	caches    []Cache

	mu   sync.Mutex
	kept map[string]audit.KnownName
}

// New returns an Enricher over a directory, with caches that are asked in their
// order before it; a memory of its own comes first.
func New(directory Directory, caches ...Cache) *Enricher {
	return &Enricher{directory: directory, caches: caches, kept: make(map[string]audit.KnownName)}
}

// Fill puts names to the actors and targets of a batch that have an id and no
// name. What cannot be looked up stays as it is; the error says so and the
// batch is good all the same.
func (e *Enricher) Fill(ctx context.Context, batch []audit.Stored) error {
	names, err := e.lookUp(ctx, nameless(batch))
	for i := range batch {
		fill(&batch[i].Event, names)
	}
	if err != nil {
		return fmt.Errorf("look up names: %w", err)
	}
	return nil
}

// nameless lists the directory ids of a batch that have no name, each once.
func nameless(batch []audit.Stored) []string {
	var ids []string
	add := func(id, name string) {
		if name == "" && isObjectID(id) {
			ids = append(ids, id)
		}
	}
	for i := range batch {
		ev := &batch[i].Event
		add(ev.Actor.ID, ev.Actor.Name)
		for _, t := range ev.Targets {
			add(t.ID, t.Name)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func fill(ev *audit.Event, names map[string]audit.Identity) {
	if who, ok := names[ev.Actor.ID]; ok && ev.Actor.Name == "" {
		ev.Actor.Name = who.Name
		if ev.Actor.UPN == "" {
			ev.Actor.UPN = who.UPN
		}
	}
	for i := range ev.Targets {
		if what, ok := names[ev.Targets[i].ID]; ok && ev.Targets[i].Name == "" {
			ev.Targets[i].Name = what.Name
			if ev.Targets[i].Type == "" {
				ev.Targets[i].Type = what.Type
			}
		}
	}
}

// lookUp returns the names of ids: from memory, from the caches, and of what
// is left from the directory. A cache that fails is passed over.
func (e *Enricher) lookUp(ctx context.Context, ids []string) (map[string]audit.Identity, error) {
	names, now := make(map[string]audit.Identity, len(ids)), time.Now()
	missing := take(names, ids, e.remembered(ids, now))
	var errs []error
	for _, cache := range e.caches {
		if len(missing) == 0 {
			return names, errors.Join(errs...)
		}
		known, err := cache.KnownNames(ctx, missing, now)
		if err != nil {
			errs = append(errs, fmt.Errorf("cache: %w", err))
			continue
		}
		e.remember(known)
		missing = take(names, missing, known)
	}
	for part := range slices.Chunk(missing, maxIDs) {
		found, err := e.directory.Names(ctx, part)
		if err != nil {
			return names, errors.Join(append(errs, err)...)
		}
		answers := answersOf(part, found, now)
		take(names, part, answers)
		e.remember(answers)
		for _, cache := range e.caches {
			if err := cache.KeepNames(ctx, answers); err != nil {
				errs = append(errs, fmt.Errorf("cache: %w", err))
			}
		}
	}
	return names, errors.Join(errs...)
}

// take moves what is known of ids into names and returns the ids of which
// nothing is.
func take(names map[string]audit.Identity, ids []string, known map[string]audit.KnownName) (missing []string) {
	for _, id := range ids {
		switch got, ok := known[id]; {
		case !ok:
			missing = append(missing, id)
		case got.Found:
			names[id] = got.Identity
		}
	}
	return missing
}

// answersOf is a directory's answer with its misses.
func answersOf(asked []string, found map[string]audit.Identity, now time.Time) map[string]audit.KnownName {
	answers := make(map[string]audit.KnownName, len(asked))
	for _, id := range asked {
		identity, ok := found[id]
		until := now.Add(unknown)
		if ok {
			until = now.Add(known)
		}
		answers[id] = audit.KnownName{Identity: identity, Found: ok, Until: until}
	}
	return answers
}

func (e *Enricher) remembered(ids []string, now time.Time) map[string]audit.KnownName {
	e.mu.Lock()
	defer e.mu.Unlock()
	known := make(map[string]audit.KnownName, len(ids))
	for _, id := range ids {
		if got, ok := e.kept[id]; ok && !now.After(got.Until) {
			known[id] = got
		}
	}
	return known
}

func (e *Enricher) remember(answers map[string]audit.KnownName) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.kept)+len(answers) > maxKept {
		clear(e.kept) // rare, and cheaper than remembering who was used last
	}
	maps.Copy(e.kept, answers)
}

// isObjectID reports whether id has the form of a directory object's id, a
// GUID; anything else would spoil the whole look-up.
func isObjectID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (id[i] == '-') || !dash && !isHex(id[i]) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

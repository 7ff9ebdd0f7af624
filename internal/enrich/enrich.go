// Package enrich puts names beside the ids of events. It asks a directory in
// batches through a cache and never once per event; where the directory is
// down, events go on without names. It knows no directory, only how to ask one.
package enrich

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"aoc/internal/audit"
)

// Directory looks ids up. Ids that it does not know are absent from its answer.
type Directory interface {
	Names(ctx context.Context, ids []string) (map[string]audit.Identity, error)
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

	mu   sync.Mutex
	kept map[string]entry
}

type entry struct {
	identity audit.Identity
	found    bool
	until    time.Time
}

// New returns an Enricher over a directory.
func New(directory Directory) *Enricher {
	return &Enricher{directory: directory, kept: make(map[string]entry)}
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

// lookUp returns the names of ids, from the cache first.
func (e *Enricher) lookUp(ctx context.Context, ids []string) (map[string]audit.Identity, error) {
	names, missing := e.cached(ids)
	for part := range slices.Chunk(missing, maxIDs) {
		found, err := e.directory.Names(ctx, part)
		if err != nil {
			return names, err
		}
		e.keep(part, found)
		for id, identity := range found {
			names[id] = identity
		}
	}
	return names, nil
}

func (e *Enricher) cached(ids []string) (names map[string]audit.Identity, missing []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	names = make(map[string]audit.Identity, len(ids))
	now := time.Now()
	for _, id := range ids {
		switch got, ok := e.kept[id]; {
		case !ok || now.After(got.until):
			missing = append(missing, id)
		case got.found:
			names[id] = got.identity
		}
	}
	return names, missing
}

func (e *Enricher) keep(asked []string, found map[string]audit.Identity) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.kept)+len(asked) > maxKept {
		clear(e.kept) // rare, and cheaper than remembering who was used last
	}
	now := time.Now()
	for _, id := range asked {
		identity, ok := found[id]
		until := now.Add(unknown)
		if ok {
			until = now.Add(known)
		}
		e.kept[id] = entry{identity: identity, found: ok, until: until}
	}
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

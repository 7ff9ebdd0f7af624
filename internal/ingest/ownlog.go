package ingest

import (
	"bytes"
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"aoc/internal/audit"
	"aoc/internal/normalize"
)

// Bounds of one act of AOC's own log, and of what is remembered of it.
const (
	maxDetails   = 50
	maxOwnTexts  = 512     // bytes of a name, an id, a reason
	maxOwnValue  = 2 << 10 // bytes of a detail's value
	maxNoted     = 4096    // acts that are remembered as stored
	noteDeadline = 2 * time.Second
)

// Inserter is where acts become durable.
type Inserter interface {
	Insert(ctx context.Context, batch []audit.Stored) (audit.Inserted, error)
}

// OwnLog keeps what is done with AOC as events of the service AOC, stored as all
// others are: raw bytes first, in insertion order, once. It is safe for
// concurrent use; its zero fields but the three exported ones are ready.
type OwnLog struct {
	Store      Inserter
	Normalizer *normalize.Normalizer
	TenantID   string // whose AOC it is

	noted noted
}

// Note stores an act, and returns when it is durable. An act whose id is known
// is stored already, and costs nothing where this process stored it lately. The
// caller's hanging up does not keep an act from being noted; two seconds do.
// Long texts are cut short, and of many details the first are kept; the record
// says so. An error means that the act may not be in the log.
func (o *OwnLog) Note(ctx context.Context, act audit.Act) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("note in AOC's own log: %w", err)
		}
	}()
	if act.ID == "" || len(act.ID) > maxOwnTexts {
		return errors.New("the act has no id, or one that is too long")
	}
	if o.noted.has(act.ID) {
		return nil
	}
	raw, err := ownRecord(act)
	if err != nil {
		return err
	}
	stored, err := o.Normalizer.Normalize(audit.Record{Source: audit.AOC, TenantID: o.TenantID, Raw: raw})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteDeadline)
	defer cancel()
	if _, err := o.Store.Insert(ctx, []audit.Stored{stored}); err != nil {
		return err
	}
	o.noted.add(act.ID)
	return nil
}

// ownRecord writes an act as the record that is kept of it.
func ownRecord(act audit.Act) ([]byte, error) {
	by := act.By
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the record is for people to read too
	err := enc.Encode(normalize.OwnRecord{
		ID: act.ID, Time: act.Time.UTC(), Operation: short(act.Operation, maxOwnTexts), IP: short(act.IP, maxOwnTexts),
		By: normalize.OwnActor{
			Kind: by.Kind, TenantID: short(by.TenantID, maxOwnTexts), ObjectID: short(by.ObjectID, maxOwnTexts), Name: short(by.Name, maxOwnTexts),
			UPN: short(by.UPN, maxOwnTexts), AppID: short(by.AppID, maxOwnTexts), Session: short(by.Session, maxOwnTexts),
		},
		UserAgent: short(act.UserAgent, maxOwnTexts), Targets: shortTargets(act.Targets), Details: shortDetails(act.Details),
		Result: act.Result, Reason: short(act.Reason, maxOwnTexts), RequestID: short(act.RequestID, maxOwnTexts),
	})
	return bytes.TrimSpace(b.Bytes()), err
}

func shortTargets(targets []audit.Target) []audit.Target {
	var kept []audit.Target
	for _, t := range targets[:min(len(targets), maxDetails)] {
		kept = append(kept, audit.Target{ID: short(t.ID, maxOwnTexts), Name: short(t.Name, maxOwnTexts), Type: short(t.Type, maxOwnTexts)})
	}
	return kept
}

func shortDetails(details []audit.Change) []audit.Change {
	var kept []audit.Change
	for i, d := range details {
		if i == maxDetails-1 && len(details) > maxDetails {
			return append(kept, audit.Change{Name: "left out", New: fmt.Sprintf("%d more details", len(details)-i)})
		}
		kept = append(kept, audit.Change{Name: short(d.Name, maxOwnTexts), Old: short(d.Old, maxOwnValue), New: short(d.New, maxOwnValue)})
	}
	return kept
}

// short is s in valid UTF-8 and readable, cut to n bytes with a sign that it was.
func short(s string, n int) string {
	s = audit.Readable(strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= n {
		return s
	}
	cut := n - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// noted remembers the acts that were used last, so that a page which asks the
// same again and again costs no write.
type noted struct {
	mu    sync.Mutex
	order list.List // of ids, the last used in front
	byID  map[string]*list.Element
}

func (n *noted) has(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, ok := n.byID[id]
	if ok {
		n.order.MoveToFront(at)
	}
	return ok
}

func (n *noted) add(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.byID[id]; ok {
		return // two noted it at once
	}
	if n.byID == nil {
		n.byID = make(map[string]*list.Element)
	}
	n.byID[id] = n.order.PushFront(id)
	if n.order.Len() > maxNoted {
		delete(n.byID, n.order.Remove(n.order.Back()).(string))
	}
}

package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"aoc/internal/audit"
)

// scope is what the caller may see. Where nobody is known, that is nothing.
func (a *API) scope(r *http.Request) audit.Scope { return audit.PrincipalOf(r.Context()).Scope }

type eventsAnswer struct {
	Events     []audit.Event `json:"events" jsonschema:"Newest first; of one time, by id."`
	NextCursor string        `json:"next_cursor" jsonschema:"What cursor takes for the next page; empty on the last one."`
	PageSize   int           `json:"page_size" jsonschema:"How many events were asked for, after clamping."`
}

func (a *API) events(w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r, a.scope(r))
	if err != nil {
		return err
	}
	if err := a.note(r, searched(q)); err != nil {
		return err
	}
	page, err := timed(a.metrics(), "search", func() (audit.Page, error) { return a.Events.Search(r.Context(), q) })
	if err != nil {
		return err
	}
	answer := eventsAnswer{Events: make([]audit.Event, len(page.Events)), PageSize: q.Limit}
	for i, event := range page.Events {
		answer.Events[i] = shownEvent(event)
	}
	if page.Next != nil {
		answer.NextCursor = q.Cursor(*page.Next)
	}
	return writeJSON(w, http.StatusOK, answer)
}

type rawAnswer struct {
	JSON   json.RawMessage `json:"json" jsonschema:"The record as its feed sent it; null where the bytes are no JSON."`
	Text   string          `json:"text" jsonschema:"The bytes; where they are not UTF-8, as near as text comes."`
	SHA256 string          `json:"sha256" jsonschema:"Of the bytes as stored, in hex."`
	Size   int             `json:"size" jsonschema:"Of the bytes as stored."`
}

type eventRecord struct {
	Event audit.Event `json:"event" jsonschema:"What AOC makes of the record."`
	Raw   rawAnswer   `json:"raw" jsonschema:"The record itself."`
}

// shownEvent has empty lists where the event has none, so that no client has to
// ask whether there is a list.
func shownEvent(e audit.Event) audit.Event {
	e.Targets, e.Changes = filled(e.Targets), filled(e.Changes)
	return e
}

// filled is the list, empty where it is nil: JSON would say null.
func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (a *API) event(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	id, scope := r.PathValue("id"), a.scope(r)
	event, err := timed(a.metrics(), "event", func() (audit.Event, error) { return a.Events.Event(r.Context(), scope, id) })
	if err != nil {
		return err
	}
	raw, err := timed(a.metrics(), "raw", func() (audit.Raw, error) { return a.Events.Raw(r.Context(), scope, id) })
	if err != nil {
		return err
	}
	// By its id alone: not everybody who may read the log may see the event.
	if err := a.note(r, noted{targets: []audit.Target{{ID: event.ID, Type: "event"}}, same: []string{event.ID}}); err != nil {
		return err
	}
	answer := rawAnswer{Text: strings.ToValidUTF8(string(raw.Bytes), "\uFFFD"), SHA256: raw.SHA256, Size: len(raw.Bytes)}
	if json.Valid(raw.Bytes) {
		answer.JSON = raw.Bytes
	}
	return writeJSON(w, http.StatusOK, eventRecord{Event: shownEvent(event), Raw: answer})
}

// filterOptions lists the values that filters can take, as far as the caller
// may see events that have them.
func (a *API) filterOptions(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	facets, err := timed(a.metrics(), "facets", func() ([]audit.Facet, error) { return a.Events.Facets(r.Context(), a.scope(r)) })
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, optionsAnswer{
		Service:   optionsOf(facets, func(f audit.Facet) string { return f.Service }),
		Operation: optionsOf(facets, func(f audit.Facet) string { return f.Operation }),
		Result:    optionsOf(facets, func(f audit.Facet) audit.Result { return f.Result }),
		Category:  optionsOf(facets, func(f audit.Facet) string { return f.Category }),
		Source:    optionsOf(facets, func(f audit.Facet) audit.Source { return f.Source }),
	})
}

// optionsAnswer is the values that filters can take, each list sorted.
type optionsAnswer struct {
	Service   []string       `json:"service" jsonschema:"Services."`
	Operation []string       `json:"operation" jsonschema:"Operations."`
	Result    []audit.Result `json:"result" jsonschema:"Results."`
	Category  []string       `json:"category" jsonschema:"Categories."`
	Source    []audit.Source `json:"source" jsonschema:"Feeds."`
}

func optionsOf[T ~string](facets []audit.Facet, of func(audit.Facet) T) []T {
	values := []T{}
	for _, f := range facets {
		if v := of(f); v != "" {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

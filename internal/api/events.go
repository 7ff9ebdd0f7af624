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
	Events     []audit.Event `json:"events"`
	NextCursor string        `json:"next_cursor"` // "" on the last page
	PageSize   int           `json:"page_size"`
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
	answer := eventsAnswer{Events: page.Events, PageSize: q.Limit}
	if answer.Events == nil {
		answer.Events = []audit.Event{}
	}
	if page.Next != nil {
		answer.NextCursor = q.Cursor(*page.Next)
	}
	return writeJSON(w, http.StatusOK, answer)
}

type rawAnswer struct {
	JSON   json.RawMessage `json:"json"`   // the record, null where the bytes are no JSON
	Text   string          `json:"text"`   // the bytes; where they are not UTF-8, as near as text comes
	SHA256 string          `json:"sha256"` // of the bytes as stored
	Size   int             `json:"size"`   // in bytes
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
	if err := a.note(r, noted{targets: []audit.Target{{ID: event.ID, Name: event.Summary, Type: "event"}}, same: []string{event.ID}}); err != nil {
		return err
	}
	answer := rawAnswer{Text: strings.ToValidUTF8(string(raw.Bytes), "\uFFFD"), SHA256: raw.SHA256, Size: len(raw.Bytes)}
	if json.Valid(raw.Bytes) {
		answer.JSON = raw.Bytes
	}
	return writeJSON(w, http.StatusOK, map[string]any{"event": event, "raw": answer})
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
	options := map[audit.Field][]string{
		audit.FieldService: {}, audit.FieldOperation: {}, audit.FieldResult: {}, audit.FieldCategory: {}, audit.FieldSource: {},
	}
	for _, f := range facets {
		for field, value := range map[audit.Field]string{
			audit.FieldService: f.Service, audit.FieldOperation: f.Operation, audit.FieldResult: string(f.Result),
			audit.FieldCategory: f.Category, audit.FieldSource: string(f.Source),
		} {
			if value != "" {
				options[field] = append(options[field], value)
			}
		}
	}
	for field, values := range options {
		slices.Sort(values)
		options[field] = slices.Compact(values)
	}
	return writeJSON(w, http.StatusOK, options)
}

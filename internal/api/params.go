package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"aoc/internal/audit"
)

// params reads the query parameters of a request and refuses those that its
// route does not list: a mistyped filter must not answer as if there were none.
func params(r *http.Request) (url.Values, error) {
	known := visitOf(r.Context()).route.query()
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, audit.Invalid("query", "expected name=value pairs, percent-encoded")
	}
	for name := range values {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return nil, audit.Invalid(clipped(name), "no such parameter: this takes none")
			}
			return nil, audit.Invalid(clipped(name), "no such parameter: expected "+strings.Join(known, ", "))
		}
	}
	return values, nil
}

// single returns a parameter's only value, "" where it is absent.
func single(values url.Values, name string) (string, error) {
	got := values[name]
	if len(got) > 1 {
		return "", audit.Invalid(name, fmt.Sprintf("expected one value, got %d", len(got)))
	}
	return values.Get(name), nil
}

// number returns a whole number, or other where the parameter is absent.
func number(values url.Values, name string, other int) (int, error) {
	text, err := single(values, name)
	if err != nil || text == "" {
		return other, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, audit.Invalid(name, fmt.Sprintf("expected a whole number from 1, got %q", clipped(text)))
	}
	return n, nil
}

// moment returns a time, zero where the parameter is absent.
func moment(values url.Values, name string) (time.Time, error) {
	text, err := single(values, name)
	if err != nil || text == "" {
		return time.Time{}, err
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, audit.Invalid(name, fmt.Sprintf("expected an RFC 3339 time such as 2026-03-31T08:00:00Z, or a date, got %q", clipped(text)))
}

func clipped(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// parseQuery reads a search of events. A page_size over the bound is clamped.
func parseQuery(r *http.Request, scope audit.Scope) (audit.Query, error) {
	values, err := params(r)
	if err != nil {
		return audit.Query{}, err
	}
	q := audit.Query{Scope: scope}
	for _, f := range audit.Fields() {
		if given := values[string(f)]; len(given) > 0 {
			q.Filters = append(q.Filters, audit.Filter{Field: f, Values: given})
		}
	}
	if err := checkResults(values["result"]); err != nil {
		return audit.Query{}, err
	}
	if q.Start, err = moment(values, "start"); err != nil {
		return audit.Query{}, err
	}
	if q.End, err = moment(values, "end"); err != nil {
		return audit.Query{}, err
	}
	if q.Terms, err = terms(values["search"]); err != nil {
		return audit.Query{}, err
	}
	if q.Limit, err = number(values, "page_size", audit.DefaultPageSize); err != nil {
		return audit.Query{}, err
	}
	q.Limit = min(q.Limit, audit.MaxPageSize)
	if err := q.Validate(); err != nil {
		return audit.Query{}, err
	}
	cursor, err := single(values, "cursor")
	if err != nil || cursor == "" {
		return q, err
	}
	q.After, err = q.ParseCursor(cursor)
	return q, err
}

// terms reads what was typed. More than one value is more words: the host joins
// repeated parameters and splits at commas, and words are and-ed anyhow.
func terms(search []string) ([]string, error) {
	const most = 1024
	text := strings.Join(search, " ")
	if len(text) > most {
		return nil, audit.Invalid("search", fmt.Sprintf("expected at most %d bytes, got %d", most, len(text)))
	}
	found := audit.SearchTerms(text)
	if len(found) == 0 && strings.TrimSpace(text) != "" {
		return nil, audit.Invalid("search", "expected at least one letter or digit")
	}
	return found, nil
}

func checkResults(given []string) error {
	for _, v := range given {
		if !slices.Contains(audit.Results(), audit.Result(audit.Fold(v))) {
			return audit.Invalid("result", fmt.Sprintf("expected success, failure, partial or unknown, got %q", clipped(v)))
		}
	}
	return nil
}

package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"sync/atomic"
	"time"

	"aoc/internal/audit"

	kiota "github.com/microsoft/kiota-abstractions-go"
)

// Purview reads the unified audit log by queries (Graph's
// security/auditLog/queries), which reach back about 180 days, where the
// Management API lists 7. It is best effort: one finished query that was read
// twice has given different numbers of records, so read twice and compare. A
// query can be neither cancelled nor deleted. It is safe for concurrent use.
type Purview struct {
	client *Client
	svc    *service
	beta   atomic.Bool // the beta endpoint answered last, and is asked first
}

// QueryState is how far Microsoft has come with a query.
type QueryState string

// The states of a query (Graph: auditLogQueryStatus). Only a query that
// succeeded has all its records; before, its records read as fewer or none.
const (
	QueryNotStarted QueryState = "notStarted"
	QueryRunning    QueryState = "running"
	QuerySucceeded  QueryState = "succeeded"
	QueryFailed     QueryState = "failed"
	QueryCancelled  QueryState = "cancelled"
)

// Over reports whether the state is a last one.
func (s QueryState) Over() bool {
	return s == QuerySucceeded || s == QueryFailed || s == QueryCancelled
}

// QueryStatus is what Microsoft says of a query (Graph: auditLogQuery).
type QueryStatus struct {
	State       QueryState
	Limited     bool // more matched than one query gives: ask again for shorter spans
	Approximate int  // records found, give or take; 0 also where it is not said
}

const maxAnswer = 1 << 20 // bytes of an answer that describes one query

// queryID is what ids may be made of, for they become parts of addresses.
// Microsoft's are GUIDs.
var queryID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,100}$`)

// Purview returns the reader of the unified audit log.
func (c *Client) Purview() *Purview { return c.purview }

// Submit asks for all records of the event times [from, to) and returns the
// query's id. The times are widened to whole seconds. displayName is what
// administrators see in the Purview portal. Where no answer comes, Microsoft
// may have taken the query all the same: trying again can make a second one.
// Microsoft takes at least 200 queries a day and tenant and has at least 50
// waiting or running (Graph's service-specific throttling limits); apps were
// refused from about 10 on. That is a *ThrottledError.
func (p *Purview) Submit(ctx context.Context, from, to time.Time, displayName string) (id string, err error) {
	const op = "submit a Purview query"
	if !from.Before(to) {
		return "", fmt.Errorf("%s: %w", op, audit.Invalid("end", "expected a time after the start"))
	}
	body, err := json.Marshal(map[string]string{
		"displayName":         displayName,
		"filterStartDateTime": from.UTC().Truncate(time.Second).Format(time.RFC3339),
		"filterEndDateTime":   to.UTC().Add(time.Second - time.Nanosecond).Truncate(time.Second).Format(time.RFC3339),
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	var query struct{ ID string }
	err = p.either(func(version string) error {
		return p.ask(ctx, op, http.MethodPost, p.link(version), body, &query)
	})
	if err == nil && !queryID.MatchString(query.ID) {
		err = fmt.Errorf("%s: the answer of %s has no id that can be used", op, Graph)
	}
	if err != nil {
		return "", advised(err)
	}
	return query.ID, nil
}

// Status tells how far a query has come. One that Microsoft does not know any
// more is ErrGone; it keeps them for 30 days (Purview: "Search the audit log").
func (p *Purview) Status(ctx context.Context, id string) (QueryStatus, error) {
	op := "look at Purview query " + clean(id)
	if err := checkQueryID(op, id); err != nil {
		return QueryStatus{}, err
	}
	var query struct {
		Status                         QueryState
		IsRecordCountLimitExceeded     bool
		ApproximateReturnedRecordCount int
	}
	err := gone(p.either(func(version string) error {
		return p.ask(ctx, op, http.MethodGet, p.link(version, id), nil, &query)
	}))
	if err == nil && query.Status != QueryNotStarted && query.Status != QueryRunning && !query.Status.Over() {
		err = fmt.Errorf("%s: the answer of %s has the unknown status %q", op, Graph, clean(string(query.Status)))
	}
	if err != nil {
		return QueryStatus{}, advised(err)
	}
	return QueryStatus{query.Status, query.IsRecordCountLimitExceeded, query.ApproximateReturnedRecordCount}, nil
}

// Records yields the records of a query that succeeded, page by page, each as
// the bytes of its auditData: the record as the Management API would give it,
// under the same id, but for what Graph writes into it (members such as
// @odata.type, a zone after CreationTime). Where auditData is a string that
// holds JSON, that JSON is the record. An error ends it; what came before
// stands. A query that Microsoft does not know any more is ErrGone.
func (p *Purview) Records(ctx context.Context, id string) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		err := p.read(ctx, id, func(raw []byte) bool {
			return yield(audit.Record{Source: audit.PurviewQuery, TenantID: p.client.tenant, Blob: id, Raw: auditData(raw)}, nil)
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(audit.Record{}, err)
		}
	}
}

func (p *Purview) read(ctx context.Context, id string, yield func([]byte) bool) error {
	op := "read Purview query " + clean(id)
	if err := checkQueryID(op, id); err != nil {
		return err
	}
	begun, torn := false, error(nil)
	err := p.either(func(version string) error {
		link := p.link(version, id, "records")
		link.RawQuery = "$top=999"
		info := kiota.NewRequestInformation()
		info.Headers.Add("Accept", "application/json")
		info.SetUri(*link)
		err := p.client.pages(ctx, p.svc, op, info, func(raw []byte) bool {
			begun = true
			return yield(raw)
		})
		if begun && absent(err) {
			torn = err // not returned, or the other endpoint would begin anew
			return nil
		}
		return err
	})
	if torn != nil {
		err = torn
	}
	return advised(gone(err))
}

func checkQueryID(op, id string) error {
	if !queryID.MatchString(id) {
		return fmt.Errorf("%s: %w", op, audit.Invalid("query", "expected the id of a Purview query"))
	}
	return nil
}

// either tries the endpoint that answered last, at first v1.0, and the other
// where it is not there: tenants were seen that answer 404 on v1.0 and do all
// on beta (rknightion/graph2otel#109).
func (p *Purview) either(try func(version string) error) error {
	first, second := "/v1.0", "/beta"
	if p.beta.Load() {
		first, second = second, first
	}
	err := try(first)
	if !absent(err) {
		return err
	}
	if other := try(second); !absent(other) {
		p.beta.Store(second == "/beta")
		return other
	}
	return err
}

func (p *Purview) link(version string, parts ...string) *url.URL {
	u := *p.svc.base
	u.Path = version + "/security/auditLog/queries"
	return u.JoinPath(parts...)
}

// ask calls an address and reads the JSON object that it answers with.
func (p *Purview) ask(ctx context.Context, op, method string, link *url.URL, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, link.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := p.client.call(ctx, p.svc, op, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(&capped{resp.Body, maxAnswer})
	if err != nil {
		return bodyError(op, Graph, err)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s: the answer of %s has another form: %w", op, Graph, err)
	}
	return nil
}

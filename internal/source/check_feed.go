package source

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"aoc/internal/audit"

	kiota "github.com/microsoft/kiota-abstractions-go"
)

// feed tries one feed and says what came of it.
func (p *preflight) feed(ctx context.Context, source audit.Source) audit.Check {
	n, known := needs[source]
	if _, read := p.client.feeds[source]; !known || !read && source != audit.PurviewQuery {
		return audit.Check{
			Name: "Feed " + clean(string(source)), Source: source, State: audit.CheckSkipped,
			Found: "Not tried: AOC reads no feed of this name.", Advice: "Compare SOURCES with the list of feeds in the documentation.",
		}
	}
	check := audit.Check{Name: n.title, Source: source}
	l := p.logins[n.api]
	if l.err != nil {
		return notSignedIn(n.api).on(check)
	}
	w := &witness{transport: p.client.http.Transport}
	err := p.client.seenBy(w).try(ctx, source)
	state := ""
	if n.api == Management {
		state = p.subs.of(ctx, contentTypes[source])
	}
	return (&outcome{need: n, source: source, host: p.service(n.api).base.Host, login: l, err: err, seen: w, subscription: state}).judge().on(check)
}

// names tries to look up a directory object that is none.
func (p *preflight) names(ctx context.Context) audit.Check {
	check := audit.Check{Name: namesNeed.title}
	l := p.logins[Graph]
	if l.err != nil {
		return notSignedIn(Graph).on(check)
	}
	w := &witness{transport: p.client.http.Transport}
	_, err := p.client.seenBy(w).Names(ctx, []string{p.client.tenant})
	return (&outcome{need: namesNeed, host: p.service(Graph).base.Host, login: l, err: err, seen: w}).judge().on(check)
}

func notSignedIn(api API) verdict {
	return verdict{audit.CheckSkipped, "Not tried: there is no token for " + portalNames[api] + ".", "See the check \"Sign-in to " + portalNames[api] + "\"."}
}

// seenBy returns a client like this one, whose calls a witness sees. Limits
// and tokens are shared; subscriptions are not.
func (c *Client) seenBy(w *witness) *Client {
	seen := *c
	seen.http = &http.Client{Transport: w, CheckRedirect: noRedirect}
	seen.feeds = seen.allFeeds()
	seen.purview = &Purview{client: &seen, svc: c.purview.svc}
	return &seen
}

// witness is a transport that remembers what happened on it, because a call
// that runs out of time tells only that.
type witness struct {
	transport http.RoundTripper

	mu   sync.Mutex
	sent int
	last error // why the last call that nobody broke off got no answer
}

// RoundTrip implements http.RoundTripper.
func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.transport.RoundTrip(r)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	if r.Context().Err() == nil {
		w.last = err
	}
	return resp, err
}

// try makes the smallest call that shows whether a feed can be read: the
// feed's own request, for one minute. The Management API is asked without what
// a listing does first, which would start the subscription.
func (c *Client) try(ctx context.Context, source audit.Source) error {
	until := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	from := until.Add(-time.Minute)
	if source == audit.PurviewQuery {
		return c.tryPurview(ctx)
	}
	switch f := c.feeds[source].(type) {
	case *managementFeed:
		_, err := f.listPage(ctx, c.contentURL(f.contentType, from, until), func(audit.Blob, error) bool { return true })
		return err
	default:
		for _, err := range f.Fetch(ctx, audit.Blob{Source: source, Created: from, Until: until}) {
			return err
		}
		return nil
	}
}

// tryPurview asks for one of the queries that exist: making one costs the
// tenant a place in a short queue.
func (c *Client) tryPurview(ctx context.Context) error {
	return c.purview.either(func(version string) error {
		link := c.purview.link(version)
		link.RawQuery = "$top=1"
		info := kiota.NewRequestInformation()
		info.Headers.Add("Accept", "application/json")
		info.SetUri(*link)
		_, err := c.page(ctx, c.purview.svc, "list Purview's audit queries", info, func([]byte) bool { return true })
		return err
	})
}

// subscriptions are the states that the Management API tells of the tenant's,
// by content type; one that was never started is absent.
type subscriptions struct {
	ready  chan struct{} // closed when states is complete
	states map[string]string
}

// of returns "" for a subscription that is not there or not known.
func (s *subscriptions) of(ctx context.Context, contentType string) string {
	select {
	case <-s.ready:
		return s.states[strings.ToLower(contentType)]
	case <-ctx.Done():
		return ""
	}
}

// listSubscriptions reads them once for all feeds. When that fails, so does
// the listing of each feed, which says it better.
func (p *preflight) listSubscriptions(ctx context.Context) {
	defer close(p.subs.ready)
	if l := p.logins[Management]; l == nil || l.err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	c := p.client
	resp, err := c.get(ctx, c.management, "list the subscriptions", c.feedURL("subscriptions/list", nil))
	if err != nil {
		return
	}
	defer resp.Body.Close()
	states := make(map[string]string)
	err = newSplitter(&capped{resp.Body, maxPage}).list(maxMember, func(raw []byte) bool {
		var sub struct{ ContentType, Status string }
		if json.Unmarshal(raw, &sub) == nil {
			states[strings.ToLower(sub.ContentType)] = strings.ToLower(sub.Status)
		}
		return true
	})
	if err == nil {
		p.subs.states = states
	}
}

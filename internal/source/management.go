package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aoc/internal/audit"
)

const (
	managementReach = 7 * 24 * time.Hour
	// reachSpare keeps a listing that is planned now within the reach when it
	// is sent: what is a second too old is an error, not a shorter answer.
	reachSpare = 5 * time.Minute
	maxSlice   = 24 * time.Hour
)

// contentTypes of the Management Activity API, by feed.
var contentTypes = map[audit.Source]string{
	audit.M365Entra:      "Audit.AzureActiveDirectory",
	audit.M365Exchange:   "Audit.Exchange",
	audit.M365SharePoint: "Audit.SharePoint",
	audit.M365General:    "Audit.General",
	audit.M365DLP:        "DLP.All",
}

// managementFeed is one content type of the Management Activity API.
type managementFeed struct {
	client      *Client
	source      audit.Source
	contentType string
	sub         *subscription
}

func (c *Client) managementFeeds() []Feed {
	var feeds []Feed
	for source, contentType := range contentTypes {
		feeds = append(feeds, &managementFeed{
			client: c, source: source, contentType: contentType,
			sub: &subscription{client: c, contentType: contentType, turn: make(chan struct{}, 1)},
		})
	}
	return feeds
}

func (f *managementFeed) Source() audit.Source { return f.source }

func (f *managementFeed) Reach(now time.Time) (time.Time, string) {
	return now.Add(reachSpare - managementReach),
		"the Office 365 Management API lists what was published in the last 7 days, in slices of 24 hours"
}

// List yields the content blobs that were published in [from, to). Blobs of
// one listing come in no order, and the same window listed again may have more.
func (f *managementFeed) List(ctx context.Context, from, to time.Time) iter.Seq2[audit.Blob, error] {
	return func(yield func(audit.Blob, error) bool) {
		if err := f.sub.keep(ctx); err != nil {
			yield(audit.Blob{}, err)
			return
		}
		for start := from; start.Before(to); start = start.Add(maxSlice) {
			end := start.Add(maxSlice)
			if end.After(to) {
				end = to
			}
			if err := f.listSlice(ctx, start, end, yield); err != nil {
				if !errors.Is(err, errStop) {
					yield(audit.Blob{}, err)
				}
				return
			}
		}
	}
}

// listSlice follows the pages of at most 24 hours. A subscription that the API
// does not find is started and asked once more.
func (f *managementFeed) listSlice(ctx context.Context, from, to time.Time, yield func(audit.Blob, error) bool) error {
	link, restarted := f.client.contentURL(f.contentType, from, to), false
	for seen := (trail{link.String(): true}); link != nil; {
		next, err := f.listPage(ctx, link, yield)
		if answer := (*APIError)(nil); errors.As(err, &answer) && answer.Code == "AF20022" && !restarted {
			restarted = true
			if startErr := f.sub.restart(ctx); startErr == nil {
				continue
			} else if !errors.Is(startErr, errTooSoon) {
				return startErr
			}
		}
		if err == nil {
			if err = seen.add(next); err != nil {
				err = fmt.Errorf("%s: %w", f.op("list"), err)
			}
		}
		if err != nil {
			return err
		}
		link = next
	}
	return nil
}

// listPage yields the blobs of one page and returns where the next is, nil
// after the last.
func (f *managementFeed) listPage(ctx context.Context, link *url.URL, yield func(audit.Blob, error) bool) (*url.URL, error) {
	op := f.op("list")
	resp, err := f.client.get(ctx, f.client.management, op, link)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		if err := f.readListing(op, resp, yield); err != nil {
			return nil, err
		}
	}
	return f.client.nextPage(resp.Header)
}

func (f *managementFeed) readListing(op string, resp *http.Response, yield func(audit.Blob, error) bool) error {
	var bad error
	err := newSplitter(&capped{resp.Body, maxPage}).list(maxMember, func(raw []byte) bool {
		var blob audit.Blob
		if blob, bad = f.blob(raw); bad != nil {
			bad = fmt.Errorf("%s: %w", op, bad)
			return false
		}
		return yield(blob, nil)
	})
	switch {
	case bad != nil:
		return bad
	case err == nil || errors.Is(err, errStop):
		return err
	}
	return bodyError(op, Management, err)
}

// blob reads an entry of a listing. One that cannot be read fails the listing:
// a blob passed over would be records lost without a trace.
func (f *managementFeed) blob(raw []byte) (audit.Blob, error) {
	var entry struct{ ContentID, ContentURI, ContentCreated, ContentExpiration string }
	if err := json.Unmarshal(raw, &entry); err != nil || entry.ContentURI == "" {
		return audit.Blob{}, errors.New("the listing has an entry without a contentUri")
	}
	created, err := parseTime(entry.ContentCreated)
	if err != nil {
		return audit.Blob{}, fmt.Errorf("the listing has an entry whose contentCreated is no time: %q", cut(clean(entry.ContentCreated), 40))
	}
	expires, _ := parseTime(entry.ContentExpiration) // only told, nothing hangs on it
	return audit.Blob{Source: f.source, ID: entry.ContentID, URI: entry.ContentURI, Created: created, Expires: expires}, nil
}

// parseTime reads the API's times, which are UTC with or without saying so.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", s)
	}
	return t.UTC(), err
}

// Fetch yields the records of a content blob. What has expired is ErrGone.
func (f *managementFeed) Fetch(ctx context.Context, blob audit.Blob) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		if err := f.fetch(ctx, blob, yield); err != nil && !errors.Is(err, errStop) {
			yield(audit.Record{}, err)
		}
	}
}

func (f *managementFeed) fetch(ctx context.Context, blob audit.Blob, yield func(audit.Record, error) bool) error {
	op := f.op("read")
	link, err := follow(f.client.management, "the contentUri", blob.URI, f.client.feedRoots()...)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	resp, err := f.client.get(ctx, f.client.management, op, f.client.asPublisher(link))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	err = newSplitter(&capped{resp.Body, maxBlob}).list(maxElement, func(raw []byte) bool {
		return yield(audit.Record{Source: f.source, TenantID: f.client.tenant, Blob: blob.ID, Raw: raw}, nil)
	})
	if err == nil || errors.Is(err, errStop) {
		return err
	}
	return bodyError(op, Management, err)
}

func (f *managementFeed) op(verb string) string { return verb + " " + f.contentType }

// feedRoots are where everything of the tenant lies. Samples of the reference
// spell the version both ways.
func (c *Client) feedRoots() []string {
	return []string{"/api/v1.0/" + c.tenant + "/activity/feed/", "/api/v1/" + c.tenant + "/activity/feed/"}
}

// feedURL is the address of an operation. Everything carries the publisher:
// calls without one share a quota with all who do the same.
func (c *Client) feedURL(path string, query url.Values) *url.URL {
	u := *c.management.base
	u.Path = c.feedRoots()[0] + path
	u.RawQuery = query.Encode()
	return c.asPublisher(&u)
}

// contentURL is the address of a listing. Its times are whole seconds of UTC;
// a part of a second is listed rather than left out.
func (c *Client) contentURL(contentType string, from, to time.Time) *url.URL {
	const seconds = "2006-01-02T15:04:05"
	return c.feedURL("subscriptions/content", url.Values{
		"contentType": {contentType},
		"startTime":   {from.UTC().Format(seconds)},
		"endTime":     {to.UTC().Add(time.Second - time.Nanosecond).Format(seconds)},
	})
}

// asPublisher adds the publisher to an address that does not name it, and
// leaves the rest of the address as it came: content ids hold signs that must
// not be escaped anew.
func (c *Client) asPublisher(u *url.URL) *url.URL {
	for name := range u.Query() {
		if strings.EqualFold(name, "PublisherIdentifier") {
			return u
		}
	}
	with := *u
	if with.RawQuery != "" {
		with.RawQuery += "&"
	}
	with.RawQuery += "PublisherIdentifier=" + url.QueryEscape(c.publisher)
	return &with
}

// nextPage reads where the next page of a listing is. The reference calls the
// header NextPageUri, the troubleshooting guide NextPageUrl.
func (c *Client) nextPage(header http.Header) (*url.URL, error) {
	for _, name := range []string{"NextPageUri", "NextPageUrl"} {
		if raw := strings.TrimSpace(header.Get(name)); raw != "" {
			u, err := follow(c.management, "the "+name, raw, c.feedRoots()...)
			if err != nil {
				return nil, err
			}
			return c.asPublisher(u), nil
		}
	}
	return nil, nil
}

// get calls an address.
func (c *Client) get(ctx context.Context, svc *service, op string, link *url.URL) (*http.Response, error) {
	return c.request(ctx, svc, op, http.MethodGet, link)
}

func (c *Client) request(ctx context.Context, svc *service, op, method string, link *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, link.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	req.Header.Set("Accept", "application/json")
	return c.call(ctx, svc, op, req)
}

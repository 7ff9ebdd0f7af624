package source

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"aoc/internal/audit"

	kiota "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoft/kiota-abstractions-go/authentication"
	kiotahttp "github.com/microsoft/kiota-http-go"
	"github.com/microsoftgraph/msgraph-sdk-go/auditlogs"
	"github.com/microsoftgraph/msgraph-sdk-go/devicemanagement"
)

const day = 24 * time.Hour

// graphFeed is one log collection of Graph.
type graphFeed struct {
	client *Client
	svc    *service
	source audit.Source
	op     string
	days   int
	note   string
	// query asks for the records of [from, to).
	query func(ctx context.Context, from, to time.Time) (*kiota.RequestInformation, error)
}

// entraNote: Microsoft Entra data retention (reference-reports-data-retention).
const entraNote = "Microsoft Entra keeps 30 days with a P1 or P2 licence, and 7 days in Entra ID Free"

func (c *Client) graphFeeds() []Feed {
	return append([]Feed{
		&graphFeed{
			client: c, svc: c.reports, source: audit.EntraDirectory, op: "read directoryAudits",
			days: 30, note: entraNote, query: c.directoryAudits,
		},
		&graphFeed{
			client: c, svc: c.reports, source: audit.EntraSignIn, op: "read signIns",
			days: 30, note: entraNote + "; sign-ins need P1 or P2 at all", query: c.signIns,
		},
		&graphFeed{
			client: c, svc: c.intune, source: audit.IntuneAudit, op: "read Intune's auditEvents",
			days: 365, note: "Intune keeps audit events for up to a year", query: c.auditEvents,
		},
	}, c.moreEntraFeeds()...)
}

// newAdapter returns the Graph SDK's request adapter on our HTTP client. The
// SDK's own middleware, which would follow redirects and try again unseen by
// the limiters, is not there, and it adds no token: call does.
func newAdapter(client *http.Client) (kiota.RequestAdapter, error) {
	return kiotahttp.NewNetHttpRequestAdapterWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(
		&authentication.AnonymousAuthenticationProvider{}, nil, nil, client)
}

// path are the parameters from which the SDK's builders make addresses.
func (c *Client) path() map[string]string {
	return map[string]string{"baseurl": c.reports.base.String() + "/v1.0"}
}

// between is a filter over a time property, in OData's form.
func between(property string, from, to time.Time) *string {
	f := fmt.Sprintf("%s ge %s and %s lt %s", property, moment(from), property, moment(to))
	return &f
}

// moment is a time as filters and blobs write it.
func moment(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// directoryAudits asks for the oldest first, so that what is added while the
// pages are read comes at the end.
func (c *Client) directoryAudits(ctx context.Context, from, to time.Time) (*kiota.RequestInformation, error) {
	top := int32(999)
	return auditlogs.NewDirectoryAuditsRequestBuilderInternal(c.path(), c.adapter).ToGetRequestInformation(ctx,
		&auditlogs.DirectoryAuditsRequestBuilderGetRequestConfiguration{
			QueryParameters: &auditlogs.DirectoryAuditsRequestBuilderGetQueryParameters{
				Filter: between("activityDateTime", from, to), Orderby: []string{"activityDateTime asc"}, Top: &top,
			},
		})
}

// signIns come newest first, whatever is asked; 1,000 is the largest page.
func (c *Client) signIns(ctx context.Context, from, to time.Time) (*kiota.RequestInformation, error) {
	top := int32(1000)
	return auditlogs.NewSignInsRequestBuilderInternal(c.path(), c.adapter).ToGetRequestInformation(ctx,
		&auditlogs.SignInsRequestBuilderGetRequestConfiguration{
			QueryParameters: &auditlogs.SignInsRequestBuilderGetQueryParameters{
				Filter: between("createdDateTime", from, to), Top: &top,
			},
		})
}

func (c *Client) auditEvents(ctx context.Context, from, to time.Time) (*kiota.RequestInformation, error) {
	top := int32(999)
	return devicemanagement.NewAuditEventsRequestBuilderInternal(c.path(), c.adapter).ToGetRequestInformation(ctx,
		&devicemanagement.AuditEventsRequestBuilderGetRequestConfiguration{
			QueryParameters: &devicemanagement.AuditEventsRequestBuilderGetQueryParameters{
				Filter: between("activityDateTime", from, to), Top: &top,
			},
		})
}

func (f *graphFeed) Source() audit.Source { return f.source }

func (f *graphFeed) Reach(now time.Time) (time.Time, string) {
	return now.Add(-time.Duration(f.days) * day), f.note
}

// List yields one blob for the span; Graph lists nothing beforehand.
func (f *graphFeed) List(_ context.Context, from, to time.Time) iter.Seq2[audit.Blob, error] {
	return func(yield func(audit.Blob, error) bool) {
		if from.Before(to) {
			yield(audit.Blob{Source: f.source, ID: moment(from) + "/" + moment(to), Created: from.UTC(), Until: to.UTC()}, nil)
		}
	}
}

// Fetch yields the records of a span, page by page.
func (f *graphFeed) Fetch(ctx context.Context, blob audit.Blob) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		info, err := f.query(ctx, blob.Created, blob.Until)
		if err == nil {
			err = f.client.pages(ctx, f.svc, f.op, info, func(raw []byte) bool {
				return yield(audit.Record{Source: f.source, TenantID: f.client.tenant, Blob: blob.ID, Raw: raw}, nil)
			})
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(audit.Record{}, err)
		}
	}
}

// pages yields the elements of a collection and follows its links to the end.
func (c *Client) pages(ctx context.Context, svc *service, op string, info *kiota.RequestInformation, yield func([]byte) bool) error {
	for seen := (trail{}); ; {
		link, err := c.page(ctx, svc, op, info, yield)
		if err != nil || link == nil {
			return err
		}
		if err := seen.add(link); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		next := kiota.NewRequestInformation()
		next.Headers.Add("Accept", "application/json")
		for _, wish := range info.Headers.Get(preferHeader) {
			next.Headers.Add(preferHeader, wish)
		}
		next.SetUri(*link)
		info = next
	}
}

// page yields the elements of one page and returns where the next is, nil
// after the last.
func (c *Client) page(ctx context.Context, svc *service, op string, info *kiota.RequestInformation, yield func([]byte) bool) (*url.URL, error) {
	native, err := c.adapter.ConvertToNativeRequest(ctx, info)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	resp, err := c.call(ctx, svc, op, native.(*http.Request))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := newSplitter(&capped{resp.Body, maxPage}).page(maxElement, yield)
	switch {
	case errors.Is(err, errStop):
		return nil, err
	case err != nil:
		return nil, bodyError(op, Graph, err)
	case raw == "":
		return nil, nil
	}
	link, err := follow(svc, "the @odata.nextLink", raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return link, nil
}

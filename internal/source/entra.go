package source

import (
	"context"
	"fmt"
	"time"

	"aoc/internal/audit"

	kiota "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoftgraph/msgraph-sdk-go/auditlogs"
	"github.com/microsoftgraph/msgraph-sdk-go/identityprotection"
)

// tick is the step of Graph's times: seven fractional digits.
const tick = 100 * time.Nanosecond

// moreEntraFeeds are the trails of Entra that are read only where they are
// asked for: some are large, some need a licence or a permission of their own.
func (c *Client) moreEntraFeeds() []Feed {
	const signIns = entraNote + "; sign-ins need P1 or P2 at all, and this kind comes from Graph's beta endpoint"
	return []Feed{
		&graphFeed{
			client: c, svc: c.reports, source: audit.EntraSignInNonInter, op: "read signIns without a person present",
			days: 30, note: signIns, query: c.signInsOf("nonInteractiveUser"),
		},
		&graphFeed{
			client: c, svc: c.reports, source: audit.EntraSignInPrincipal, op: "read signIns of service principals",
			days: 30, note: signIns, query: c.signInsOf("servicePrincipal"),
		},
		&graphFeed{
			client: c, svc: c.reports, source: audit.EntraSignInManaged, op: "read signIns of managed identities",
			days: 30, note: signIns, query: c.signInsOf("managedIdentity"),
		},
		&graphFeed{
			client: c, svc: c.reports, source: audit.EntraProvisioning, op: "read provisioning logs",
			days: 30, note: entraNote + "; provisioning logs need P1 or P2 at all", query: c.provisioning,
		},
		&graphFeed{
			client: c, svc: c.risk, source: audit.EntraRisk, op: "read riskDetections",
			days: 90, note: "Microsoft Entra keeps risk detections for 90 days with a P2 licence, 30 days with P1", query: c.riskDetections,
		},
	}
}

// signInsOf asks for the sign-ins of one kind. Only the beta endpoint tells
// kinds apart, and lists interactive sign-ins alone unless it is asked for
// another; v1.0 answers 400 to the question. The SDK is v1.0's.
// [signIn resource, beta]
func (c *Client) signInsOf(kind string) func(context.Context, time.Time, time.Time) (*kiota.RequestInformation, error) {
	return func(_ context.Context, from, to time.Time) (*kiota.RequestInformation, error) {
		info := kiota.NewRequestInformationWithMethodAndUrlTemplateAndPathParameters(
			kiota.GET, "{+origin}/beta/auditLogs/signIns{?%24filter,%24top}", map[string]string{"origin": c.reports.base.String()})
		info.QueryParameters["%24filter"] = fmt.Sprintf("%s and signInEventTypes/any(t: t eq '%s')", *between("createdDateTime", from, to), kind)
		info.QueryParameters["%24top"] = "1000"
		info.Headers.AddAll(allMembers())
		info.Headers.Add("Accept", "application/json")
		return info, nil
	}
}

// provisioning asks for the oldest first. Of the comparisons with a time the
// collection is documented to take gt and lt only, and its example has pages
// of 500. [provisioningObjectSummary-list]
func (c *Client) provisioning(ctx context.Context, from, to time.Time) (*kiota.RequestInformation, error) {
	const property = "activityDateTime"
	filter := fmt.Sprintf("%s gt %s and %s lt %s", property, moment(from.Add(-tick)), property, moment(to))
	top := int32(500)
	return auditlogs.NewProvisioningRequestBuilderInternal(c.path(), c.adapter).ToGetRequestInformation(ctx,
		&auditlogs.ProvisioningRequestBuilderGetRequestConfiguration{
			QueryParameters: &auditlogs.ProvisioningRequestBuilderGetQueryParameters{
				Filter: &filter, Orderby: []string{property + " asc"}, Top: &top,
			},
		})
}

// riskDetections asks by the time of detection, not of the activity: what is
// detected offline comes days after it and would be behind every window of the
// activity's time. 500 is the largest page; no order is documented.
// [riskdetection-list]
func (c *Client) riskDetections(ctx context.Context, from, to time.Time) (*kiota.RequestInformation, error) {
	top := int32(500)
	return identityprotection.NewRiskDetectionsRequestBuilderInternal(c.path(), c.adapter).ToGetRequestInformation(ctx,
		&identityprotection.RiskDetectionsRequestBuilderGetRequestConfiguration{
			Headers: allMembers(),
			QueryParameters: &identityprotection.RiskDetectionsRequestBuilderGetQueryParameters{
				Filter: between("detectedDateTime", from, to), Top: &top,
			},
		})
}

// preferHeader is a wish about the answer's form, which every page must be told.
const preferHeader = "Prefer"

// allMembers asks Graph for the words of enumerations that came later, such as
// the incomingTokenType refreshToken. Without it the record says
// unknownFutureValue. [Graph, best practices: evolvable enumerations]
func allMembers() *kiota.RequestHeaders {
	h := kiota.NewRequestHeaders()
	h.Add(preferHeader, "include-unknown-enum-members")
	return h
}

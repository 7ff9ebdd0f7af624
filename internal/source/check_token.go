package source

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aoc/internal/audit"
)

// login is what came of signing in to an API.
type login struct {
	claims *claims // nil: the token is not one that can be read
	err    error
}

// claims are what an access token says of itself. They are read without being
// verified: they only explain, the API is who decides. Source: access token
// claims reference; xms_mirid names the resource of a managed identity.
type claims struct {
	AppID    string   `json:"appid"` // version 1 tokens
	Azp      string   `json:"azp"`   // version 2 tokens
	TenantID string   `json:"tid"`
	ObjectID string   `json:"oid"`
	Roles    []string `json:"roles"`
	Scopes   string   `json:"scp"` // of a person, who has no roles
	Audience audience `json:"aud"`
	IssuedAt float64  `json:"iat"`
	Expires  float64  `json:"exp"`
	Resource string   `json:"xms_mirid"`
}

// audience is one text or a list of them (RFC 7519, 4.1.3).
type audience []string

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(raw []byte) error {
	if bytes.HasPrefix(raw, []byte("[")) {
		return json.Unmarshal(raw, (*[]string)(a))
	}
	*a = audience{""}
	return json.Unmarshal(raw, &(*a)[0])
}

const (
	maxToken  = 64 << 10
	maxListed = 12 // permissions that a text names
)

// readClaims returns nil for a token that is no JWT: Microsoft promises its
// form to nobody but the API it is for.
func readClaims(token string) *claims {
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return nil
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	c := new(claims)
	if json.Unmarshal(body, c) != nil || c.Expires == 0 {
		return nil
	}
	return c
}

func (c *claims) client() string { return clean(cmp.Or(c.AppID, c.Azp)) }

func (c *claims) managed() bool { return c.Resource != "" }

// person reports whether the token is of a person, as that of the Azure CLI on
// a laptop is.
func (c *claims) person() bool { return c.Scopes != "" && len(c.Roles) == 0 }

func (c *claims) permissions() []string {
	return slices.Concat(c.Roles, strings.Fields(c.Scopes))
}

func (c *claims) carries(role string) bool {
	return slices.ContainsFunc(c.permissions(), func(p string) bool { return strings.EqualFold(p, role) })
}

// listed names the permissions for people.
func (c *claims) listed() string {
	all := c.permissions()
	slices.Sort(all)
	more := ""
	if len(all) > maxListed {
		all, more = all[:maxListed], fmt.Sprintf(" and %d more", len(all)-maxListed)
	}
	if len(all) == 0 {
		return "no permission"
	}
	return clean(strings.Join(all, ", ")) + more
}

func seconds(unix float64) time.Time {
	const most = 1 << 40 // what is absurd is not overflowed
	return time.Unix(int64(max(0, min(unix, most))), 0).UTC()
}

// staleAfter is the age from which on a token was made before somebody who now
// looks at the preflight granted a permission. Entra dates tokens five minutes
// back.
const staleAfter = 6 * time.Minute

// signIn gets a token of an API and says what it is.
func (p *preflight) signIn(ctx context.Context, api API, roles []string) audit.Check {
	within, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	svc, l := p.service(api), new(login)
	p.logins[api] = l
	check := audit.Check{Name: "Sign-in to " + portalNames[api]}
	token, err := p.client.tokens.get(within, svc.scope)
	if err != nil {
		l.err = err
		return explainLogin(err).on(check)
	}
	l.claims = readClaims(token)
	if l.claims.outdated(roles) {
		if newer, err := p.renew(within, svc, token); err == nil {
			l.claims = readClaims(newer)
		}
	}
	return p.describe(svc, l.claims).on(check)
}

// outdated reports whether a newer token may carry what this one lacks. A
// person's is left alone, since the Azure CLI refuses to renew it; and a
// managed identity's is kept by Azure, whoever asks.
func (c *claims) outdated(roles []string) bool {
	if c == nil || c.managed() || c.person() || time.Since(seconds(c.IssuedAt)) < staleAfter {
		return false
	}
	return slices.ContainsFunc(roles, func(role string) bool { return !c.carries(role) })
}

func (p *preflight) renew(ctx context.Context, svc *service, token string) (string, error) {
	if err := p.client.tokens.refuse(ctx, svc.scope, token); err != nil {
		return "", err
	}
	return p.client.tokens.get(ctx, svc.scope)
}

// describe says what a token carries, and what about it cannot work.
func (p *preflight) describe(svc *service, c *claims) verdict {
	if c == nil {
		return verdict{audit.CheckOK, "Signed in. The token is of a form that cannot be read, so only trying shows what it permits.", ""}
	}
	who := "the app " + c.client()
	switch {
	case c.managed():
		who = "the managed identity " + c.client()
	case c.person():
		who = "a person, through the app " + c.client()
	}
	found := fmt.Sprintf("Signed in as %s. The token carries %s. It is good until %s.", who, c.listed(), seconds(c.Expires).Format("2006-01-02 15:04 MST"))
	switch {
	case !strings.EqualFold(c.TenantID, p.client.tenant):
		return verdict{
			audit.CheckFailed, fmt.Sprintf("The token is of the tenant %s, and TENANT_ID is %s.", clean(c.TenantID), p.client.tenant),
			"Set TENANT_ID to the tenant that the identity signs in to, or use an app registration of the tenant TENANT_ID. A managed identity and an Azure CLI sign-in belong to one tenant only.",
		}
	case !c.isFor(svc):
		return verdict{
			audit.CheckFailed, fmt.Sprintf("The token is for %s, and %s is called at %s.", clean(strings.Join(c.Audience, ", ")), svc.name, svc.base.Host),
			"Check that AUTHORITY_HOST, GRAPH_BASE_URL and MANAGEMENT_BASE_URL are of one cloud.",
		}
	case c.person():
		return verdict{audit.CheckWarning, found, "That does for a trial. For collection set CLIENT_ID and CLIENT_SECRET of an app registration, or run in Azure with a managed identity: a person's sign-in ends."}
	case len(c.Roles) == 0:
		return verdict{audit.CheckWarning, found, "Grant the app its application permissions (not delegated ones) with admin consent; the feeds below name them."}
	}
	return verdict{audit.CheckOK, found, ""}
}

// isFor reports whether the token was made for an API, by its address or by
// its application id.
func (c *claims) isFor(svc *service) bool {
	return slices.ContainsFunc(c.Audience, func(aud string) bool {
		aud = strings.TrimSuffix(aud, "/")
		return strings.EqualFold(aud, strings.TrimSuffix(svc.scope, "/.default")) || strings.EqualFold(aud, apiIDs[svc.name])
	})
}

const signInService = "the sign-in service of Microsoft Entra"

// explainLogin says why there is no token.
func explainLogin(err error) verdict {
	var answer *APIError
	var noSecret *secretError
	switch {
	case errors.As(err, &answer):
	case errors.Is(err, context.Canceled):
		return brokenOff
	case errors.As(err, &noSecret):
		return verdict{audit.CheckFailed, "The client secret cannot be read: " + clean(noSecret.err.Error()), "Mend what is named there and check again: the secret is looked for again at every sign-in."}
	default:
		return unreachable(signInService, err.Error())
	}
	for _, w := range loginWords {
		if w.code == answer.Code {
			return verdict{w.state, w.found + " (" + w.code + ").", w.advice}
		}
	}
	if answer.Status == 0 {
		if strings.Contains(answer.Message, "DefaultAzureCredential") {
			return noIdentity
		}
		return unreachable(signInService, answer.Message)
	}
	v := verdict{audit.CheckFailed, "Microsoft Entra refuses the sign-in (" + said(answer) + ").", answer.Advice()}
	if answer.throttled() || answer.passing() {
		v.state, v.advice = audit.CheckWarning, "Nothing needs to be done: that is Microsoft's side and passes. Check again in some minutes."
	}
	return v
}

var noIdentity = verdict{
	audit.CheckFailed,
	"No identity is available on this machine: CLIENT_SECRET is not set, no workload or managed identity answers, and nobody is signed in with the Azure CLI.",
	"Set CLIENT_ID and CLIENT_SECRET of an app registration; in Azure switch the managed identity of the app on (Identity > System assigned > On; for a user-assigned one set AZURE_CLIENT_ID); on a laptop run: az login --tenant <TENANT_ID>",
}

// noTrust is said of every part in which what an identity proves itself with
// differs from what the app registration trusts.
const noTrust = "The app registration CLIENT_ID does not trust the identity that signs in for it"

const addTrust = "Add a federated credential of the scenario \"Managed Identity\": Microsoft Entra admin center > App registrations > All applications > the app > Certificates & secrets > Federated credentials. " +
	"Its issuer is https://login.microsoftonline.com/<the identity's tenant>/v2.0, its subject the identity's object (principal) id, its audience api://AzureADTokenExchange. A new one takes some minutes."

// loginWords are Entra's refusals. Source: Microsoft Entra authentication and
// authorization error codes.
var loginWords = []struct {
	code          string
	state         audit.CheckState
	found, advice string
}{
	{"AADSTS7000215", audit.CheckFailed, "The client secret is wrong", "Set CLIENT_SECRET (or aoc-client-secret in the Key Vault) to the secret's value, not to its id. The value is shown only once; make a new one with: az ad app credential reset --id <CLIENT_ID> --append"},
	{"AADSTS7000222", audit.CheckFailed, "The client secret has expired", "Make a new one and set CLIENT_SECRET (or aoc-client-secret in the Key Vault) to its value: Microsoft Entra admin center > App registrations > All applications > the app > Certificates & secrets > New client secret. Or: az ad app credential reset --id <CLIENT_ID> --append"},
	{"AADSTS700016", audit.CheckFailed, "The tenant does not know the app registration that CLIENT_ID names", "Compare CLIENT_ID with \"Application (client) ID\" of the app registration, and TENANT_ID with its \"Directory (tenant) ID\": Microsoft Entra admin center > App registrations > All applications > the app > Overview."},
	{"AADSTS90002", audit.CheckFailed, "There is no such tenant in this cloud", "Compare TENANT_ID with the tenant's id: Microsoft Entra admin center > Overview > Tenant ID. For a cloud other than the public one set AUTHORITY_HOST, for example https://login.microsoftonline.us"},
	{"AADSTS7000229", audit.CheckFailed, "The app registration has no service principal in the tenant", "Make one with: az ad sp create --id <CLIENT_ID>, then grant admin consent: az ad app permission admin-consent --id <CLIENT_ID>"},
	{"AADSTS7000112", audit.CheckFailed, "The app is disabled in the tenant", "Enable it: Microsoft Entra admin center > Enterprise applications > the app > Properties > Enabled for users to sign-in."},
	{"AADSTS53003", audit.CheckFailed, "A Conditional Access policy blocks the app's sign-in", "See which under Microsoft Entra admin center > Sign-in logs > Service principal sign-ins > the app > Conditional Access, and take the app out of it or run it from an address that the policy allows."},
	{"AADSTS500011", audit.CheckFailed, "The tenant does not know this API", "A tenant without any Microsoft 365 or Office 365 subscription has no Office 365 Management API; leave the m365 feeds out of SOURCES there. Otherwise check that AUTHORITY_HOST, GRAPH_BASE_URL and MANAGEMENT_BASE_URL are of one cloud."},
	{"AADSTS700024", audit.CheckFailed, "What the identity proves itself with is not valid at this time", "The clock of this machine is the likely reason; see the check \"Clock\"."},
	{noIdentityToken, audit.CheckFailed, "The managed identity that AZURE_CLIENT_ID names gives no token", "Assign the identity to the app (Identity > User assigned) and compare AZURE_CLIENT_ID with its client id. Outside Azure there is no managed identity: unset AZURE_CLIENT_ID, or set CLIENT_SECRET."},
	{"AADSTS70021", audit.CheckFailed, noTrust, addTrust},
	{"AADSTS700211", audit.CheckFailed, noTrust, addTrust},
	{"AADSTS700212", audit.CheckFailed, noTrust, addTrust},
	{"AADSTS700213", audit.CheckFailed, noTrust, addTrust},
	{"AADSTS700236", audit.CheckFailed, noTrust, "The app registration must be in the tenant of the managed identity, and be multi-tenant; in the tenant TENANT_ID it needs admin consent."},
	{"AADSTS90033", audit.CheckWarning, "Microsoft Entra has a passing fault", "Nothing needs to be done; check again in some minutes."},
}

package simtenant

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer is who signs, in a version of tokens.
func (t *Tenant) issuer(version int) string {
	if version == 1 {
		return fmt.Sprintf(issuerV1, t.TenantID())
	}
	return fmt.Sprintf(issuerV2, t.TenantID())
}

// startsBefore is how much before now Entra's tokens begin, as seen.
const startsBefore = 5 * time.Minute

// commonClaims are what all tokens have. A negative life makes one that has
// run out.
func (t *Tenant) commonClaims(life time.Duration) jwt.MapClaims {
	now := t.now()
	begins := now.Add(min(0, life) - startsBefore).Unix()
	return jwt.MapClaims{
		"iat": begins, "nbf": begins, "exp": now.Add(life).Unix(), "tid": t.TenantID(), "uti": newRequestID(),
	}
}

// appClaims are of a token of the client's own for the API. There is no idtyp:
// that is an optional claim, which the API does not ask for. proof says how the
// client proved itself. [access-token-claims-reference]
func (t *Tenant) appClaims(proof string) jwt.MapClaims {
	reg := t.registered()
	claims := t.commonClaims(tokenLife * time.Second)
	t.addressAPI(claims, reg.version, proof)
	claims["oid"], claims["sub"] = t.principalID(), t.principalID()
	if reg.version == 1 {
		claims["idp"] = t.issuer(1)
	}
	if len(reg.appRoles) > 0 {
		claims["roles"] = reg.appRoles
	}
	return claims
}

// addressAPI says whom a token is for, from and by way of.
func (t *Tenant) addressAPI(claims jwt.MapClaims, version int, proof string) {
	claims["iss"] = t.issuer(version)
	if version == 1 {
		maps.Copy(claims, jwt.MapClaims{"aud": t.apiURI(), "appid": t.clientID, "appidacr": proof, "ver": "1.0"})
		return
	}
	maps.Copy(claims, jwt.MapClaims{"aud": t.clientID, "azp": t.clientID, "azpacr": proof, "ver": "2.0"})
}

// userToken is an access token of the API for somebody. session may be empty.
func (t *Tenant) userToken(p *person, session string, life time.Duration) (string, error) {
	reg := t.registered()
	claims := t.commonClaims(life)
	t.addressAPI(claims, reg.version, "0")
	t.describe(claims, p, reg.version, session)
	claims["scp"] = APIScope
	t.entitle(claims, p)
	return t.Sign(claims, nil)
}

// graphUserToken is what is answered where only OpenID Connect's scopes were
// asked for: a token for Graph, with which nothing can be read.
func (t *Tenant) graphUserToken(p *person, session string) (string, error) {
	claims := t.commonClaims(tokenLife * time.Second)
	maps.Copy(claims, jwt.MapClaims{
		"aud": "00000003-0000-0000-c000-000000000000", "iss": t.issuer(1), "appid": t.clientID, "appidacr": "0",
		"idtyp": "user", "scp": graphScope, "ver": "1.0",
	})
	t.describe(claims, p, 1, session)
	return t.Sign(claims, nil)
}

// idToken tells the page who has signed in. [id-token-claims-reference]
func (t *Tenant) idToken(p *person, session, nonce string) (string, error) {
	claims := t.commonClaims(tokenLife * time.Second)
	claims["aud"], claims["iss"], claims["ver"] = t.clientID, t.issuer(2), "2.0"
	t.describe(claims, p, 2, session)
	if nonce != "" {
		claims["nonce"] = nonce
	}
	t.entitle(claims, p)
	return t.Sign(claims, nil)
}

// describe says who somebody is, in the words of a version.
func (t *Tenant) describe(claims jwt.MapClaims, p *person, version int, session string) {
	claims["name"], claims["oid"], claims["sub"] = p.name, p.id, t.pairwise(p)
	if session != "" {
		claims["sid"] = session
	}
	if version == 2 {
		claims["preferred_username"] = p.upn
		return
	}
	maps.Copy(claims, jwt.MapClaims{
		"acr": "1", "amr": []string{"pwd", "mfa"}, "given_name": p.given, "family_name": strings.TrimPrefix(p.name, p.given+" "),
		"ipaddr": p.home, "unique_name": p.upn, "upn": p.upn,
	})
}

// pairwise is somebody's subject, which is another one for every application.
func (t *Tenant) pairwise(p *person) string {
	sum := sha256.Sum256([]byte(p.id + "\x00" + t.clientID))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// mostGroups is how many groups a JWT lists. [access-token-claims-reference,
// "Groups overage claim"]
const mostGroups = 200

// entitle adds roles and, where the registration wants them, groups.
func (t *Tenant) entitle(claims jwt.MapClaims, p *person) {
	if roles := t.history.company.apiRoles(p); len(roles) > 0 {
		claims["roles"] = roles
	}
	if !t.registered().groupClaims {
		return
	}
	groups := t.history.company.securityGroups(p)
	switch {
	case len(groups) > mostGroups:
		claims["_claim_names"] = map[string]string{"groups": "src1"}
		claims["_claim_sources"] = map[string]any{"src1": map[string]string{
			"endpoint": "https://graph.windows.net/" + t.TenantID() + "/users/" + p.id + "/getMemberObjects",
		}}
	case len(groups) > 0:
		claims["groups"] = groups
	}
}

// clientInfo names the account to MSAL.
func (t *Tenant) clientInfo(p *person) (string, error) {
	body, err := json.Marshal(map[string]string{"uid": p.id, "utid": t.TenantID()})
	if err != nil {
		return "", fmt.Errorf("encode client_info: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(body), nil
}

// UserToken makes an access token of the API for somebody who works here, named
// by object id or user principal name, as if they had just signed in. A
// negative life makes one that has run out. It fails for strangers.
func (t *Tenant) UserToken(person string, life time.Duration) (string, error) {
	p, ok := t.history.company.person(person)
	if !ok {
		return "", fmt.Errorf("make a token: nobody here is called %q", person)
	}
	return t.userToken(p, newRequestID(), life)
}

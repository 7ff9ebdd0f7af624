package auth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
)

const (
	fetchTime   = 10 * time.Second // for the discovery document and the keys together
	maxDocument = 1 << 20          // bytes; Entra's are below 64 KiB
	maxKeys     = 256              // in one document; Entra has below ten
	minModulus  = 2048             // bits
	maxModulus  = 8192             // bits: more would make every check dear
)

// keySet is what the authority says of one edition. It is never changed.
type keySet struct {
	issuer     string
	address    string    // of the keys
	discovered time.Time // when issuer and address were asked for
	at         time.Time // when the keys were
	keys       keyfunc.Keyfunc
	issuers    map[string]string // by kid, as the key says or ""
}

func (s *keySet) has(kid string) bool { _, ok := s.issuers[kid]; return ok }

// signsFor reports whether a key may sign for the set's issuer. Keys say whose
// they are, often with a place holder for the tenant; those of v1.0 say nothing.
// (Microsoft identity platform, access tokens, "Validate the issuer"; that v1.0
// is silent is told by Microsoft.IdentityModel.Validators.)
func (s *keySet) signsFor(kid, tenant string) bool {
	of := s.issuers[kid]
	return of == "" || forTenant(of, tenant) == s.issuer
}

func forTenant(template, tenant string) string {
	return strings.ReplaceAll(template, "{tenantid}", tenant)
}

// discoverer asks the authority for its signing keys.
type discoverer struct {
	client            *http.Client
	authority, tenant string
}

func newDiscoverer(c Config) *discoverer {
	transport := c.Transport
	if transport == nil {
		transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	return &discoverer{
		client: &http.Client{
			Transport: transport,
			// An authority that sends us elsewhere is not the one that was configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		authority: c.Authority, tenant: c.TenantID,
	}
}

// fetch asks for the keys of an edition, and for where they are unless that is
// known since less than refreshEvery.
func (d *discoverer) fetch(ctx context.Context, e edition, known *keySet) (*keySet, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	set := &keySet{}
	if known != nil && time.Since(known.discovered) < refreshEvery {
		set.issuer, set.address, set.discovered = known.issuer, known.address, known.discovered
	} else if err := d.discover(ctx, e, set); err != nil {
		return nil, err
	}
	var doc struct {
		Keys []signingKey `json:"keys"`
	}
	if err := d.get(ctx, set.address, &doc); err != nil {
		return nil, err
	}
	set.at = time.Now()
	return set, set.fill(doc.Keys)
}

// discover asks what the issuer of an edition is called and where its keys are.
func (d *discoverer) discover(ctx context.Context, e edition, set *keySet) error {
	path := "/.well-known/openid-configuration"
	if e == v2 {
		path = "/v2.0" + path
	}
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := d.get(ctx, d.authority+"/"+d.tenant+path, &doc); err != nil {
		return err
	}
	set.issuer, set.address, set.discovered = forTenant(doc.Issuer, d.tenant), doc.JWKSURI, time.Now()
	if err := d.checkIssuer(set.issuer); err != nil {
		return err
	}
	return d.checkAddress(set.address)
}

// checkIssuer refuses an issuer that is not the tenant's own: its id is the
// first part of the path in all clouds and both editions.
func (d *discoverer) checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return fmt.Errorf("the discovery document's issuer: %w", err)
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if u.Scheme != "https" || u.Host == "" || tenant != d.tenant {
		return fmt.Errorf("the discovery document's issuer %q is not of the tenant %s", issuer, d.tenant)
	}
	return nil
}

func (d *discoverer) checkAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("the discovery document's jwks_uri: %w", err)
	}
	if u.Scheme != "https" || u.User != nil || origin(u) != d.authority {
		return fmt.Errorf("the discovery document's jwks_uri %q is not at the authority %s", u.Redacted(), d.authority)
	}
	return nil
}

func (d *discoverer) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", address, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	if len(body) > maxDocument {
		return fmt.Errorf("%s is longer than %d bytes", address, maxDocument)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read %s: %w", address, err)
	}
	return nil
}

// signingKey is a key with what jwkset does not keep of it. Certificates are
// left aside: the key is trusted for where it comes from.
type signingKey struct {
	Type   jwkset.KTY `json:"kty"`
	Use    jwkset.USE `json:"use"`
	Alg    jwkset.ALG `json:"alg"`
	ID     string     `json:"kid"`
	N      string     `json:"n"`
	E      string     `json:"e"`
	Issuer string     `json:"issuer"`
}

var errNoKeys = errors.New("the authority has no usable signing key")

// fill takes the keys that can sign with RS256 and leaves the others: a new kind
// of key must not cost the old ones.
func (s *keySet) fill(keys []signingKey) error {
	store, issuers := jwkset.NewMemoryStorage(), map[string]string{}
	for _, k := range keys[:min(len(keys), maxKeys)] {
		jwk, ok := k.jwk()
		if _, twice := issuers[k.ID]; !ok || twice {
			continue
		}
		if err := store.KeyWrite(context.Background(), jwk); err != nil {
			return err
		}
		issuers[k.ID] = k.Issuer
	}
	if len(issuers) == 0 {
		return errNoKeys
	}
	s.issuers = issuers
	var err error
	s.keys, err = keyfunc.New(keyfunc.Options{Storage: store})
	return err
}

func (k signingKey) jwk() (jwkset.JWK, bool) {
	if k.ID == "" || k.Type != jwkset.KtyRSA || k.Use != "" && k.Use != jwkset.UseSig || k.Alg != "" && k.Alg != jwkset.AlgRS256 {
		return jwkset.JWK{}, false
	}
	jwk, err := jwkset.NewJWKFromMarshal(
		jwkset.JWKMarshal{KTY: k.Type, USE: k.Use, ALG: k.Alg, KID: k.ID, N: k.N, E: k.E},
		jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return jwkset.JWK{}, false
	}
	public, ok := jwk.Key().(*rsa.PublicKey)
	return jwk, ok && public.N.BitLen() >= minModulus && public.N.BitLen() <= maxModulus
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"aoc/internal/audit"
	"aoc/internal/outbound"
	"aoc/internal/source"
)

// preflight looks at the feeds and at what surrounds them.
type preflight struct {
	client    *source.Client
	vault     *vault // nil: there is none
	publicURL string // "": nobody pushes
}

// Check says what was found, of the feeds first.
func (p preflight) Check(ctx context.Context, sources ...audit.Source) []audit.Check {
	checks := p.client.Check(ctx, sources...)
	if p.vault != nil {
		checks = append(checks, p.vaultCheck(ctx))
	}
	if p.publicURL != "" {
		checks = append(checks, p.publicCheck(ctx))
	}
	return checks
}

// vaultSecrets are the secrets that a vault may hold, and what for.
var vaultSecrets = []struct{ name, setting string }{
	{clientSecretName, "CLIENT_SECRET"}, {mongoURIName, "MONGO_URI"}, {webhookSecretName, "O365_WEBHOOK_AUTH_ID"}, {llmKeyName, "LLM_API_KEY"},
}

// vaultCheck reads each secret. One that is not there is no failure: its
// setting may be set, or not needed.
func (p preflight) vaultCheck(ctx context.Context) audit.Check {
	check := audit.Check{Name: "Key Vault " + p.vault.name, State: audit.CheckOK}
	for _, s := range vaultSecrets {
		_, err := p.vault.secret(s.name).Value(ctx)
		switch {
		case err == nil:
			check.Found += fmt.Sprintf("%s is there, for %s. ", s.name, s.setting)
		case errors.Is(err, errNoSecret):
			check.Found += fmt.Sprintf("%s is not there. ", s.name)
		default:
			return audit.Check{Name: check.Name, State: audit.CheckFailed, Found: "The vault cannot be read.", Advice: err.Error()}
		}
	}
	return check
}

// publicCheck calls PUBLIC_URL as Microsoft would: by a public address.
func (p preflight) publicCheck(ctx context.Context) audit.Check {
	check := audit.Check{
		Name: "PUBLIC_URL", State: audit.CheckWarning,
		Advice: "Set PUBLIC_URL to the address at which the internet reaches this API. Until then new content is found by asking, some minutes later.",
	}
	u, err := url.Parse(p.publicURL)
	if err != nil {
		check.Found = "It is no address."
		return check
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	client, err := outbound.New(outbound.Config{Allow: []string{u.Hostname() + ":" + port}, Timeout: 10 * time.Second, UserAgent: "AOC/" + version})
	if err != nil {
		check.Found = "Microsoft cannot reach it: " + err.Error() + "."
		return check
	}
	answer, err := client.Do(ctx, outbound.Request{Method: http.MethodGet, URL: p.publicURL + "/health"})
	switch {
	case err != nil:
		check.Found = "It does not answer: " + err.Error() + "."
	case answer.Status != http.StatusOK:
		check.Found = fmt.Sprintf("%s/health answers %d, and AOC would answer 200.", p.publicURL, answer.Status)
	default:
		return audit.Check{Name: check.Name, State: audit.CheckOK, Found: p.publicURL + " answers."}
	}
	return check
}

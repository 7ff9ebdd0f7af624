package main

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"aoc/internal/api"
	"aoc/internal/audit"
	"aoc/internal/auth"
)

// simulatedPath is where `aoc local` serves the simulated tenant's sign-in, on
// the page's own origin: a browser does not trust the tenant's certificate.
const simulatedPath = "/simulated-tenant"

// publicAuthority is what MSAL is told in the demo. It demands an authority that
// it knows, with TLS, and is led to simulatedPath instead.
const publicAuthority = "https://login.microsoftonline.com"

// openCallers returns who says who calls. It calls nobody.
func openCallers(config Config, a *app) (api.Callers, error) {
	if !config.Auth.Enabled {
		if !config.Alone {
			a.log.Warn("AUTH_ENABLED is false: whoever reaches this address sees everything")
		}
		return auth.Disabled{}, nil
	}
	warnOfServices(config.Auth.PrivacyServices, a.log)
	if len(config.Auth.AdminRoles) == 0 {
		a.log.Warn("AUTH_ADMIN_ROLES is not set: whoever is let in may start backfills and jobs")
	}
	return auth.New(auth.Config{
		TenantID: config.TenantID, ClientID: signInClient(config), Audiences: config.Auth.Audiences, Authority: config.Authority,
		AllowedRoles: config.Auth.AllowedRoles, AllowedGroups: config.Auth.AllowedGroups, AdminRoles: config.Auth.AdminRoles,
		PrivacyServices: hiddenServices(config.Auth), PrivacyOperations: config.Auth.PrivacyOperations, PrivacyRoles: config.Auth.PrivacyRoles,
		Groups: a.client, Transport: a.transport, Log: a.log,
	})
}

// warnOfServices tells of names that no service of ours has: one that is
// misspelt hides nothing. Other workloads go by the names that they bring.
func warnOfServices(names []string, log *slog.Logger) {
	for _, name := range names {
		known := func(s string) bool { return strings.EqualFold(s, name) }
		if !slices.ContainsFunc(audit.Services(), known) {
			log.Warn("PRIVACY_SERVICES names a service that AOC does not know by itself: it hides events only if their workload has exactly this name", "service", name, "known", strings.Join(audit.Services(), ","))
		}
	}
}

// hiddenServices are hidden from those without a privacy role: what is set, and
// AOC's own log with it, which quotes what others looked for and looked at.
func hiddenServices(c AuthConfig) []string {
	if len(c.PrivacyServices)+len(c.PrivacyOperations) == 0 {
		return nil
	}
	return append(slices.Clone(c.PrivacyServices), audit.ServiceAOC)
}

// signInClient is the app registration that people sign in to.
func signInClient(config Config) string { return cmp.Or(config.Auth.ClientID, config.ClientID) }

// signInOf is what the page needs to know of it.
func signInOf(config Config) api.SignIn {
	if !config.Auth.Enabled {
		return api.SignIn{TenantID: config.TenantID, Scopes: []string{}}
	}
	s := api.SignIn{
		Enabled: true, TenantID: config.TenantID, ClientID: signInClient(config), Authority: config.Authority + "/" + config.TenantID,
		Scopes: []string{signInClient(config) + "/" + config.Auth.Scope},
	}
	if config.Demo {
		s.Authority, s.Simulated = publicAuthority+"/"+config.TenantID, simulatedPath
	}
	return s
}

// storeQuotas counts callers' requests in the store, where there is no Redis.
type storeQuotas struct{ store store }

func (s storeQuotas) Take(ctx context.Context, q audit.Quota, who string) (audit.Decision, error) {
	return s.store.Take(ctx, q, who, time.Now().UTC())
}

func openQuotas(a *app) api.Limiter {
	if shared := a.limits.Quotas(); shared != nil {
		return shared
	}
	return storeQuotas{a.store}
}

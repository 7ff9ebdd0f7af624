package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"aoc/internal/audit"
)

const publicAuthority = "https://login.microsoftonline.com"

// foreign are audiences of Microsoft's own APIs. Whoever accepted them would
// take tokens that were given to any other app for Graph. (Microsoft identity
// platform, access tokens: "the confused deputy".)
var foreign = []string{
	"00000003-0000-0000-c000-000000000000", "00000002-0000-0000-c000-000000000000",
	"https://graph.microsoft.com", "https://graph.windows.net", "https://management.azure.com",
	"https://management.core.windows.net", "https://manage.office.com",
}

// checked returns the configuration in the form that is compared with: GUIDs in
// lower case, defaults in place.
func (c Config) checked() (Config, error) {
	c.TenantID, c.ClientID = strings.ToLower(c.TenantID), strings.ToLower(c.ClientID)
	if c.Authority == "" {
		c.Authority = publicAuthority
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	groups := make([]string, len(c.AllowedGroups))
	for i, g := range c.AllowedGroups {
		groups[i] = strings.ToLower(g)
	}
	c.AllowedGroups = groups
	origin, err := originOf(c.Authority)
	c.Authority = origin
	return c, errors.Join(err, c.mistakes())
}

func (c Config) mistakes() error {
	var errs []error
	if !audit.IsGUID(c.TenantID) {
		errs = append(errs, fmt.Errorf("auth: the tenant id: expected a GUID, got %q", c.TenantID))
	}
	if !audit.IsGUID(c.ClientID) {
		errs = append(errs, fmt.Errorf("auth: the client id: expected a GUID, got %q", c.ClientID))
	}
	for _, aud := range c.Audiences {
		if slices.Contains(foreign, strings.ToLower(strings.TrimSuffix(aud, "/"))) {
			errs = append(errs, fmt.Errorf("auth: the audience %q belongs to an API of Microsoft's: its tokens are not for AOC", aud))
		}
	}
	for _, g := range c.AllowedGroups {
		if !audit.IsGUID(g) {
			errs = append(errs, fmt.Errorf("auth: an allowed group: expected an object id (a GUID), got %q", g))
		}
	}
	for _, list := range []struct {
		what   string
		values []string
	}{
		{"audience", c.Audiences},
		{"allowed role", c.AllowedRoles},
		{"role of administrators", c.AdminRoles},
		{"role that sees what is hidden", c.PrivacyRoles},
		{"hidden service", c.PrivacyServices},
		{"hidden operation", c.PrivacyOperations},
	} {
		if slices.ContainsFunc(list.values, blank) {
			errs = append(errs, fmt.Errorf("auth: an empty %s, or one with spaces around it", list.what))
		}
	}
	return errors.Join(errs...)
}

func blank(s string) bool { return s == "" || strings.TrimSpace(s) != s }

// audiences are all that a token may be for. Entra writes an App ID URI into
// tokens as it was asked for, with or without a slash at its end.
func (c Config) audiences() []string {
	all := []string{c.ClientID}
	for _, aud := range append([]string{"api://" + c.ClientID}, c.Audiences...) {
		if strings.Contains(aud, "://") {
			aud = strings.TrimRight(aud, "/")
			all = append(all, aud+"/")
		}
		all = append(all, aud)
	}
	return all
}

// originOf is scheme, host and port of an https address that has nothing else.
func originOf(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("auth: the authority: expected an address such as %s: %w", publicAuthority, err)
	}
	bare := u.User == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.Fragment == ""
	if u.Scheme != "https" || u.Hostname() == "" || !bare {
		return "", fmt.Errorf("auth: the authority: expected https and a host, as in %s, got %q", publicAuthority, u.Redacted())
	}
	return origin(u), nil
}

func origin(u *url.URL) string {
	return u.Scheme + "://" + strings.TrimSuffix(strings.ToLower(u.Host), ":443")
}

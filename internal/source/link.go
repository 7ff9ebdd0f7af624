package source

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

const (
	maxPages = 10_000 // of one listing
	maxLink  = 32 << 10
)

// follow checks an address that an answer named, before a token is sent there:
// it must be of the API's own origin, below one of the roots where some are
// given, and without a fragment, which would be left out when it is called. It
// returns the address as it came.
func follow(svc *service, what, raw string, roots ...string) (*url.URL, error) {
	// NextPageUri has been seen with line breaks at its end.
	raw = strings.NewReplacer("\r", "", "\n", "").Replace(raw)
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxLink || strings.Contains(raw, "#") {
		return nil, fmt.Errorf("%s of %s: it is no address", what, svc.name)
	}
	if !sameOrigin(u, svc.base) || u.User != nil || u.Opaque != "" {
		return nil, fmt.Errorf("%s of %s points to %q, expected %q: no token is sent there",
			what, svc.name, clean(u.Scheme+"://"+u.Host), svc.base.String())
	}
	if !below(u, roots) {
		return nil, fmt.Errorf("%s of %s points to %q, which is not the tenant's own: no token is sent there",
			what, svc.name, cut(clean(u.Path), 120))
	}
	return u, nil
}

// below reports whether a path lies under one of the roots, which end in a
// slash. Dots that a server might resolve, and slashes that it might see in
// what is escaped, are not let through.
func below(u *url.URL, roots []string) bool {
	if strings.Contains(u.Path, `\`) || path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") ||
		strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") {
		return false
	}
	for _, root := range roots {
		if len(u.Path) > len(root) && strings.EqualFold(u.Path[:len(root)], root) {
			return true
		}
	}
	return len(roots) == 0
}

// trail remembers the pages of one listing: one that leads back to itself, or
// never ends, is an error.
type trail map[string]bool

// add notes the next page, which is nil after the last.
func (t trail) add(next *url.URL) error {
	switch {
	case next == nil:
		return nil
	case t[next.String()]:
		return errors.New("the pages of the listing lead in a circle")
	case len(t) >= maxPages:
		return fmt.Errorf("the listing has more than %d pages", maxPages)
	}
	t[next.String()] = true
	return nil
}

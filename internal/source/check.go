package source

import (
	"context"
	"slices"
	"sync"
	"time"

	"aoc/internal/audit"
)

const (
	checkTimeout  = 15 * time.Second // of one check
	checksTimeout = time.Minute      // of all
)

// Check is the preflight: it signs in, reads what the tokens carry, compares
// the clock, and tries each of the given feeds with its smallest call. It
// returns a Check for each of these, sign-ins first, feeds in their order; with
// no source the Management API is signed in to as well. It keeps the limits of
// the APIs, takes a minute at most, changes nothing in the tenant and starts no
// subscription.
func (c *Client) Check(ctx context.Context, sources ...audit.Source) []audit.Check {
	within, cancel := context.WithTimeout(ctx, checksTimeout)
	defer cancel()
	p := &preflight{client: c, logins: make(map[API]*login), subs: &subscriptions{ready: make(chan struct{})}}
	var checks []audit.Check
	for _, api := range []API{Graph, Management} {
		if roles, wanted := rolesOf(api, sources); wanted {
			checks = append(checks, p.signIn(within, api, roles))
		}
	}
	return append(checks, p.tryAll(within, sources)...)
}

// preflight is one run of Check.
type preflight struct {
	client *Client
	logins map[API]*login // complete before anything is tried
	subs   *subscriptions
}

// tryAll runs the checks that come after the sign-ins side by side: the
// limiters keep the calls apart where the APIs want it.
func (p *preflight) tryAll(ctx context.Context, sources []audit.Source) []audit.Check {
	tries := []func(context.Context) audit.Check{p.clock, p.names}
	for _, s := range sources {
		tries = append(tries, func(ctx context.Context) audit.Check { return p.feed(ctx, s) })
	}
	checks := make([]audit.Check, len(tries))
	var running sync.WaitGroup
	running.Go(func() { p.listSubscriptions(ctx) })
	for i, try := range tries {
		running.Go(func() {
			within, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			checks[i] = try(within)
		})
	}
	running.Wait()
	return checks
}

// rolesOf lists the permissions that the feeds need of an API, and says
// whether it is called at all: Graph always is, for it knows the names.
func rolesOf(api API, sources []audit.Source) (roles []string, wanted bool) {
	wanted = len(sources) == 0 || api == Graph
	if api == Graph {
		roles = append(roles, namesNeed.role)
	}
	for _, s := range sources {
		if n, ok := needs[s]; ok && n.api == api {
			roles, wanted = append(roles, n.role), true
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles), wanted
}

// service returns the API as the preflight calls it.
func (p *preflight) service(api API) *service {
	if api == Management {
		return p.client.management
	}
	return p.client.directory
}

package api

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// errForeignName answers a request that names the machine as a foreign page
// would that had its own name point here.
var errForeignName = errors.New("sign-in is off, so only localhost and IP addresses are names of this AOC: call it by one of them")

// harden sets the headers of every answer. An answer is never a page that may
// load or frame anything; /docs sets a policy of its own.
func harden(h http.Header, r *http.Request) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// share lets a page of a trusted origin read the answer. A token is sent by a
// script that has it and is no credential in the words of CORS: credentials are
// never allowed, so "*" gives nothing away.
func (a *API) share(h http.Header, r *http.Request) (shared bool) {
	h.Add("Vary", "Origin")
	from := r.Header.Get("Origin")
	switch {
	case from == "":
		return false
	case slices.Contains(a.TrustedOrigins, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(a.TrustedOrigins, from):
		h.Set("Access-Control-Allow-Origin", from)
	default:
		return false
	}
	h.Set("Access-Control-Expose-Headers", "ETag, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id")
	return true
}

// preflightOf answers the OPTIONS of a path. In Azure the platform's front end
// answers it first, from the same setting.
func (a *API) preflightOf(methods []string) http.Handler {
	allowed := strings.Join(slices.Compact(slices.Sorted(slices.Values(methods))), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		harden(h, r)
		if a.share(h, r) {
			h.Set("Access-Control-Allow-Methods", allowed)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match")
			h.Set("Access-Control-Max-Age", "600")
		}
		h.Set("Allow", allowed+", OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	})
}

// crossSite returns the check of requests that change state. A GET that does
// is checked as strictly as a POST.
func (a *API) crossSite() func(*http.Request) error {
	protection := http.NewCrossOriginProtection()
	for _, origin := range a.TrustedOrigins {
		if origin == "*" {
			continue // whom everybody may read from, nobody may change things at
		}
		if err := protection.AddTrustedOrigin(origin); err != nil {
			a.Log.Warn("an origin of CORS_ORIGINS is not used", "origin", origin, "error", err)
		}
	}
	return func(r *http.Request) error {
		as := r.Clone(r.Context())
		as.Method = http.MethodPost
		if protection.Check(as) != nil || blindGet(r) {
			return errCrossSite
		}
		return nil
	}
}

// blindGet reports a GET of a browser that does not say from where it comes:
// towards an address without TLS they leave Sec-Fetch-Site out, and a GET that
// a foreign page has them send for a picture has no Origin either. Programs do
// not call themselves Mozilla.
func blindGet(r *http.Request) bool {
	h := r.Header
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && h.Get("Sec-Fetch-Site") == "" && h.Get("Origin") == "" &&
		h.Get("Authorization") == "" && strings.HasPrefix(h.Get("User-Agent"), "Mozilla/")
}

// checkName refuses names that a foreign page may have given this machine (DNS
// rebinding), where no token keeps it out.
func (a *API) checkName(r *http.Request) error {
	if !a.LocalNames {
		return nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	_, err := netip.ParseAddr(host)
	if err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return nil
	}
	return errForeignName
}

// clientIP is the address that calls, "" where it is not known: the last one
// that is not a proxy's. Behind the Functions host every peer is the host, and
// the address that counts is the last that the platform's front end added;
// elsewhere X-Forwarded-For is believed only of TRUSTED_PROXIES.
func (a *API) clientIP(r *http.Request) string {
	addr, ok := a.clientAddr(r)
	if !ok {
		return ""
	}
	return addr.String()
}

func (a *API) clientAddr(r *http.Request) (netip.Addr, bool) {
	hops := []string{}
	for _, line := range r.Header.Values("X-Forwarded-For") {
		hops = append(hops, strings.Split(line, ",")...)
	}
	if !a.BehindHost {
		hops = append(hops, r.RemoteAddr)
	}
	for _, hop := range slices.Backward(hops) {
		addr, ok := parseHop(hop)
		if !ok {
			return netip.Addr{}, false // what lies beyond it cannot be believed
		}
		if !inAny(a.TrustedProxies, addr) {
			return addr, true
		}
	}
	return netip.Addr{}, false
}

// parseHop reads an address with or without a port, as Azure's front end writes
// it: 203.0.113.7:50211, [2001:db8::1]:50211.
func parseHop(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	if at, err := netip.ParseAddrPort(hop); err == nil {
		return at.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}

func inAny(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

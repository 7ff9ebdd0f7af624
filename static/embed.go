// Package static serves the page: HTML, CSS and scripts, embedded as they lie
// here, with the headers that keep a page of hostile audit data harmless. It
// knows nothing of the API that the page talks to.
package static

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
)

//go:embed index.html config.json favicon.svg css js vendor
var files embed.FS

// policy lets the page load what lies beside it and nothing else, and ask only
// its own origin and the further ones. Nothing in it is inline, so it needs
// neither nonce nor hash. No frame is allowed, so sign-in renews without one.
func policy(connect []string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
		strings.Join(append([]string{"connect-src 'self'"}, connect...), " ") +
		"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}

// types are ours and not the machine's: on Windows the registry decides what
// mime.TypeByExtension says, and with nosniff a wrong type is a dead page.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
	".md":   "text/plain; charset=utf-8",
	".txt":  "text/plain; charset=utf-8",
}

type file struct {
	name, etag string
	body       []byte
}

// Handler serves the page at "/" and its files beside it, to GET and HEAD;
// other paths are 404 and other methods 405. Every answer has an ETag to ask
// again with, a strict Content-Security-Policy and nosniff. Files under
// vendor/ carry their version in their names and may be kept for a year.
//
// connect names the further origins that the page may ask: the authority's
// where people sign in for real, and the API's where it is another. Handler
// panics on what [Origin] refuses, so what a person configured goes through
// Origin first.
func Handler(connect ...string) http.Handler {
	origins := make([]string, len(connect))
	for i, address := range connect {
		origin, err := Origin(address)
		if err != nil {
			panic(err)
		}
		origins[i] = origin
	}
	byPath, csp := load(), policy(origins)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header(), csp)
		f, found := byPath[r.URL.Path]
		switch {
		case !found:
			http.Error(w, "There is no such page.", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "This page can only be read.", http.StatusMethodNotAllowed)
		default:
			f.serve(w, r)
		}
	})
}

// Origin returns the origin of an address, as a Content-Security-Policy names
// it: "https://login.microsoftonline.com" for that tenant's authority below it.
// It refuses all but https, and http on the machine itself: a token must not
// go anywhere in the clear.
func Origin(address string) (string, error) {
	u, err := url.Parse(address)
	if err == nil && u.User != nil {
		return "", errors.New("origin for the page: expected an address without a name and a password in it") // and not the address
	}
	if err != nil || !hostname.MatchString(u.Host) {
		return "", fmt.Errorf("origin for the page: expected an address such as https://aoc.example.com, got %q", address)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", fmt.Errorf("origin for the page: expected https, or http on this machine, got %q", address)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// hostname has no wildcard and nothing that would end the policy's directive.
var hostname = regexp.MustCompile(`^(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// load reads the embedded files once. Reading what was compiled in cannot
// fail, so a failure is a mistake in this package.
func load() map[string]file {
	byPath := make(map[string]file)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		byPath["/"+name] = file{name: name, etag: `"` + hex.EncodeToString(sum[:16]) + `"`, body: body}
		return nil
	})
	if err != nil {
		panic(fmt.Errorf("read the embedded page: %w", err))
	}
	byPath["/"] = byPath["/index.html"]
	return byPath
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", types[path.Ext(f.name)])
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", caching(f.name))
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.body))
}

func caching(name string) string {
	if strings.HasPrefix(name, "vendor/") {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache" // kept, but asked for again by its ETag
}

func harden(h http.Header, csp string) {
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// Package static serves the page: HTML, CSS and scripts, embedded as they lie
// here, with the headers that keep a page of hostile audit data harmless. It
// knows nothing of the API that the page talks to.
package static

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed index.html config.json favicon.svg css js vendor
var files embed.FS

// policy lets the page load what lies beside it and nothing else. Nothing in
// it is inline, so it needs neither nonce nor hash.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

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
func Handler() http.Handler {
	byPath := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
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

func harden(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

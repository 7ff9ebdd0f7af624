package static

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func ask(t *testing.T, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w
}

func TestHandlerServesThePage(t *testing.T) {
	tests := []struct{ path, kind, caching string }{
		{"/", "text/html; charset=utf-8", "no-cache"},
		{"/?event=abc", "text/html; charset=utf-8", "no-cache"},
		{"/index.html", "text/html; charset=utf-8", "no-cache"},
		{"/config.json", "application/json", "no-cache"},
		{"/favicon.svg", "image/svg+xml", "no-cache"},
		{"/css/theme.css", "text/css; charset=utf-8", "no-cache"},
		{"/js/api.js", "text/javascript; charset=utf-8", "no-cache"},
		{"/vendor/alpine-csp-3.17.4.min.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/vendor/msal-browser-5.29.0.min.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/vendor/LICENSE-msal.txt", "text/plain; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/vendor/LICENSE-alpine.txt", "text/plain; charset=utf-8", "public, max-age=31536000, immutable"},
	}
	for _, tt := range tests {
		w := ask(t, http.MethodGet, tt.path)
		require.Equal(t, http.StatusOK, w.Code, tt.path)
		require.Equal(t, tt.kind, w.Header().Get("Content-Type"), tt.path)
		require.Equal(t, tt.caching, w.Header().Get("Cache-Control"), tt.path)
		require.NotEmpty(t, w.Body.Bytes(), tt.path)
		sum := sha256.Sum256(w.Body.Bytes())
		require.Equal(t, `"`+hex.EncodeToString(sum[:16])+`"`, w.Header().Get("ETag"), tt.path)
	}
}

func TestHandlerTypesEveryFile(t *testing.T) {
	for path := range load() {
		require.NotEmpty(t, ask(t, http.MethodGet, path).Header().Get("Content-Type"), path)
	}
}

func TestHandlerAnswersNotModified(t *testing.T) {
	etag := ask(t, http.MethodGet, "/").Header().Get("ETag")
	w := ask(t, http.MethodGet, "/", "If-None-Match", etag)
	require.Equal(t, http.StatusNotModified, w.Code)
	require.Empty(t, w.Body.String())
	require.Equal(t, http.StatusOK, ask(t, http.MethodGet, "/", "If-None-Match", `"another"`).Code)
}

func TestHandlerHead(t *testing.T) {
	w := ask(t, http.MethodHead, "/")
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Body.String())
	require.NotEmpty(t, w.Header().Get("ETag"))
}

func TestHandlerRefuses(t *testing.T) {
	for _, path := range []string{
		"/embed.go", "/handler_test.go", "/css", "/css/", "/js/", "/vendor/", "/nothing", "/../go.mod", "/.git/config", "/js/../embed.go", "//index.html",
	} {
		w := ask(t, http.MethodGet, path)
		require.Equal(t, http.StatusNotFound, w.Code, path)
		require.NotContains(t, w.Body.String(), "package", path)
	}
	w := ask(t, http.MethodPost, "/")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
}

func TestHandlerHardensEveryAnswer(t *testing.T) {
	etag := ask(t, http.MethodGet, "/").Header().Get("ETag")
	for name, w := range map[string]*httptest.ResponseRecorder{
		"page":         ask(t, http.MethodGet, "/"),
		"script":       ask(t, http.MethodGet, "/js/api.js"),
		"not found":    ask(t, http.MethodGet, "/nothing"),
		"not modified": ask(t, http.MethodGet, "/", "If-None-Match", etag),
		"refused":      ask(t, http.MethodDelete, "/"),
	} {
		h := w.Header()
		require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", h.Get("Content-Security-Policy"), name)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), name)
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"), name)
	}
}

func TestHandlerLetsThePageAskFurtherOrigins(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	Handler("https://login.microsoftonline.com/7d1f", "http://127.0.0.1:8080").ServeHTTP(w, r)
	require.Equal(t, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self' https://login.microsoftonline.com http://127.0.0.1:8080; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", w.Header().Get("Content-Security-Policy"))
	require.Panics(t, func() { Handler("http://login.microsoftonline.com") })
}

func TestOrigin(t *testing.T) {
	for address, want := range map[string]string{
		"https://login.microsoftonline.com/7d1f0c5e/v2.0?a=b#c": "https://login.microsoftonline.com",
		"https://API.example.com:8443":                          "https://api.example.com:8443",
		"HTTPS://aoc.example.com":                               "https://aoc.example.com",
		"https://[2001:db8::1]:443/":                            "https://[2001:db8::1]:443",
		"http://localhost:7071":                                 "http://localhost:7071",
		"http://127.0.0.9":                                      "http://127.0.0.9",
		"http://[::1]:80":                                       "http://[::1]:80",
	} {
		got, err := Origin(address)
		require.NoError(t, err, address)
		require.Equal(t, want, got)
	}
	for _, address := range []string{
		"", "*", "https:", "https://", "https://*", "https://*.example.com", "'unsafe-inline'", "data:", "login.microsoftonline.com", "//login.microsoftonline.com",
		"http://aoc.example.com", "http://192.168.1.20", "http://localhost.example.com", "http://127.0.0.1.example.com", "ws://localhost", "javascript://localhost/%0a",
		"https://a b", "https://a;script-src *", "https://a,https://b", "https://a%20b", "https://a\nb", "https://aoc.example.com:port", "https://aoc.example.com:", "https://a..b",
		"https://bücher.example",
	} {
		_, err := Origin(address)
		require.Error(t, err, address)
	}
	_, err := Origin("https://name:secret-word@example.com")
	require.ErrorContains(t, err, "without a name and a password")
	require.NotContains(t, err.Error(), "secret-word")
}

// The page loads MSAL by a name that stands in a script, where no test of the page's assets looks.
func TestThePageKnowsItsSignInLibrary(t *testing.T) {
	names := regexp.MustCompile(`vendor/[\w.-]+\.js`).FindAllString(ownFiles(files)["js/msal.js"], -1)
	require.Len(t, names, 1)
	require.Equal(t, http.StatusOK, ask(t, http.MethodGet, "/"+names[0]).Code)
	require.NotContains(t, ownFiles(files)["index.html"], "msal-browser", "only where sign-in is on")
}

// The hashes of what is vendored stand in VENDORED.md, and nothing else lies there.
func TestVendoredFilesAreWhatTheyWere(t *testing.T) {
	list, err := files.ReadFile("vendor/VENDORED.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| (\S+\.js) \|.* ([0-9a-f]{64}) \|$`).FindAllStringSubmatch(string(list), -1)
	require.NotEmpty(t, rows)
	listed := map[string]string{}
	for _, row := range rows {
		listed[row[1]] = row[2]
	}
	entries, err := files.ReadDir("vendor")
	require.NoError(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".js") {
			continue
		}
		body, err := files.ReadFile("vendor/" + e.Name())
		require.NoError(t, err)
		sum := sha256.Sum256(body)
		require.Equal(t, listed[e.Name()], hex.EncodeToString(sum[:]), e.Name())
		delete(listed, e.Name())
	}
	require.Empty(t, listed, "listed but not there")
}

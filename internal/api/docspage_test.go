package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func docsOf(t *testing.T, a *API) (page, policy string) {
	t.Helper()
	w := served(t, a, httptest.NewRequest("GET", "/docs", nil))
	require.Equal(t, 200, w.Code)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	return w.Body.String(), w.Header().Get("Content-Security-Policy")
}

// The page needs nothing that its policy does not let it have.
func TestDocsPageRunsNothing(t *testing.T) {
	a, _, _, _ := testAPI(t)
	page, policy := docsOf(t, a)
	styles := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllStringSubmatch(page, -1)
	require.Len(t, styles, 1)
	sum := sha256.Sum256([]byte(styles[0][1]))
	require.Equal(t, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", policy)
	require.NotRegexp(t, `(?i)<(script|iframe|object|embed|form|img|link|base)\b`, page)
	require.NotRegexp(t, `(?i)<[^>]+\s(on[a-z]+|style|src|srcset)\s*=`, page)
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if link[1] == "/openapi.json" {
			continue
		}
		id, ok := strings.CutPrefix(link[1], "#")
		require.True(t, ok, "%s leads elsewhere", link[1])
		require.Equal(t, 1, strings.Count(page, `id="`+id+`"`), "%s leads nowhere", link[1])
	}
	require.NotContains(t, page, "ZgotmplZ", "the template did not trust something")
}

func TestDocsPageTellsAll(t *testing.T) {
	a, _, _, _ := testAPI(t)
	a.Features.AuthEnabled = true
	page, _ := docsOf(t, a)
	for _, route := range a.Routes() {
		require.Contains(t, page, `<article id="`+route.doc.id+`">`)
		for _, p := range route.params {
			require.Contains(t, page, "<code>"+p.name+"</code>")
		}
	}
	for _, c := range codeWords {
		require.Contains(t, page, "<code>"+string(c.code)+"</code>")
	}
	for _, want := range []string{
		`<li><code>fetch</code>: 10 requests in 1 hour</li>`, `<li><code>default</code>: 120 requests in 1 minute</li>`,
		"curl &#34;$AOC/api/events?service=Entra&amp;start=2026-03-31T08%3A00%3A00Z&amp;page_size=50&#34; \\\n  -H &#34;Authorization: Bearer $TOKEN&#34;</pre>",
		"curl &#34;$AOC/health&#34;</pre>",
		`-d &#39;{&#34;kind&#34;:&#34;renormalize&#34;`,
		`list of <a href="#shape-Event">Event</a>`, `<a href="#shape-Counts">Counts</a> or null`, "integer or null",
	} {
		require.Contains(t, page, want)
	}
	a, _, _, _ = testAPI(t)
	page, _ = docsOf(t, a)
	require.NotContains(t, page, "Authorization: Bearer $TOKEN", "no token is asked for")
	require.Contains(t, page, "Sign-in is off here")
}

// Whatever gets into the document, the page shows it as text.
func TestDocsPageEscapes(t *testing.T) {
	const evil = `</style></pre><script>alert(1)</script>"' onload=x`
	a, _, _, _ := testAPI(t)
	a.Version.Version = evil
	a.Quotas = DefaultQuotas(1, time.Minute)
	a.Quotas[Reads] = audit.Quota{Name: evil, Requests: 1, Window: time.Minute}
	page, _ := docsOf(t, a)
	require.Contains(t, page, "&lt;script&gt;alert(1)")
	require.NotContains(t, page, "<script")
	require.Equal(t, 1, strings.Count(page, "</style>"))
	require.Equal(t, `'it'\''s'`, quoted("it's"))
}

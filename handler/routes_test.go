package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"aoc"
	"aoc/internal/api"
	"aoc/internal/azfunc"

	"github.com/stretchr/testify/require"
)

// routes is what the handler serves, in the words of the host.
func routes() []azfunc.Route {
	all := []azfunc.Route{
		{Function: "ingest-timer", Method: "POST", Pattern: "/ingest-timer"},
		{Function: "ingest-worker", Method: "POST", Pattern: "/ingest-worker"},
		{Function: "retention", Method: "POST", Pattern: "/retention"},
	}
	for _, r := range (&api.API{}).Routes() {
		all = append(all, azfunc.Route{Function: r.Function, Method: r.Method, Pattern: r.Path})
		asked := func(other azfunc.Route) bool { return other.Method == "OPTIONS" && other.Pattern == r.Path }
		if r.Paged() && !slices.ContainsFunc(all, asked) { // one function carries it for the path
			all = append(all, azfunc.Route{Function: r.Function, Method: "OPTIONS", Pattern: r.Path})
		}
	}
	return all
}

func TestFunctionsAndRoutesAreEqual(t *testing.T) {
	app, err := azfunc.Open(aoc.Functions)
	require.NoError(t, err)
	require.Empty(t, app.CheckRoutes(routes()))
	require.NotEmpty(t, app.CheckRoutes(routes()[1:]), "a function without a route is seen")
	require.NotEmpty(t, app.CheckRoutes(append(routes(), azfunc.Route{Function: "events", Method: "DELETE", Pattern: "/api/events/{id}"})), "so is a route without a function")
}

func testApp(t *testing.T) *app {
	config, err := readConfig(from(map[string]string{
		"TENANT_ID": "8e2f1c3a-0000-4000-8000-00000000000a", "CLIENT_ID": "c", "CLIENT_SECRET": "s", "SQLITE_PATH": t.TempDir() + "/aoc.db",
		"AUTHORITY_HOST": "https://127.0.0.1:1", "GRAPH_BASE_URL": "https://127.0.0.1:1", "MANAGEMENT_BASE_URL": "https://127.0.0.1:1",
		"O365_WEBHOOK_AUTH_ID": "0123456789abcdef", "AUTH_ENABLED": "false", "DOCS_ENABLED": "true",
	}))
	require.NoError(t, err)
	a, err := wire(config, slog.New(slog.NewTextHandler(t.Output(), nil)))
	require.NoError(t, err)
	t.Cleanup(a.close)
	return a
}

func TestHandlerServesEveryRoute(t *testing.T) {
	h := testApp(t).handler()
	for _, r := range routes() {
		path := strings.ReplaceAll(r.Pattern, "{id}", "x")
		body := ""
		if r.Method == "POST" && !strings.HasPrefix(path, "/api/") {
			body = `{"Data":{"timer":{},"item":"{}"},"Metadata":{}}`
		}
		req := httptest.NewRequest(r.Method, "http://127.0.0.1"+path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
		req.Header.Set("X-Azure-Functions-InvocationId", "1")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code == http.StatusNotFound {
			require.Contains(t, r.Pattern, "{id}", "only what names a thing may be missing")
		}
		if r.Method != "OPTIONS" {
			require.NotEmpty(t, w.Body.Bytes(), "an empty answer would hang the invocation")
		}
	}
}

func TestRepeatedParametersInBothForms(t *testing.T) {
	var got string
	h := plainCommas(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.RawQuery }))
	for raw, want := range map[string]string{
		"service=Entra&service=Teams": "service=Entra&service=Teams",
		"service=Entra,Teams":         "service=Entra&service=Teams",
		"service=Entra%2CTeams":       "service=Entra%2CTeams",
		"search=a,b":                  "search=a%2Cb",
		"x=%zz":                       "x=%zz", // for the API to refuse
		"":                            "",
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?"+raw, nil))
		require.Equal(t, want, got, raw)
	}
}

func TestMistakesAreToldOnEveryRouteButOne(t *testing.T) {
	mistakes := errors.Join(errors.New("TENANT_ID: it must be set"), errors.New("LOG_LEVEL: expected debug"))
	h, closeAll := open(Config{}, mistakes, slog.New(slog.NewTextHandler(t.Output(), nil)))
	defer closeAll()
	get := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w
	}
	require.Equal(t, 200, get("GET", "/").Code, "the host would count an exit")
	for _, r := range routes() {
		w := get(r.Method, r.Pattern)
		require.Equal(t, 503, w.Code)
		var answer struct {
			Error struct{ Code, Message string }
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Equal(t, "misconfigured", answer.Error.Code)
		require.Contains(t, answer.Error.Message, "TENANT_ID: it must be set; LOG_LEVEL: expected debug")
	}
}

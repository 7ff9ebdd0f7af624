package azfunc

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOpenReportsEveryMistake(t *testing.T) {
	fsys := fstest.MapFS{
		"host.json": {Data: []byte(`{"version":"1.0","functionTimeout":"5m","customHandler":{"description":{},"enableForwarding":true},
			"extensions":{"queues":{"batchSize":64,"maxDequeuCount":5,"visibilityTimeout":30,"messageEncoding":"utf8"}}}`)},
	}
	_, err := Open(fsys)
	require.ErrorContains(t, err, "host.json: json: cannot unmarshal number", "a value of the wrong kind stops the reading of the file")
	require.ErrorContains(t, err, "there is no function")

	fsys["host.json"].Data = []byte(strings.Replace(string(fsys["host.json"].Data), `30,`, `"30s",`, 1))
	fsys["9/function.json"] = &fstest.MapFile{Data: []byte(`{"bindings":[]}`)}
	fsys["bad/function.json"] = &fstest.MapFile{Data: []byte(`{"bindngs":[]}`)}
	fsys["many/function.json"] = &fstest.MapFile{Data: []byte(`{"bindings":[
		{"name":"req","type":"httpTrigger","direction":"out","authLevel":"everyone","methods":["fetch"],"route":"a/{id","rout":1},
		{"name":"REQ","type":"blob","direction":"in"},
		{"name":"req","type":"queue","direction":"out","queueName":"Work_"},
		{"name":"a b","type":"timerTrigger","direction":"in","schedule":"often"},
		{"name":"x","type":"http","direction":7}]}`)}
	fsys["tick/function.json"] = &fstest.MapFile{Data: []byte(`{"bindings":[{"name":"timer","type":"timerTrigger","direction":"in","schedule":"often","runOnStartup":true}]}`)}
	_, err = Open(fsys)
	require.Error(t, err)
	for _, want := range []string{
		`host.json: version: expected "2.0", got "1.0"`,
		`host.json: functionTimeout: expected a time span hh:mm:ss, got "5m"`,
		`host.json: customHandler: unknown field "enableForwarding"`,
		`host.json: customHandler.description.defaultExecutablePath: is missing`,
		`host.json: extensions.queues: unknown field "maxDequeuCount"`,
		`host.json: extensions.queues.batchSize: expected 1 to 32, got 64`,
		`host.json: extensions.queues.visibilityTimeout: expected a time span`,
		`host.json: extensions.queues.messageEncoding: expected base64 or none, got "utf8"`,
		`9/function.json: folder: expected a letter`,
		`9/function.json: bindings: there is no trigger`,
		`bad/function.json: file: unknown field "bindngs"`,
		`many/function.json: bindings[0].direction: expected "in"`,
		`many/function.json: bindings[0].authLevel: expected anonymous`,
		`many/function.json: bindings[0].methods: "fetch" is no HTTP method`,
		`many/function.json: bindings[0].route: "{id" is not a whole segment`,
		`many/function.json: bindings[0].rout: a binding of type httpTrigger has no such property`,
		`many/function.json: bindings[1].type: expected one of http, httpTrigger, queue, queueTrigger, timerTrigger, got "blob"`,
		`many/function.json: bindings[2].name: "req" is the name of another binding too`,
		`many/function.json: bindings[2].queueName: expected 3 to 56`,
		`many/function.json: bindings[3].name: expected a letter`,
		`many/function.json: bindings[3].type: a function has one trigger`,
		`many/function.json: bindings[4]: cannot unmarshal number`,
		`tick/function.json: bindings[0].schedule: expected an NCRONTAB expression, got "often"`,
		`tick/function.json: bindings[0].runOnStartup: a binding of type timerTrigger has no such property`,
	} {
		require.ErrorContains(t, err, want)
	}
}

func TestOpenFindsClashes(t *testing.T) {
	_, err := Open(root(plainHost, map[string][]string{
		"one": {httpIn("a/{x}", "get"), httpOut2},
		"two": {httpIn("A/{y?}", "get", "post"), httpOut2},
		"ONE": {timerIn("* * * * * *")},
	}))
	require.ErrorContains(t, err, "names must differ in more than case")
	require.ErrorContains(t, err, "functions one and two: both have the route GET /A/{y?}")
}

func TestOpenDefaults(t *testing.T) {
	app := open(t, `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"aoc"}}}`, map[string][]string{
		"hello": {`{"name":"req","type":"httpTrigger","direction":"in","authLevel":"anonymous"}`, httpOut2},
	})
	require.Equal(t, "/api/hello", app.Functions()[0].Route, "the host's own prefix and the function's name")
	require.Empty(t, app.Functions()[0].Methods)
	require.Equal(t, settings{
		prefix: "api", initialization: 30 * time.Second, functionTimeout: 30 * time.Minute,
		batchSize: 16, newBatchThreshold: 8, maxDequeueCount: 5, base64: true,
	}, app.settings)
	m := mistakes{}
	require.Equal(t, 26*time.Hour+3*time.Minute+4*time.Second, m.span("x", "1.02:03:04", 0))
	require.Zero(t, m.span("x", "-1", time.Second))
	require.NoError(t, m.err())
}

// repository is the module's root.
const repository = "../.."

func TestOwnFunctions(t *testing.T) {
	app, err := Open(os.DirFS(repository))
	require.NoError(t, err)
	got := map[string]string{}
	for _, f := range app.Functions() {
		got[f.Name] = strings.TrimSpace(f.Trigger + " " + strings.Join(f.Methods, ",") + " " + f.Route + f.Schedule + f.Queue)
	}
	require.Equal(t, map[string]string{
		"ingest-timer":   "timerTrigger  */30 * * * * *",
		"ingest-worker":  "queueTrigger  aoc-work",
		"events":         "httpTrigger GET,OPTIONS /api/events/{id?}",
		"filter-options": "httpTrigger GET,OPTIONS /api/filter-options",
		"fetch":          "httpTrigger GET,OPTIONS,POST /api/fetch-audit-logs",
		"jobs":           "httpTrigger GET,OPTIONS /api/jobs/{id?}",
		"coverage":       "httpTrigger GET,OPTIONS /api/coverage", "quarantine": "httpTrigger GET,OPTIONS /api/quarantine",
		"quarantine-retry": "httpTrigger OPTIONS,POST /api/quarantine/retry", "preflight": "httpTrigger GET,OPTIONS /api/preflight",
		"job-start": "httpTrigger POST /api/jobs", "webhook-o365": "httpTrigger POST /api/webhooks/o365",
		"retention":     "timerTrigger  0 17 3 * * *",
		"source-health": "httpTrigger GET,OPTIONS /api/source-health",
		"health":        "httpTrigger GET /health",
		"health-ready":  "httpTrigger GET /health/ready",
		"metrics":       "httpTrigger GET /metrics",
		"openapi":       "httpTrigger GET /openapi.json",
		"docs":          "httpTrigger GET /docs",
		"version":       "httpTrigger GET,OPTIONS /api/version",
		"config":        "httpTrigger GET,OPTIONS /api/config/{section}",
	}, got)
	timer, ok := app.function("ingest-timer")
	require.True(t, ok)
	require.Equal(t, []Output{{Name: "work", Type: "queue", Queue: "aoc-work"}}, timer.Outputs)
	require.Equal(t, 5, app.settings.maxDequeueCount)
	require.True(t, app.settings.forward)
	require.True(t, app.settings.proxy)
	require.Empty(t, app.reachable())
}

// TestOwnFunctionsMatchTheSchema holds every function.json against the Functions
// host's own schema, which is beside the repository where the project is built.
func TestOwnFunctionsMatchTheSchema(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "../shared/tools/schemas/function.json"))
	if os.IsNotExist(err) && os.Getenv("CI") != "true" {
		t.Skip("the schema is not on this computer")
	}
	require.NoError(t, err)
	var s map[string]any
	require.NoError(t, json.Unmarshal(text, &s))
	files, err := filepath.Glob(filepath.Join(repository, "functions", "*", "function.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var value any
		require.NoError(t, json.Unmarshal(text, &value))
		require.Empty(t, schema{s}.faults(s, value, filepath.Base(filepath.Dir(file))))
	}
	for _, bad := range []string{
		`{"bindings":[{"name":"a","type":"timerTrigger","direction":"in","schedule":"often"}]}`,
		`{"bindings":[{"name":"a","type":"httpTrigger","direction":"out"}]}`,
		`{"bindings":[{"type":"queue","direction":"out"}]}`,
		`{"bindings":{}}`,
	} {
		var value any
		require.NoError(t, json.Unmarshal([]byte(bad), &value))
		require.NotEmpty(t, schema{s}.faults(s, value, ""), bad)
	}
}

package azfunc

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// further is an HTTP function with a queue output beside its answer.
func further(out string) map[string][]string {
	return map[string][]string{"fetch": {
		httpIn("api/fetch/{kind?}", "get", "post"),
		`{"name":"` + out + `","type":"http","direction":"out"}`,
		queueOut,
	}}
}

func TestHTTPEnvelope(t *testing.T) {
	var got, path string
	host := over(t, open(t, plainHost, further("res")), func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			got, path = readAll(r), r.URL.Path
		}
		answerWith(`{"Outputs":{"res":{"statusCode":"202","headers":{"X-A":"1","Content-Type":"application/json"},"body":{"a":1}},"out":[{"job":1}]}}`)(w)
	}, HostOptions{})
	resp, body := send(t, "POST", host+"/api/fetch/now?hours=5&a=1&a=2", strings.NewReader(`{"hours":3}`), "Content-Type", "application/json")
	require.Equal(t, 202, resp.StatusCode)
	require.Equal(t, "1", resp.Header.Get("X-A"))
	require.Equal(t, "{\n  \"a\": 1\n}", body)
	require.Equal(t, "/fetch", path, "an envelope goes to the function's name")

	var envelope struct {
		Data     struct{ Req map[string]any }
		Metadata map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(got), &envelope))
	req := envelope.Data.Req
	require.Equal(t, host+"/api/fetch/now?hours=5&a=1&a=2", req["Url"])
	require.Equal(t, "POST", req["Method"])
	require.Equal(t, map[string]any{"hours": "5", "a": "1,2"}, req["Query"])
	require.Equal(t, map[string]any{"kind": "now"}, req["Params"])
	require.Equal(t, `{"hours":3}`, req["Body"])
	require.Equal(t, []any{"application/json"}, req["Headers"].(map[string]any)["Content-Type"])
	require.Len(t, req["Identities"], 1)
	require.Equal(t, `"5"`, envelope.Metadata["hours"])
	require.Equal(t, `"2"`, envelope.Metadata["a"])
	require.Equal(t, `"now"`, envelope.Metadata["kind"])
	require.Equal(t, map[string]any{"hours": "5", "a": "2"}, envelope.Metadata["Query"])
	require.Equal(t, "application/json", envelope.Metadata["Headers"].(map[string]any)["Content-Type"])
	require.Equal(t, "fetch", envelope.Metadata["sys"].(map[string]any)["MethodName"])
}

func TestHTTPEnvelopeAnswers(t *testing.T) {
	const plain = "text/plain; charset=utf-8"
	tests := []struct {
		name, output, answer string
		status               int
		contentType, body    string
	}{
		{"an object without a type is text", "res", `{"Outputs":{"res":{"body":{"a":1}}}}`, 200, plain, "{\n  \"a\": 1\n}"},
		{"a string as it is", "res", `{"Outputs":{"res":{"statusCode":201,"body":"aGVsbG8="}}}`, 201, plain, "aGVsbG8="},
		{"status without a body", "res", `{"Outputs":{"res":{"statusCode":204}}}`, 204, plain, ""},
		{"no output", "res", `{"Outputs":{}}`, 200, plain, "{}"},
		{"output of another name", "res", `{"Outputs":{"other":{"body":"x"}}}`, 200, plain, "{}"},
		{"not an object", "res", `{"Outputs":{"res":"x"}}`, 200, plain, "{}"},
		{"return value", "$return", `{"ReturnValue":{"statusCode":202,"body":"x"}}`, 202, plain, "x"},
		{"return value alone", "$return", `{"ReturnValue":"x!"}`, 200, plain, "x!"},
		{"return value decoded", "$return", `{"ReturnValue":"aGVsbG8="}`, 200, plain, "hello"},
		{"return value that is the body", "$return", `{"ReturnValue":{"a":1}}`, 200, plain, "{\n  \"a\": 1\n}"},
		{"no JSON", "res", `{"Outputs"`, 500, "", ""},
		{"no status", "res", `{"Outputs":{"res":{"statusCode":"x"}}}`, 500, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host := over(t, open(t, plainHost, further(tt.output)), func(w http.ResponseWriter, _ *http.Request) { answerWith(tt.answer)(w) }, HostOptions{})
			resp, body := send(t, "GET", host+"/api/fetch", nil)
			require.Equal(t, tt.status, resp.StatusCode)
			require.Equal(t, tt.contentType, resp.Header.Get("Content-Type"))
			require.Equal(t, tt.body, body)
		})
	}
}

// TestForwardingOff sends even an HTTP-only function its envelope.
func TestForwardingOff(t *testing.T) {
	off := strings.NewReplacer(`"enableForwardingHttpRequest":true,`, "", `"enableProxyingHttpRequest":true`, `"enableForwardingHttpRequest":false`).Replace(plainHost)
	host := over(t, open(t, off, echoApp), func(w http.ResponseWriter, r *http.Request) {
		answerWith(`{"Outputs":{"res":{"body":"` + r.Method + " " + r.URL.Path + `"}}}`)(w)
	}, HostOptions{Proxying: true})
	_, body := send(t, "GET", host+"/api/echo/1", nil)
	require.Equal(t, "POST /echo", body)
}

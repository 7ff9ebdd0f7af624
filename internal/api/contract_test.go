package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"
)

// contract is /openapi.json as its readers see it: JSON, by which every answer
// of the suite is checked. Fields that it does not tell of are refused.
type contract struct {
	doc    map[string]any
	routes *http.ServeMux // to find the route of a request
	mu     sync.Mutex
	made   map[string]*jsonschema.Resolved // schemas, by their JSON
}

// suite is the contract of all the suite's answers: the document's shapes are
// the same whatever the API's settings.
var suite = sync.OnceValues(func() (*contract, error) { return contractOf(&API{}) })

func contractOf(a *API) (*contract, error) {
	doc, err := a.document()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	c := &contract{routes: http.NewServeMux(), made: map[string]*jsonschema.Resolved{}}
	for _, r := range a.Routes() {
		c.routes.Handle(r.Method+" "+r.Path, http.NotFoundHandler())
	}
	return c, json.Unmarshal(text, &c.doc)
}

// served asks the API, and holds the answer against the document.
func served(t *testing.T, a *API, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	sent, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	r.Body = io.NopCloser(bytes.NewReader(sent))
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	c, err := suite()
	require.NoError(t, err)
	require.Empty(t, c.faults(r, sent, w.Code, w.Header(), w.Body.Bytes()), "%s %s is not as the document says: %.300s", r.Method, r.URL, w.Body)
	return w
}

// faults tells in what an answer is not as the document says.
func (c *contract) faults(r *http.Request, sent []byte, status int, h http.Header, body []byte) []string {
	if r.Method == http.MethodOptions {
		return nil // the document tells of none
	}
	_, pattern := c.routes.Handler(r)
	if pattern == "" {
		return c.stray(status, body)
	}
	method, path, _ := strings.Cut(pattern, " ")
	op := c.at(c.at(c.doc["paths"])[path])[strings.ToLower(method)]
	told, ok := c.at(c.at(op)["responses"])[strconv.Itoa(status)]
	if !ok {
		return []string{fmt.Sprintf("%s does not tell of status %d", pattern, status)}
	}
	response := c.at(told)
	found := c.headerFaults(c.at(response["headers"]), h)
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	content, ok := c.at(response["content"])[media]
	if err != nil || !ok {
		return append(found, fmt.Sprintf("%s %d does not tell of %q", pattern, status, h.Get("Content-Type")))
	}
	if media == mediaJSON {
		found = append(found, c.bodyFaults("the answer", c.at(content)["schema"], body, ours)...)
	}
	if taken, ok := c.at(op)["requestBody"]; ok && status < 300 && len(sent) > 0 {
		found = append(found, c.bodyFaults("the request that was taken", c.at(c.at(c.at(taken)["content"])[mediaJSON])["schema"], sent, theirs)...)
	}
	return found
}

// stray is about requests that no route takes.
func (c *contract) stray(status int, body []byte) []string {
	if status != http.StatusNotFound && status != http.StatusForbidden {
		return []string{fmt.Sprintf("status %d of no route", status)}
	}
	return c.bodyFaults("the answer", map[string]any{"$ref": shapePath + "Error"}, body, ours)
}

// at is the object that a part of the document is or refers to.
func (c *contract) at(part any) map[string]any {
	m, _ := part.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	var at any = c.doc
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(map[string]any)[name]
	}
	return at.(map[string]any)
}

func (c *contract) headerFaults(told map[string]any, h http.Header) (found []string) {
	all := c.at(c.at(c.doc["components"])["headers"])
	for name := range all {
		_, listed := told[name]
		value := h.Get(name)
		header := c.at(all[name])
		switch {
		case !listed && value != "":
			found = append(found, "the header "+name+" is not told of")
		case listed && value == "" && header["required"] == true:
			found = append(found, "the header "+name+" is missing")
		case listed && value != "":
			if err := c.check(header["schema"], value, ours); err != nil {
				found = append(found, fmt.Sprintf("the header %s: %v", name, err))
			}
		}
	}
	return found
}

func (c *contract) bodyFaults(what string, schema any, body []byte, by whose) []string {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return []string{what + " is no JSON: " + err.Error()}
	}
	if err := c.check(schema, value, by); err != nil {
		return []string{what + ": " + err.Error()}
	}
	return nil
}

// check validates a value by a schema of the document.
func (c *contract) check(schema, value any, by whose) error {
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := string(by) + string(text)
	resolved := c.made[key]
	if resolved == nil {
		if resolved, err = c.resolve(text, by); err != nil {
			return err
		}
		c.made[key] = resolved
	}
	return resolved.Validate(value)
}

// resolve makes a schema of the document stand alone, with all that it may
// refer to, and tightens it.
func (c *contract) resolve(text []byte, by whose) (*jsonschema.Resolved, error) {
	shapes, err := json.Marshal(c.at(c.at(c.doc["components"])["schemas"]))
	if err != nil {
		return nil, err
	}
	alone := strings.ReplaceAll(fmt.Sprintf(`{"allOf":[%s],"$defs":%s}`, text, shapes), shapePath, "#/$defs/")
	var value map[string]any
	if err := json.Unmarshal([]byte(alone), &value); err != nil {
		return nil, err
	}
	by.tighten(value)
	closed, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(closed, &schema); err != nil {
		return nil, err
	}
	return schema.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
}

// whose the JSON is that is checked.
type whose string

const (
	ours   whose = "answer"  // it has no field that the document does not tell of, and its times are UTC
	theirs whose = "request" // it is as the document says and no stricter
)

// tighten checks what the schema leaves to formats and, of our own answers,
// what it lets pass for the sake of those to come.
func (by whose) tighten(schema map[string]any) {
	formats := map[string]string{"date-time": `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`, "date": `^\d{4}-\d\d-\d\d$`}
	if by == ours {
		formats["date-time"] = `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`
	}
	if format, ok := schema["format"].(string); ok {
		schema["pattern"] = cmp.Or(formats[format], "no such format")
	}
	if _, ok := schema["properties"]; ok && by == ours && schema["additionalProperties"] == nil {
		schema["additionalProperties"] = false
	}
	for _, key := range []string{"properties", "$defs"} {
		named, _ := schema[key].(map[string]any)
		for _, part := range named {
			if s, ok := part.(map[string]any); ok {
				by.tighten(s)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if s, ok := schema[key].(map[string]any); ok {
			by.tighten(s)
		}
	}
	for _, key := range []string{"anyOf", "allOf"} {
		list, _ := schema[key].([]any)
		for _, part := range list {
			by.tighten(part.(map[string]any))
		}
	}
}

// No test asks the API but through served, so that none goes unchecked.
func TestEveryAnswerIsChecked(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	asked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		asked += strings.Count(string(text), "ServeHTTP"+"(")
	}
	require.Equal(t, 1, asked, "ask by served")
}

// An answer that is not as the document says is found, whatever it lacks.
func TestTheContractBites(t *testing.T) {
	c, err := suite()
	require.NoError(t, err)
	event, err := json.Marshal(sampleEvent)
	require.NoError(t, err)
	page := func(change ...string) string {
		text := `{"events":[` + string(event) + `],"next_cursor":"","page_size":50}`
		for i := 0; i < len(change); i += 2 {
			require.Contains(t, text, change[i])
			text = strings.Replace(text, change[i], change[i+1], 1)
		}
		return text
	}
	good := func() http.Header {
		return http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Request-Id": {"r1"}, "Ratelimit": {`"default";r=1;t=1`}}
	}
	tests := map[string]struct {
		target string
		status int
		body   string
		header [2]string // to set; "" as the value removes it
		fault  string
	}{
		"as it should be":               {"/api/events", 200, page(), [2]string{}, ""},
		"a status that is not told":     {"/api/events", 404, `{"error":{"code":"not_found","message":"m","request_id":"r"}}`, [2]string{}, "status 404"},
		"a success that is not told":    {"/api/events", 202, page(), [2]string{}, "status 202"},
		"a field too many":              {"/api/events", 200, page(`"page_size":50`, `"page_size":50,"total":9`), [2]string{}, "total"},
		"a field too many, deep":        {"/api/events", 200, page(`"actor":{`, `"actor":{"mail":"x",`), [2]string{}, "mail"},
		"a field missing":               {"/api/events", 200, page(`,"page_size":50`, ``), [2]string{}, "page_size"},
		"null for a list":               {"/api/events", 200, page(`"targets":[{"id":"2c1f","name":"Bob Ray","type":"User"}]`, `"targets":null`), [2]string{}, "targets"},
		"text for a number":             {"/api/events", 200, page(`"page_size":50`, `"page_size":"50"`), [2]string{}, "page_size"},
		"a fraction for a whole number": {"/api/events", 200, page(`"page_size":50`, `"page_size":50.5`), [2]string{}, "page_size"},
		"a word that is none of them":   {"/api/events", 200, page(`"result":"success"`, `"result":"great"`), [2]string{}, "great"},
		"a feed that there is not":      {"/api/events", 200, page(`"entra.directory"`, `"entra.tomorrow"`), [2]string{}, "entra.tomorrow"},
		"a time without a zone":         {"/api/events", 200, page(`.3456789Z"`, `"`), [2]string{}, "time"},
		"an error of another shape":     {"/api/events", 500, `{"error":"it broke"}`, [2]string{}, "error"},
		"an error's code of our own":    {"/api/events", 500, `{"error":{"code":"oops","message":"m","request_id":"r"}}`, [2]string{}, "oops"},
		"no JSON":                       {"/api/events", 200, `<html>`, [2]string{}, "no JSON"},
		"another form":                  {"/api/events", 200, page(), [2]string{"Content-Type", "text/csv"}, "text/csv"},
		"no request id":                 {"/api/events", 200, page(), [2]string{"X-Request-Id", ""}, "X-Request-Id is missing"},
		"a header that is not told":     {"/api/events", 200, page(), [2]string{"Location", "/api/jobs/1"}, "Location is not told of"},
		"a header of another shape":     {"/api/events", 200, page(), [2]string{"RateLimit", "lots"}, "RateLimit"},
		"a refusal without a challenge": {"/api/events", 401, `{"error":{"code":"unauthenticated","message":"m","request_id":"r"}}`, [2]string{"Ratelimit", ""}, "WWW-Authenticate is missing"},
		"an answer of no route":         {"/api/nothing", 200, `{}`, [2]string{}, "of no route"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := good()
			if tt.header[0] != "" {
				h.Set(tt.header[0], tt.header[1])
			}
			found := c.faults(httptest.NewRequest("GET", tt.target, nil), nil, tt.status, h, []byte(tt.body))
			if tt.fault == "" {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.Contains(t, found[0], tt.fault)
		})
	}
	taken := c.faults(httptest.NewRequest("POST", "/api/quarantine/retry", nil), []byte(`{"ids":[]}`), 202, http.Header{
		"Content-Type": {mediaJSON}, "X-Request-Id": {"r1"}, "Location": {"/api/jobs/1"},
	}, fmt.Appendf(nil, `{"job":%s}`, exampleOf(t, c, "startJob")))
	require.Len(t, taken, 1, "a body that was taken and must not be")
	require.Contains(t, taken[0], "the request that was taken")
}

// exampleOf is the job in the example of an operation's answer.
func exampleOf(t *testing.T, c *contract, id string) []byte {
	t.Helper()
	for _, methods := range c.at(c.doc["paths"]) {
		for _, op := range c.at(methods) {
			if c.at(op)["operationId"] == id {
				sample := c.at(c.at(c.at(c.at(c.at(c.at(op)["responses"])["202"])["content"])[mediaJSON])["example"])["job"]
				text, err := json.Marshal(sample)
				require.NoError(t, err)
				return text
			}
		}
	}
	t.Fatalf("no operation %s", id)
	return nil
}

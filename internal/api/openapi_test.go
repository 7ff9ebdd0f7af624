package api

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func TestDocument(t *testing.T) {
	a, _, _, _ := testAPI(t)
	c, err := contractOf(a)
	require.NoError(t, err)
	require.Equal(t, "3.1.1", c.doc["openapi"])
	require.Equal(t, "v1", c.at(c.doc["info"])["version"])
	status, answer, _ := call(t, a, "GET", "/openapi.json", "")
	require.Equal(t, 200, status)
	require.Equal(t, c.doc, answer, "it is what is served")

	ids, listed := map[string]bool{}, 0
	for path, methods := range c.at(c.doc["paths"]) {
		for method, part := range c.at(methods) {
			listed++
			name, op := strings.ToUpper(method)+" "+path, c.at(part)
			require.True(t, slices.ContainsFunc(a.Routes(), func(r Route) bool { return r.Method+" "+r.Path == name }), "%s is not served", name)
			id, _ := op["operationId"].(string)
			require.Regexp(t, `^[a-z][A-Za-z]+$`, id, name)
			require.False(t, ids[id], "%s is twice", id)
			ids[id] = true
			require.NotEmpty(t, op["summary"], name)
			require.True(t, slices.ContainsFunc(tags, func(tag docTag) bool { return tag.Name == op["tags"].([]any)[0] }), name)
			require.ElementsMatch(t, placeholders(path), names(op, "path"), name)
			for _, p := range parametersOf(op) {
				require.NotEmpty(t, p["description"], "%s %s", name, p["name"])
				require.NotNil(t, p["example"], "%s %s", name, p["name"])
				require.Equal(t, p["in"] == "path", p["required"] == true, "%s %s", name, p["name"])
			}
			require.True(t, slices.ContainsFunc(slices.Collect(maps.Keys(c.at(op["responses"]))), func(s string) bool { return s[0] == '2' }), name)
			for status, r := range c.at(op["responses"]) {
				require.NotEmpty(t, c.at(r)["description"], "%s %s", name, status)
			}
		}
	}
	require.Equal(t, len(a.Routes()), listed, "every route is told of")
}

// What a route takes and what the document lists are one list.
func TestParametersAreThoseThatAreTaken(t *testing.T) {
	a, _, _, _ := guarded(t)
	c, err := suite()
	require.NoError(t, err)
	for _, route := range a.Routes() {
		if route.doc.lenient || route.Path == "/api/webhooks/o365" { // Microsoft's calls may grow
			continue
		}
		op := c.at(c.at(c.at(c.doc["paths"])[route.Path])[strings.ToLower(route.Method)])
		target, body := sample(route)
		status, answer, _ := call(t, a, route.Method, target+"?nonsense=1", body, as(chief)...)
		require.Equal(t, 400, status, "%s %s", route.Method, route.Path)
		_, message := told(t, answer)
		listed := names(op, "query")
		if len(listed) == 0 {
			require.Contains(t, message, "takes none")
			continue
		}
		require.True(t, strings.HasSuffix(message, "expected "+strings.Join(listed, ", ")), message)
	}
}

// Every reference leads to something, and every schema can be used.
func TestReferencesResolve(t *testing.T) {
	c, err := suite()
	require.NoError(t, err)
	used := map[string]bool{}
	walk(c.doc, func(m map[string]any) {
		if ref, ok := m["$ref"].(string); ok {
			require.NotEmpty(t, c.at(m), ref)
			used[ref] = true
		}
		if schema, ok := m["schema"]; ok {
			text, err := json.Marshal(schema)
			require.NoError(t, err)
			_, err = c.resolve(text, theirs)
			require.NoError(t, err, "%s", text)
		}
	})
	for kind, named := range c.at(c.doc["components"]) {
		for name := range c.at(named) {
			require.True(t, kind == "securitySchemes" || used["#/components/"+kind+"/"+name], "nothing refers to %s %s", kind, name)
		}
	}
}

func TestEveryFieldIsExplained(t *testing.T) {
	c, err := suite()
	require.NoError(t, err)
	said := maps.Clone(words)
	for name, part := range c.at(c.at(c.doc["components"])["schemas"]) {
		delete(said, name)
		for field, p := range c.at(c.at(part)["properties"]) {
			property, _ := p.(map[string]any)
			require.NotEmpty(t, property["description"], "%s.%s: say what it is in its jsonschema tag or in words", name, field)
			delete(said, name+"."+field)
		}
	}
	require.Empty(t, said, "there are no such fields")
}

func TestEveryExampleIsAsTheDocumentSays(t *testing.T) {
	c, err := suite()
	require.NoError(t, err)
	checked := 0
	check := func(schema, sample any, by whose) {
		t.Helper()
		require.NoError(t, c.check(schema, sample, by), "%v", sample)
		checked++
	}
	media := func(part any, by whose) {
		for _, m := range c.at(part) {
			schema := c.at(m)["schema"]
			if sample, ok := c.at(m)["example"]; ok {
				check(schema, sample, by)
			}
			for _, sample := range c.at(c.at(m)["examples"]) {
				check(schema, sample.(map[string]any)["value"], by)
			}
		}
	}
	for _, methods := range c.at(c.doc["paths"]) {
		for _, part := range c.at(methods) {
			op := c.at(part)
			for _, p := range parametersOf(op) {
				check(p["schema"], p["example"], theirs)
			}
			media(c.at(op["requestBody"])["content"], theirs)
			for _, r := range c.at(op["responses"]) {
				media(c.at(r)["content"], ours)
			}
		}
	}
	require.Greater(t, checked, 3*len((&API{}).Routes()))
	require.Error(t, c.check(map[string]any{"$ref": shapePath + "Error"}, map[string]any{"error": "x"}, ours))
}

// The examples of parameters are taken by the routes themselves, one by one and
// as the page's calls by curl have them together.
func TestExamplesOfParametersAreTaken(t *testing.T) {
	a, _, _, _ := guarded(t)
	for _, route := range a.Routes() {
		if len(route.query()) == 0 {
			continue
		}
		shown := url.Values{}
		asks := []url.Values{}
		for _, p := range route.params {
			if p.in != inQuery || p.name == "cursor" { // a cursor is good for its own search only
				continue
			}
			one := url.Values{p.name: {fmt.Sprint(p.example)}}
			if p.shown {
				shown[p.name] = one[p.name]
			}
			if route.Path == "/api/coverage" && p.name == "start" {
				one.Set("end", "2026-04-01") // else it would be a long time until now
			}
			asks = append(asks, one)
		}
		for _, query := range append(asks, shown) {
			target, body := sample(route)
			status, answer, _ := call(t, a, route.Method, target+"?"+query.Encode(), body, as(chief)...)
			require.Less(t, status, 300, "%s %v: %v", route.Path, query, answer)
		}
	}
}

func TestTwoTypesHaveTwoNames(t *testing.T) {
	type Event struct{ ID string }
	s := shapes{named: map[reflect.Type]string{}, closed: map[reflect.Type]bool{}}
	_, err := s.of(reflect.TypeFor[audit.Event]())
	require.NoError(t, err)
	_, err = s.of(reflect.TypeFor[[]Event]())
	require.ErrorContains(t, err, "would both be called Event")
}

func TestDocumentIsOneAndTheSame(t *testing.T) {
	made := func() ([]byte, []byte) {
		a, _, _, _ := testAPI(t)
		d := a.docs.of(a)
		require.NoError(t, d.err)
		return d.json, d.page
	}
	document, page := made()
	for range 5 {
		again, pageAgain := made()
		require.Equal(t, string(document), string(again))
		require.Equal(t, string(page), string(pageAgain))
	}
}

func TestDocsAreOffUnlessSaid(t *testing.T) {
	a, _, _, _ := testAPI(t)
	a.DocsEnabled = false
	for _, target := range []string{"/openapi.json", "/docs", "/docs?x=1"} {
		status, _, _ := call(t, a, "GET", target, "")
		require.Equal(t, http.StatusNotFound, status, target)
	}
}

func TestSecurityIsAsTheRowSays(t *testing.T) {
	for _, on := range []bool{true, false} {
		a, _, _, _ := testAPI(t)
		a.Features.AuthEnabled = on
		doc, err := a.document()
		require.NoError(t, err)
		for _, route := range a.Routes() {
			op := doc.Paths[route.Path][strings.ToLower(route.Method)]
			require.Equal(t, on && route.Access != Open, len(op.Security) == 1, "%s %s", route.Method, route.Path)
			require.Contains(t, op.Description, accessWords[route.Access])
			require.Equal(t, route.Access != Open, op.Responses["401"] != nil)
			require.Equal(t, route.Kind != Unlimited, op.Responses["429"] != nil)
			for _, status := range []string{"403", "500", "503"} {
				require.NotNil(t, op.Responses[status])
			}
		}
	}
}

// Each kind of error that is answered with is told of, under its status.
func TestErrorCodesAreTold(t *testing.T) {
	told := func(status int, code errorCode) bool {
		return slices.ContainsFunc(codeWords, func(c codeWord) bool { return c.status == status && c.code == code })
	}
	for _, s := range statuses {
		require.True(t, told(s.status, s.code), "%d %s", s.status, s.code)
	}
	require.True(t, told(429, "rate_limited") && told(500, "internal"))
	for _, c := range codeWords {
		answered := slices.ContainsFunc(statuses, func(s failing) bool { return s.code == c.code })
		require.True(t, answered || slices.Contains([]errorCode{"rate_limited", "internal", "misconfigured"}, c.code), "nothing answers %s", c.code)
	}
}

// Types of words list all of their words, wherever in the package these are.
func TestWordsAreAllOfThem(t *testing.T) {
	for folder, prefix := range map[string]string{"../audit": "audit.", ".": "api."} {
		for name, values := range constants(t, folder) {
			for typ, e := range enums {
				if typ.String() == prefix+name {
					listed := []string{}
					for _, v := range e.values {
						listed = append(listed, v.(string))
					}
					require.ElementsMatch(t, values, listed, typ)
				}
			}
		}
	}
	require.Len(t, enums[reflect.TypeFor[errorCode]()].values, len(codeWords))
}

// constants are the texts of a package's typed constants, by type.
func constants(t *testing.T, folder string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			typ, isType := spec.Type.(*ast.Ident)
			text, isText := spec.Values[0].(*ast.BasicLit)
			if isType && isText && text.Kind == token.STRING {
				value, err := strconv.Unquote(text.Value)
				require.NoError(t, err)
				all[typ.Name] = append(all[typ.Name], value)
			}
			return true
		})
	}
	return all
}

func placeholders(path string) []string {
	found := []string{}
	for _, m := range regexp.MustCompile(`\{([a-z]+)\}`).FindAllStringSubmatch(path, -1) {
		found = append(found, m[1])
	}
	return found
}

func parametersOf(op map[string]any) []map[string]any {
	list, _ := op["parameters"].([]any)
	all := make([]map[string]any, len(list))
	for i, p := range list {
		all[i] = p.(map[string]any)
	}
	return all
}

func names(op map[string]any, in string) []string {
	found := []string{}
	for _, p := range parametersOf(op) {
		if p["in"] == in {
			found = append(found, p["name"].(string))
		}
	}
	return found
}

// walk visits every object of a document, but for those of its examples.
func walk(part any, visit func(map[string]any)) {
	switch v := part.(type) {
	case map[string]any:
		visit(v)
		for key, inner := range v {
			if key != "example" && key != "examples" {
				walk(inner, visit)
			}
		}
	case []any:
		for _, inner := range v {
			walk(inner, visit)
		}
	}
}

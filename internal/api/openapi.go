package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"

	"aoc/internal/audit"
)

// The parts of an OpenAPI 3.1 document that AOC uses, by its own names.
// (OpenAPI Specification 3.1.1, Schema.)
type (
	document struct {
		OpenAPI    string                           `json:"openapi"`
		Info       docInfo                          `json:"info"`
		Servers    []docServer                      `json:"servers"`
		Tags       []docTag                         `json:"tags"`
		Paths      map[string]map[string]*operation `json:"paths"`
		Components components                       `json:"components"`
	}
	docInfo struct {
		Title       string `json:"title"`
		Version     string `json:"version"`
		Description string `json:"description"`
	}
	docServer struct {
		URL         string `json:"url"`
		Description string `json:"description"`
	}
	docTag struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	components struct {
		Schemas         map[string]*jsonschema.Schema `json:"schemas"`
		Responses       map[string]*response          `json:"responses"`
		Headers         map[string]*header            `json:"headers"`
		SecuritySchemes map[string]securityScheme     `json:"securitySchemes"`
	}
	securityScheme struct {
		Type         string `json:"type"`
		Scheme       string `json:"scheme"`
		BearerFormat string `json:"bearerFormat"`
		Description  string `json:"description"`
	}
	operation struct {
		OperationID string                `json:"operationId"`
		Tags        []string              `json:"tags"`
		Summary     string                `json:"summary"`
		Description string                `json:"description"`
		Parameters  []parameter           `json:"parameters,omitempty"`
		RequestBody *requestBody          `json:"requestBody,omitempty"`
		Responses   map[string]*response  `json:"responses"`
		Security    []map[string][]string `json:"security"`
	}
	parameter struct {
		Name        string             `json:"name"`
		In          string             `json:"in"`
		Description string             `json:"description"`
		Required    bool               `json:"required,omitempty"`
		Schema      *jsonschema.Schema `json:"schema"`
		Example     any                `json:"example,omitempty"`
		shown       bool
	}
	requestBody struct {
		Content map[string]*mediaType `json:"content"`
	}
	response struct {
		Ref         string                `json:"$ref,omitempty"`
		Description string                `json:"description,omitempty"`
		Headers     map[string]*header    `json:"headers,omitempty"`
		Content     map[string]*mediaType `json:"content,omitempty"`
	}
	mediaType struct {
		Schema   *jsonschema.Schema `json:"schema"`
		Example  any                `json:"example,omitempty"`
		Examples map[string]example `json:"examples,omitempty"`
	}
	example struct {
		Value any `json:"value"`
	}
	header struct {
		Ref         string             `json:"$ref,omitempty"`
		Description string             `json:"description,omitempty"`
		Required    bool               `json:"required,omitempty"`
		Schema      *jsonschema.Schema `json:"schema,omitempty"`
	}
)

// docs is the document and the page of it, made when somebody first asks.
type docs struct {
	once sync.Once
	json []byte
	page []byte
	err  error
}

func (d *docs) of(a *API) *docs {
	d.once.Do(func() {
		var doc *document
		if doc, d.err = a.document(); d.err != nil {
			return
		}
		if d.json, d.err = json.MarshalIndent(doc, "", "  "); d.err == nil {
			d.page, d.err = page(doc, a.Routes())
		}
	})
	return d
}

// openAPI serves the document.
func (a *API) openAPI(w http.ResponseWriter, r *http.Request) error {
	made, err := a.described(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaJSON)
	_, _ = w.Write(made.json) // a caller who hung up is no failure
	return nil
}

func (a *API) described(r *http.Request) (*docs, error) {
	if !a.DocsEnabled {
		return nil, audit.ErrNotFound
	}
	if _, err := params(r); err != nil {
		return nil, err
	}
	made := a.docs.of(a)
	return made, made.err
}

// scribe writes one document.
type scribe struct {
	api    *API
	shapes shapes
	err    error // the first one
}

// document tells of every route. It fails where two types would have one name,
// or one cannot be told in a schema: a test builds it.
func (a *API) document() (*document, error) {
	s := &scribe{api: a, shapes: shapes{named: map[reflect.Type]string{}, closed: map[reflect.Type]bool{}}}
	doc := &document{
		OpenAPI: "3.1.1",
		Info:    docInfo{Title: "Admin Operations Center", Version: cmp.Or(a.Version.Version, "0"), Description: a.preface()},
		Servers: []docServer{{URL: "/", Description: "This AOC"}},
		Tags:    tags,
		Paths:   map[string]map[string]*operation{},
	}
	for _, route := range a.Routes() {
		if doc.Paths[route.Path] == nil {
			doc.Paths[route.Path] = map[string]*operation{}
		}
		doc.Paths[route.Path][strings.ToLower(route.Method)] = s.operation(route)
	}
	doc.Components.Responses = s.failures()
	doc.Components.Headers = headers
	doc.Components.SecuritySchemes = map[string]securityScheme{"bearer": {
		Type: "http", Scheme: "bearer", BearerFormat: "JWT",
		Description: "An access token of Microsoft Entra for this AOC; /api/config/auth tells where to get one.",
	}}
	schemas, err := s.shapes.components()
	doc.Components.Schemas = schemas
	return doc, cmp.Or(s.err, err)
}

// schema is of a value's type; what cannot be told is the document's error.
func (s *scribe) schema(t reflect.Type) *jsonschema.Schema {
	schema, err := s.shapes.of(t)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("describe the API: %w", err)
	}
	return schema
}

func (s *scribe) operation(r Route) *operation {
	op := &operation{
		OperationID: r.doc.id, Tags: []string{r.doc.tag}, Summary: r.doc.summary, Description: s.api.describe(r),
		Responses: map[string]*response{}, Security: []map[string][]string{},
	}
	if r.Access != Open && s.api.Features.AuthEnabled {
		op.Security = append(op.Security, map[string][]string{"bearer": {}})
	}
	for _, p := range r.params {
		op.Parameters = append(op.Parameters, s.parameter(p))
	}
	if r.doc.takes != nil {
		op.RequestBody = &requestBody{Content: map[string]*mediaType{mediaJSON: s.body(r.doc)}}
	}
	for _, status := range r.failures() {
		op.Responses[strconv.Itoa(status)] = &response{Ref: "#/components/responses/" + failureName(status)}
	}
	for _, g := range r.doc.gives {
		s.reply(op, r, g)
	}
	return op
}

func (s *scribe) parameter(p param) parameter {
	schema := p.schema
	if p.named != nil {
		schema = s.schema(p.named)
	}
	if p.many > 0 {
		schema = &jsonschema.Schema{Type: "array", Items: schema, MaxItems: &p.many}
	}
	told := parameter{Name: p.name, In: p.in, Description: p.what, Required: p.in == inPath, Schema: schema, Example: p.example, shown: p.shown}
	if p.many > 0 && p.example != nil {
		told.Example = []any{p.example}
	}
	return told
}

func (s *scribe) body(d doc) *mediaType {
	var told mediaType
	for _, taken := range d.takes {
		schema, err := s.shapes.request(reflect.TypeOf(taken), d.grows)
		s.err = cmp.Or(s.err, err)
		told.add(schema, taken)
	}
	return &told
}

// reply adds one answer of a route. A status that has one already, or is an
// error's too, has either.
func (s *scribe) reply(op *operation, r Route, g reply) {
	key := strconv.Itoa(g.status)
	told := op.Responses[key]
	switch {
	case told == nil:
		told = &response{Description: g.what, Headers: answerHeaders(r, g), Content: map[string]*mediaType{}}
	case told.Ref != "":
		told = &response{Description: g.what, Headers: failureHeaders(g.status), Content: map[string]*mediaType{mediaJSON: s.failure(g.status)}}
	}
	op.Responses[key] = told
	media := told.Content[g.media]
	if media == nil {
		media = &mediaType{}
		told.Content[g.media] = media
	}
	if g.example == nil {
		media.add(&jsonschema.Schema{Type: "string"}, nil)
		return
	}
	media.add(s.schema(reflect.TypeOf(g.example)), g.example)
}

// add has the media carry one more type, with an example of it.
func (m *mediaType) add(schema *jsonschema.Schema, sample any) {
	switch {
	case m.Schema == nil:
		m.Schema, m.Example = schema, sample
		return
	case m.Schema.AnyOf == nil:
		m.Schema = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{m.Schema}}
		m.Examples, m.Example = map[string]example{"1": {m.Example}}, nil
	}
	m.Schema.AnyOf = append(m.Schema.AnyOf, schema)
	m.Examples[strconv.Itoa(len(m.Examples)+1)] = example{sample}
}

// failures are the answers that errors share.
func (s *scribe) failures() map[string]*response {
	all := map[string]*response{}
	for _, c := range codeWords {
		name := failureName(c.status)
		if all[name] == nil {
			all[name] = &response{Headers: failureHeaders(c.status), Content: map[string]*mediaType{mediaJSON: s.failure(c.status)}}
		}
		all[name].Description = strings.TrimSpace(fmt.Sprintf("%s\n\n`%s`: %s", all[name].Description, c.code, c.what))
	}
	return all
}

// failure is an error of a status, with the first of its codes as the example.
func (s *scribe) failure(status int) *mediaType {
	at := slices.IndexFunc(codeWords, func(c codeWord) bool { return c.status == status })
	sample := errorAnswer{fault{codeWords[at].code, "what happened, in words", "J5Y4ZQX2"}}
	return &mediaType{Schema: s.schema(reflect.TypeFor[errorAnswer]()), Example: sample}
}

// failureName names an error's answer by its status: NotFound.
func failureName(status int) string {
	return strings.NewReplacer(" ", "").Replace(http.StatusText(status))
}

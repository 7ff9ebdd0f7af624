package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

//go:embed docs.html docs.css
var docsFiles embed.FS

var docsStyle = func() string {
	css, err := docsFiles.ReadFile("docs.css")
	if err != nil {
		panic(err) // it is embedded above
	}
	return string(css)
}()

// docsPolicy lets the page have its one style, and nothing else.
var docsPolicy = func() string {
	sum := sha256.Sum256([]byte(docsStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// docsPage serves the document as a page, which runs no script.
func (a *API) docsPage(w http.ResponseWriter, r *http.Request) error {
	made, err := a.described(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Security-Policy", docsPolicy)
	w.Header().Set("Content-Type", mediaHTML+"; charset=utf-8")
	_, _ = w.Write(made.page) // a caller who hung up is no failure
	return nil
}

// What the template is given.
type (
	docsView struct {
		Doc    *document
		Style  template.CSS
		Groups []groupView
		Codes  []codeView
		Shapes []shapeView
	}
	groupView struct {
		docTag
		Operations []operationView
	}
	operationView struct {
		*operation
		Method, Path string
		Params       []fieldView
		Curl         string
		Body         []mediaView
		Answers      []answerView
	}
	fieldView struct {
		Name, In string
		Type     typeView
		Needed   bool
		What     string
		Example  string
	}
	typeView struct {
		Before, Shape, After string // list of [Event], or null
	}
	answerView struct {
		Status, What string
		Shared       bool // an error's, told at the end of the page
		Media        []mediaView
	}
	mediaView struct {
		Media, Example string
		Type           typeView
	}
	shapeView struct {
		Name, What string
		Words      []any
		Fields     []fieldView
	}
	codeView struct {
		Status     int
		Code, What string
	}
)

// page writes the document as HTML, its operations in the order of the routes.
func page(d *document, routes []Route) ([]byte, error) {
	v := docsView{Doc: d, Style: template.CSS(docsStyle), Shapes: shapeViews(d)} // #nosec G203 -- our own file
	for _, c := range codeWords {
		v.Codes = append(v.Codes, codeView{c.status, string(c.code), c.what})
	}
	for _, tag := range d.Tags {
		group := groupView{docTag: tag}
		for _, r := range routes {
			if r.doc.tag != tag.Name {
				continue
			}
			seen, err := operationViewOf(r.Method, r.Path, d.Paths[r.Path][strings.ToLower(r.Method)])
			if err != nil {
				return nil, fmt.Errorf("describe %s %s: %w", r.Method, r.Path, err)
			}
			group.Operations = append(group.Operations, seen)
		}
		v.Groups = append(v.Groups, group)
	}
	html, err := template.New("docs.html").Funcs(template.FuncMap{"paragraphs": paragraphs}).ParseFS(docsFiles, "docs.html")
	if err != nil {
		return nil, fmt.Errorf("read the page of the API: %w", err)
	}
	var out bytes.Buffer
	if err := html.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("write the page of the API: %w", err)
	}
	return out.Bytes(), nil
}

func operationViewOf(method, path string, op *operation) (operationView, error) {
	v := operationView{operation: op, Method: method, Path: path, Curl: curl(method, path, op)}
	for _, p := range op.Parameters {
		sample := p.Example
		if list, ok := sample.([]any); ok {
			sample = list[0]
		}
		v.Params = append(v.Params, fieldView{Name: p.Name, In: p.In, Type: typeOf(p.Schema), Needed: p.Required, What: p.Description, Example: fmt.Sprint(sample)})
	}
	var err error
	if op.RequestBody != nil {
		v.Body, err = mediaViews(op.RequestBody.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		answer := answerView{Status: status, What: r.Description, Shared: r.Ref != ""}
		if err == nil {
			answer.Media, err = mediaViews(r.Content)
		}
		v.Answers = append(v.Answers, answer)
	}
	return v, err
}

func mediaViews(content map[string]*mediaType) ([]mediaView, error) {
	var all []mediaView
	for _, media := range slices.Sorted(maps.Keys(content)) {
		m := content[media]
		samples := []any{m.Example}
		schemas := []*jsonschema.Schema{m.Schema}
		if len(m.Examples) > 0 {
			samples, schemas = nil, m.Schema.AnyOf
			for _, key := range slices.Sorted(maps.Keys(m.Examples)) {
				samples = append(samples, m.Examples[key].Value)
			}
		}
		for i, sample := range samples {
			v := mediaView{Media: media, Type: typeOf(schemas[i])}
			if sample != nil {
				text, err := indented(sample)
				if err != nil {
					return nil, err
				}
				v.Example = text
			}
			all = append(all, v)
		}
	}
	return all, nil
}

func shapeViews(d *document) []shapeView {
	var all []shapeView
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		s := d.Components.Schemas[name]
		v := shapeView{Name: name, What: s.Description, Words: s.Enum}
		for _, field := range s.PropertyOrder {
			if p := s.Properties[field]; p != nil {
				v.Fields = append(v.Fields, fieldView{Name: field, Type: typeOf(p), Needed: slices.Contains(s.Required, field), What: p.Description})
			}
		}
		all = append(all, v)
	}
	return all
}

// typeOf says in words what a schema takes.
func typeOf(s *jsonschema.Schema) typeView {
	switch {
	case s.Ref != "":
		return typeView{Shape: strings.TrimPrefix(s.Ref, shapePath)}
	case s.Type == "array":
		v := typeOf(s.Items)
		v.Before = "list of " + v.Before
		return v
	case s.Type == "object" && s.AdditionalProperties != nil && s.AdditionalProperties.Type != "":
		v := typeOf(s.AdditionalProperties)
		v.Before = "object of " + v.Before
		return v
	case len(s.AnyOf) > 0 && s.Type == "":
		v := typeOf(s.AnyOf[0])
		v.After += " or null"
		return v
	case len(s.Types) > 0:
		return typeView{Before: s.Types[1] + " or null"}
	case s.Format != "":
		return typeView{Before: s.Format}
	case s.Type == "":
		return typeView{Before: "any JSON"}
	}
	return typeView{Before: s.Type}
}

// curl is a call of the operation, for a shell that has $AOC and $TOKEN.
func curl(method, path string, op *operation) string {
	query := []string{}
	var b strings.Builder
	b.WriteString("curl ")
	if method != http.MethodGet {
		b.WriteString("-X " + method + " ")
	}
	for _, p := range op.Parameters {
		value := fmt.Sprint(p.Example)
		if list, ok := p.Example.([]any); ok {
			value = fmt.Sprint(list[0])
		}
		switch {
		case p.In == inPath:
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case p.In == inQuery && p.shown:
			query = append(query, p.Name+"="+url.QueryEscape(value))
		case p.In == inHeader:
			b.WriteString("-H " + quoted(p.Name+": "+value) + " ")
		}
	}
	if len(query) > 0 && op.RequestBody == nil {
		path += "?" + strings.Join(query, "&")
	}
	b.WriteString(`"$AOC` + path + `"`)
	if len(op.Security) > 0 {
		b.WriteString(" \\\n  -H \"Authorization: Bearer $TOKEN\"")
	}
	if op.RequestBody != nil {
		b.WriteString(" \\\n  -H 'Content-Type: application/json' -d " + quoted(sampleBody(op.RequestBody)))
	}
	return b.String()
}

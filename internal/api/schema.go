package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
)

// shapes makes the document's schemas out of the Go types that are answered
// with. Structs and enums have names there and are told once.
type shapes struct {
	named  map[reflect.Type]string
	closed map[reflect.Type]bool // what unknown fields are refused of
}

const shapePath = "#/components/schemas/"

// of returns the schema of a type, which refers to what has a name.
func (s *shapes) of(t reflect.Type) (*jsonschema.Schema, error) {
	if err := s.find(t, false); err != nil {
		return nil, err
	}
	return s.infer(t, nil)
}

// request is of for what callers send. Where nothing may be added to it, that
// is said.
func (s *shapes) request(t reflect.Type, grows bool) (*jsonschema.Schema, error) {
	if err := s.find(t, !grows); err != nil {
		return nil, err
	}
	return s.infer(t, nil)
}

// find gives names to all types that have one within t.
func (s *shapes) find(t reflect.Type, closed bool) error {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return s.find(t.Elem(), closed)
	case reflect.Struct, reflect.String:
	default:
		return nil
	}
	_, word := enums[t]
	if t == reflect.TypeFor[time.Time]() || t.Kind() == reflect.String && !word {
		return nil
	}
	if _, known := s.named[t]; known && (!closed || s.closed[t]) {
		return nil
	}
	if closed {
		s.closed[t] = true
	}
	if err := s.name(t); err != nil || word {
		return err
	}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || f.Tag.Get("json") == "-" { // an embedded struct's fields are told as its own
			continue
		}
		if err := s.find(f.Type, closed); err != nil {
			return err
		}
	}
	return nil
}

// name gives a type its name in the document: jobAnswer is Job there.
func (s *shapes) name(t reflect.Type) error {
	name := strings.TrimSuffix(t.Name(), "Answer")
	first, size := utf8.DecodeRuneInString(name)
	name = string(unicode.ToUpper(first)) + name[size:]
	for other, taken := range s.named {
		if taken == name && other != t {
			return fmt.Errorf("%s and %s would both be called %s", t, other, name)
		}
	}
	s.named[t] = name
	return nil
}

// infer asks for a schema in which every named type but those left out is a
// reference.
func (s *shapes) infer(t reflect.Type, inline map[reflect.Type]bool) (*jsonschema.Schema, error) {
	known := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():       {Type: "string", Format: "date-time"},
		reflect.TypeFor[json.RawMessage](): {},
	}
	for other, name := range s.named {
		if !inline[other] {
			known[other] = &jsonschema.Schema{Ref: shapePath + name}
		}
	}
	schema, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: known})
	if err != nil {
		return nil, err
	}
	mend(schema)
	return schema, nil
}

// mend sets right what is inferred of Go in general and is not so here: lists
// are never null, and a reference that may be null says so beside it.
func mend(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if len(s.Types) == 2 && s.Types[1] == "array" {
		s.Type, s.Types = "array", nil
	}
	if s.Ref != "" && s.Types != nil {
		s.AnyOf = []*jsonschema.Schema{{Ref: s.Ref}, {Type: "null"}}
		s.Ref, s.Types = "", nil
	}
	mend(s.Items)
	mend(s.AdditionalProperties)
	for _, p := range s.Properties {
		mend(p)
	}
}

// components are the schemas of all types that have a name.
func (s *shapes) components() (map[string]*jsonschema.Schema, error) {
	all := make(map[string]*jsonschema.Schema, len(s.named))
	for t, name := range s.named {
		if e, word := enums[t]; word {
			all[name] = &jsonschema.Schema{Type: "string", Description: e.what, Enum: e.values}
			continue
		}
		schema, err := s.infer(t, within(t))
		if err != nil {
			return nil, err
		}
		explainShape(name, schema)
		if !s.closed[t] {
			schema.AdditionalProperties = nil // answers may grow
		}
		all[name] = schema
	}
	return all, nil
}

// within are the types whose fields are told as t's own: it and what it embeds.
func within(t reflect.Type) map[reflect.Type]bool {
	own := map[reflect.Type]bool{t: true}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			own[f.Type] = true
		}
	}
	return own
}

// untold marks a field that is in the Go type for its own reasons and in no answer.
const untold = "-"

// explainShape adds the words that the type's own tags do not say.
func explainShape(name string, schema *jsonschema.Schema) {
	schema.Description = words[name]
	for field, p := range schema.Properties {
		if p.Description == untold {
			delete(schema.Properties, field)
			continue
		}
		if p.Description == "" {
			p.Description = words[name+"."+field]
		}
	}
}

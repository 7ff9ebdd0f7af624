package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
)

// Where a parameter is.
const (
	inQuery  = "query"
	inPath   = "path"
	inHeader = "header"
)

// param is a parameter of a route: what its handler takes and the document
// lists. There is no other list of them.
type param struct {
	name, in, what string
	schema         *jsonschema.Schema // of one value
	named          reflect.Type       // instead of schema: a type with a name in the document
	many           int                // so many values are taken, each under the name again; 0: one value
	example        any
	shown          bool // in the page's call by curl
}

// show has the example appear in the page's call by curl.
func (p param) show() param {
	p.shown = true
	return p
}

// upTo says that the parameter may be repeated.
func (p param) upTo(values int) param {
	p.many = values
	return p
}

func textParam(name, what string, longest int, example string) param {
	return param{name: name, in: inQuery, what: what, schema: &jsonschema.Schema{Type: "string", MaxLength: &longest}, example: example}
}

// countParam takes a whole number from 1. Where more than most is clamped and
// not refused, that is for what to say.
func countParam(name, what string, fallback, example int) param {
	value, _ := json.Marshal(fallback)
	one := 1.0
	return param{name: name, in: inQuery, what: what, schema: &jsonschema.Schema{Type: "integer", Minimum: &one, Default: value}, example: example}
}

func timeParam(name, what, example string) param {
	s := &jsonschema.Schema{Type: "string", AnyOf: []*jsonschema.Schema{{Format: "date-time"}, {Format: "date"}}}
	return param{name: name, in: inQuery, what: what + " An RFC 3339 time, or a date.", schema: s, example: example}
}

// enumParam takes the words of T, which must be one of the document's types.
func enumParam[T ~string](name, what string, example T) param {
	return param{name: name, in: inQuery, what: what, named: reflect.TypeFor[T](), example: example}
}

func pathParam(name, what, example string) param {
	return param{name: name, in: inPath, what: what, schema: &jsonschema.Schema{Type: "string"}, example: example, shown: true}
}

func headerParam(name, what, example string) param {
	return param{name: name, in: inHeader, what: what, schema: &jsonschema.Schema{Type: "string"}, example: example}
}

// doc is what the document tells of a route beside what its row says.
type doc struct {
	id      string // operationId
	tag     string
	summary string
	more    string
	takes   []any // an example of the request's body; one more for each other type that it may have
	grows   bool  // unknown fields of the body are passed over, not refused
	gives   []reply
	fails   []int // errors besides those that the row implies
	lenient bool  // no request is a bad one
}

// reply is one answer of a route. The type of its example is the type of the answer.
type reply struct {
	status  int
	what    string
	media   string
	example any
	headers []string // besides those of every answer
}

func gives(status int, what string, example any, headers ...string) reply {
	return reply{status: status, what: what, media: mediaJSON, example: example, headers: headers}
}

// givesText is an answer in another form than JSON.
func givesText(status int, media, what string) reply {
	return reply{status: status, what: what, media: media}
}

// Media types of answers.
const (
	mediaJSON = "application/json"
	mediaText = "text/plain"
	mediaHTML = "text/html"
)

// failures are the statuses of the errors that the route may answer with.
func (r Route) failures() []int {
	all := slices.Concat(r.doc.fails, []int{http.StatusForbidden, http.StatusInternalServerError, http.StatusServiceUnavailable})
	if !r.doc.lenient {
		all = append(all, http.StatusBadRequest)
	}
	if r.Access != Open {
		all = append(all, http.StatusUnauthorized)
	}
	if r.Kind != Unlimited {
		all = append(all, http.StatusTooManyRequests)
	}
	if r.doc.takes != nil {
		all = append(all, http.StatusRequestEntityTooLarge)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

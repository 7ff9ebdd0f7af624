package azfunc

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Route is one that the handler serves for a function. Pattern is a path of
// http.ServeMux without the method ("/api/events/{id}"); a timer's or queue's
// function is POST and its own name ("/ingest-timer").
type Route struct{ Function, Method, Pattern string }

func (r Route) String() string { return r.Method + " " + r.Pattern + " of function " + r.Function }

// CheckRoutes lists, sorted, where the functions and the handler's routes differ,
// in both directions: a route that no function leads to, a function or method
// without a route, and a public HTTP route by which an outsider could reach the
// path of a timer or a queue. A route may be narrower than its function's
// template, having a literal in the place of a parameter.
func (a *App) CheckRoutes(routes []Route) []string {
	var found []string
	served := map[Route]bool{}
	for _, r := range routes {
		want, ok := a.covers(r)
		if !ok {
			found = append(found, fmt.Sprintf("%s: no function.json leads there", r))
			continue
		}
		served[want] = true
	}
	for i := range a.functions {
		for _, want := range a.functions[i].routes() {
			if !served[want] {
				found = append(found, fmt.Sprintf("%s: the handler has no such route", want))
			}
		}
	}
	found = append(found, a.reachable()...)
	slices.Sort(found)
	return slices.Compact(found)
}

// covers finds the route of the function's own that r serves.
func (a *App) covers(r Route) (Route, bool) {
	f, ok := a.function(r.Function)
	if !ok {
		return Route{}, false
	}
	for _, want := range f.routes() {
		if want.Method == r.Method && within(r.Pattern, want.Pattern) {
			return want, true
		}
	}
	return Route{}, false
}

// within says whether every path of pattern is one of template's.
func within(pattern, template string) bool {
	got, want := splitPath(pattern), splitPath(template)
	for i, w := range want {
		if strings.HasSuffix(w, "...}") {
			return true
		}
		if i >= len(got) || strings.HasSuffix(got[i], "...}") {
			return false
		}
		if isParam := strings.HasPrefix(w, "{"); !isParam && w != got[i] {
			return false
		}
	}
	return len(got) == len(want)
}

// routes are what a handler must serve for the function, one for each method and
// each way in which a template's optional end can be there or not.
func (f *Function) routes() []Route {
	if !f.httpOnly() {
		return []Route{{f.Name, http.MethodPost, "/" + f.Name}}
	}
	var all []Route
	for _, method := range f.methods() {
		for _, pattern := range f.template.patterns() {
			all = append(all, Route{f.Name, method, pattern})
		}
	}
	return all
}

// patterns writes the template as patterns of http.ServeMux.
func (t template) patterns() []string {
	var b strings.Builder
	var all []string
	for _, s := range t {
		if s.optional {
			all = append(all, cmp.Or(b.String(), "/"))
		}
		switch {
		case s.param == "":
			b.WriteString("/" + s.literal)
		case s.rest:
			b.WriteString("/{" + s.param + "...}")
		default:
			b.WriteString("/{" + s.param + "}")
		}
	}
	return append(all, cmp.Or(b.String(), "/"))
}

// reachable lists the public routes that lead to the path of a function which
// only the host may call.
func (a *App) reachable() []string {
	var found []string
	for _, public := range a.functions {
		if public.Trigger != HTTPTrigger {
			continue
		}
		for _, private := range a.functions {
			if private.httpOnly() {
				continue
			}
			if private.Trigger == HTTPTrigger && private.Name == public.Name {
				continue // called by its envelope, whatever its route
			}
			if _, ok := public.template.match("/" + private.Name); ok {
				found = append(found, fmt.Sprintf("/%s of a %s can be reached from outside by %s of function %s",
					private.Name, private.Trigger, public.Route, public.Name))
			}
		}
	}
	return found
}

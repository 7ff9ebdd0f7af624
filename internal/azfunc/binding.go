package azfunc

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/robfig/cron/v3"
)

// The triggers and the one output besides http that the small host knows, by
// their type in function.json.
const (
	HTTPTrigger  = "httpTrigger"
	TimerTrigger = "timerTrigger"
	QueueTrigger = "queueTrigger"

	httpOutput  = "http"
	queueOutput = "queue"

	// returnBinding is the output that takes the answer's ReturnValue.
	returnBinding = "$return"
)

// Function is what a function.json says.
type Function struct {
	Name     string   // of the folder
	Trigger  string   // HTTPTrigger, TimerTrigger or QueueTrigger
	Binding  string   // the trigger's own name
	Methods  []string // HTTP: upper case, sorted; empty is every method
	Route    string   // HTTP: the template from the root on, with its prefix: /api/events/{id?}
	Schedule string   // timer: NCRONTAB
	Queue    string   // queue trigger: the queue
	Outputs  []Output

	template   template
	schedule   cron.Schedule
	useMonitor bool
}

// Output is an output binding.
type Output struct {
	Name  string
	Type  string // "http" or "queue"
	Queue string // of a queue output
}

// httpOnly says whether the host hands the caller's own request to the handler.
func (f *Function) httpOnly() bool {
	return f.Trigger == HTTPTrigger && len(f.Outputs) == 1 && f.Outputs[0].Type == httpOutput
}

// everyMethod are the methods that a function without a list of them serves.
var everyMethod = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

func (f *Function) methods() []string {
	if len(f.Methods) == 0 {
		return everyMethod
	}
	return f.Methods
}

type bindingFile struct {
	Name, Type, Direction string
	AuthLevel             string
	Methods               []string
	Route                 *string
	Schedule              string
	UseMonitor            *bool
	QueueName, Connection string
}

// properties of each type of binding, besides name, type and direction, with the
// direction that it must have. runOnStartup is left out: it must not be used in
// production, and what is not used there is not tried here.
var properties = map[string]struct {
	direction string
	names     []string
}{
	HTTPTrigger:  {"in", []string{"authLevel", "methods", "route"}},
	TimerTrigger: {"in", []string{"schedule", "useMonitor"}},
	QueueTrigger: {"in", []string{"queueName", "connection"}},
	httpOutput:   {"out", nil},
	queueOutput:  {"out", []string{"queueName", "connection"}},
}

var bindingName = regexp.MustCompile(`^(\$return|[A-Za-z][A-Za-z0-9_]*)$`)

func (f *Function) readBindings(bindings []json.RawMessage, prefix string, m *mistakes) {
	names := map[string]bool{}
	for i, raw := range bindings {
		place := fmt.Sprintf("bindings[%d].", i)
		var b bindingFile
		if err := json.Unmarshal(raw, &b); err != nil {
			m.add(strings.TrimSuffix(place, "."), "%s", strings.TrimPrefix(err.Error(), "json: "))
			continue
		}
		if !b.check(raw, place, m) {
			continue
		}
		if names[strings.ToLower(b.Name)] {
			m.add(place+"name", "%q is the name of another binding too", b.Name)
		}
		names[strings.ToLower(b.Name)] = true
		f.add(b, place, prefix, m)
	}
	if f.Trigger == "" {
		m.add("bindings", "there is no trigger")
	}
}

// check reports what is wrong with a binding whatever its function, and says
// whether its type is known.
func (b *bindingFile) check(raw json.RawMessage, place string, m *mistakes) bool {
	known, ok := properties[b.Type]
	if !ok {
		m.add(place+"type", "expected one of %s, got %q", strings.Join(slices.Sorted(maps.Keys(properties)), ", "), b.Type)
		return false
	}
	var object map[string]json.RawMessage
	_ = json.Unmarshal(raw, &object) // an object, since it was decoded into a struct before
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains([]string{"name", "type", "direction"}, name) && !slices.Contains(known.names, name) {
			m.add(place+name, "a binding of type %s has no such property", b.Type)
		}
	}
	if b.Direction != known.direction {
		m.add(place+"direction", "expected %q for a binding of type %s, got %q", known.direction, b.Type, b.Direction)
	}
	if !bindingName.MatchString(b.Name) {
		m.add(place+"name", "expected a letter, then letters, digits and _, got %q", b.Name)
	}
	return true
}

func (f *Function) add(b bindingFile, place, prefix string, m *mistakes) {
	if strings.HasSuffix(b.Type, "Trigger") {
		if f.Trigger != "" {
			m.add(place+"type", "a function has one trigger, this one is a %s already", f.Trigger)
			return
		}
		f.Trigger, f.Binding = b.Type, b.Name
	}
	switch b.Type {
	case HTTPTrigger:
		f.addHTTP(b, place, prefix, m)
	case TimerTrigger:
		f.addTimer(b, place, m)
	case QueueTrigger:
		f.Queue = b.QueueName
		checkQueue(b.QueueName, place, m)
	case queueOutput:
		checkQueue(b.QueueName, place, m)
		f.Outputs = append(f.Outputs, Output{Name: b.Name, Type: b.Type, Queue: b.QueueName})
	case httpOutput:
		f.Outputs = append(f.Outputs, Output{Name: b.Name, Type: b.Type})
	}
}

func (f *Function) addHTTP(b bindingFile, place, prefix string, m *mistakes) {
	if !slices.Contains([]string{"anonymous", "function", "admin"}, b.AuthLevel) {
		m.add(place+"authLevel", "expected anonymous, function or admin, got %q", b.AuthLevel)
	}
	for _, method := range b.Methods {
		if !slices.Contains(everyMethod, strings.ToUpper(method)) {
			m.add(place+"methods", "%q is no HTTP method", method)
		}
		f.Methods = append(f.Methods, strings.ToUpper(method))
	}
	slices.Sort(f.Methods)
	f.Methods = slices.Compact(f.Methods)
	route := f.Name
	if b.Route != nil {
		route = *b.Route
	}
	f.Route = "/" + strings.Trim(strings.Trim(prefix, "/")+"/"+strings.Trim(route, "/"), "/")
	t, err := parseTemplate(f.Route)
	if err != nil {
		m.add(place+"route", "%s", err)
	}
	f.template = t
}

func (f *Function) addTimer(b bindingFile, place string, m *mistakes) {
	schedule, err := parseSchedule(b.Schedule)
	if err != nil {
		m.add(place+"schedule", "%s", err)
	}
	f.Schedule, f.schedule = b.Schedule, schedule
	f.useMonitor = b.UseMonitor == nil || *b.UseMonitor
}

// queueName is the rule of Azure Storage
// (https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata);
// the host adds "-poison", which must fit in as well.
var queueName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])*$`)

func checkQueue(name, place string, m *mistakes) {
	if !queueName.MatchString(name) || len(name) < 3 || len(name)+len(poisonSuffix) > 63 {
		m.add(place+"queueName", "expected 3 to 56 lower-case letters, digits and single hyphens, got %q", name)
	}
}

package azfunc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// App is a script root as the Functions host reads it: host.json and the
// function.json files.
type App struct {
	settings  settings
	functions []Function
}

// settings are those of host.json that the small host heeds.
type settings struct {
	prefix            string
	forward, proxy    bool
	initialization    time.Duration
	functionTimeout   time.Duration // 0 is none
	arguments         []string
	batchSize         int
	newBatchThreshold int
	maxDequeueCount   int
	visibilityTimeout time.Duration
	base64            bool
}

// Functions lists the functions by name. The caller must not change them.
func (a *App) Functions() []Function { return a.functions }

func (a *App) function(name string) (*Function, bool) {
	i, found := slices.BinarySearchFunc(a.functions, name, func(f Function, name string) int {
		return strings.Compare(f.Name, name)
	})
	if !found {
		return nil, false
	}
	return &a.functions[i], true
}

// Open reads a script root: host.json, and function.json files either at
// functions/<name>/ as the repository keeps them or at <name>/ as they are
// deployed. The error holds every mistake that was found, each with its file and
// field. Stricter than the real host in one thing: a property that it would
// ignore is a mistake here, since it is a misspelling more often than not.
func Open(fsys fs.FS) (*App, error) {
	app := &App{}
	var errs []error
	if err := app.readHost(fsys); err != nil {
		errs = append(errs, err)
	}
	files, err := functionFiles(fsys)
	if err != nil {
		return nil, fmt.Errorf("look for function.json files: %w", err)
	}
	if len(files) == 0 {
		errs = append(errs, errors.New("there is no function: no <name>/function.json"))
	}
	for _, file := range files {
		f, err := readFunction(fsys, file, app.settings.prefix)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		app.functions = append(app.functions, f)
	}
	slices.SortFunc(app.functions, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	errs = append(errs, clashes(app.functions)...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return app, nil
}

// functionFiles looks in the immediate subfolders alone, as the host does.
func functionFiles(fsys fs.FS) ([]string, error) {
	files, err := fs.Glob(fsys, "functions/*/function.json")
	if err != nil || len(files) > 0 {
		return files, err
	}
	return fs.Glob(fsys, "*/function.json")
}

// clashes finds what single files cannot show: names that differ in case alone,
// and routes that are the same.
func clashes(functions []Function) []error {
	var errs []error
	names, routes := map[string]string{}, map[string]string{}
	for _, f := range functions {
		if other, taken := names[strings.ToLower(f.Name)]; taken {
			errs = append(errs, fmt.Errorf("functions %s and %s: names must differ in more than case", other, f.Name))
		}
		names[strings.ToLower(f.Name)] = f.Name
		if f.Trigger != HTTPTrigger {
			continue
		}
		for _, method := range f.methods() {
			shape := method + " " + f.template.shape()
			if other, taken := routes[shape]; taken {
				errs = append(errs, fmt.Errorf("functions %s and %s: both have the route %s %s", other, f.Name, method, f.Route))
			}
			routes[shape] = f.Name
		}
	}
	return errs
}

type hostFile struct {
	Version         string
	FunctionTimeout string
	CustomHandler   *handlerSection
	Extensions      struct {
		HTTP   httpSection
		Queues queueSection
	}
}

type handlerSection struct {
	Description struct {
		DefaultExecutablePath string
		WorkingDirectory      string
		Arguments             []string
	}
	EnableForwardingHTTPRequest bool   `json:"enableForwardingHttpRequest"`
	EnableProxyingHTTPRequest   bool   `json:"enableProxyingHttpRequest"`
	InitializationTimeout       string `json:"initializationTimeout"`
}

type httpSection struct{ RoutePrefix *string }

type queueSection struct {
	BatchSize, NewBatchThreshold, MaxDequeueCount *int
	VisibilityTimeout, MaxPollingInterval         string
	MessageEncoding                               string
}

// readHost reads host.json with the defaults of Microsoft's reference
// (https://learn.microsoft.com/azure/azure-functions/functions-host-json and
// functions-bindings-storage-queue).
func (a *App) readHost(fsys fs.FS) error {
	const file = "host.json"
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	var h hostFile
	if err := json.Unmarshal(text, &h); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	m := mistakes{file: file}
	m.strict(text, "customHandler", &handlerSection{})
	m.strict(text, "extensions.queues", &queueSection{})
	if h.Version != "2.0" {
		m.add("version", "expected \"2.0\", got %q", h.Version)
	}
	if h.CustomHandler == nil || h.CustomHandler.Description.DefaultExecutablePath == "" {
		m.add("customHandler.description.defaultExecutablePath", "is missing")
	}
	a.settings = settings{prefix: "api", functionTimeout: m.span("functionTimeout", h.FunctionTimeout, 30*time.Minute)}
	if prefix := h.Extensions.HTTP.RoutePrefix; prefix != nil {
		a.settings.prefix = *prefix
	}
	if c := h.CustomHandler; c != nil {
		a.settings.forward, a.settings.proxy = c.EnableForwardingHTTPRequest, c.EnableProxyingHTTPRequest
		a.settings.arguments = c.Description.Arguments
		a.settings.initialization = m.span("customHandler.initializationTimeout", c.InitializationTimeout, 30*time.Second)
	}
	a.settings.readQueues(h.Extensions.Queues, &m)
	return m.err()
}

func (s *settings) readQueues(q queueSection, m *mistakes) {
	const section = "extensions.queues."
	s.batchSize = m.number(section+"batchSize", q.BatchSize, 16, 1, 32)
	s.newBatchThreshold = m.number(section+"newBatchThreshold", q.NewBatchThreshold, s.batchSize/2, 0, 1000)
	s.maxDequeueCount = m.number(section+"maxDequeueCount", q.MaxDequeueCount, 5, 1, 1000)
	s.visibilityTimeout = m.span(section+"visibilityTimeout", q.VisibilityTimeout, 0)
	m.span(section+"maxPollingInterval", q.MaxPollingInterval, time.Minute) // a queue in memory needs no polling
	s.base64 = q.MessageEncoding != "none"
	if !slices.Contains([]string{"", "base64", "none"}, q.MessageEncoding) {
		m.add(section+"messageEncoding", "expected base64 or none, got %q", q.MessageEncoding)
	}
}

// mistakes collects what is wrong in one file.
type mistakes struct {
	file string
	errs []error
}

func (m *mistakes) add(field, format string, args ...any) {
	m.errs = append(m.errs, fmt.Errorf("%s: %s: %s", m.file, field, fmt.Sprintf(format, args...)))
}

func (m *mistakes) err() error { return errors.Join(m.errs...) }

// strict reads the part of text at a dotted place into known, and reports a
// property that known lacks.
func (m *mistakes) strict(text []byte, place string, known any) {
	for name := range strings.SplitSeq(place, ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(text, &object) != nil || object[name] == nil {
			return
		}
		text = object[name]
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(known); err != nil {
		m.add(place, "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
}

func (m *mistakes) number(field string, n *int, fallback, least, most int) int {
	if n == nil {
		return fallback
	}
	if *n < least || *n > most {
		m.add(field, "expected %d to %d, got %d", least, most, *n)
	}
	return *n
}

var spanForm = regexp.MustCompile(`^(?:(\d{1,7})\.)?(\d\d):([0-5]\d):([0-5]\d)$`)

// span reads a .NET TimeSpan, [d.]hh:mm:ss; -1 is none.
func (m *mistakes) span(field, text string, fallback time.Duration) time.Duration {
	switch text {
	case "":
		return fallback
	case "-1":
		return 0
	}
	parts := spanForm.FindStringSubmatch(text)
	if parts == nil {
		m.add(field, "expected a time span hh:mm:ss, got %q", text)
		return fallback
	}
	var n [4]time.Duration
	for i, part := range parts[1:] {
		v, _ := strconv.Atoi(part) // digits by the expression, or empty
		n[i] = time.Duration(v)
	}
	return n[0]*24*time.Hour + n[1]*time.Hour + n[2]*time.Minute + n[3]*time.Second
}

// functionName is what the host takes as a function's folder.
var functionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,126}$`)

func readFunction(fsys fs.FS, file, prefix string) (Function, error) {
	m := mistakes{file: file}
	f := Function{Name: path.Base(path.Dir(file))}
	if !functionName.MatchString(f.Name) {
		m.add("folder", "expected a letter, then letters, digits, - and _, got %q", f.Name)
	}
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return f, fmt.Errorf("read %s: %w", file, err)
	}
	var content struct {
		Schema   string `json:"$schema"`
		Bindings []json.RawMessage
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&content); err != nil {
		m.add("file", "%s", strings.TrimPrefix(err.Error(), "json: "))
		return f, m.err()
	}
	f.readBindings(content.Bindings, prefix, &m)
	return f, m.err()
}

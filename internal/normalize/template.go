package normalize

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aoc/internal/audit"
)

// maxSummary bounds a sentence, in bytes.
const maxSummary = 600

// template is a sentence with places to be filled in: {actor} is replaced, and
// what stands in [brackets] is left out when a place in it has nothing to say.
type template struct {
	parts []part
}

// part is a literal text, a place, or an optional stretch of parts.
type part struct {
	literal  string
	place    func(*audit.Event, *Mappings) string
	name     string
	optional []part
}

// unsaid is the word for a place that has nothing to say outside brackets.
func unsaid(place string) string {
	switch {
	case place == "actor":
		return "Someone"
	case strings.HasPrefix(place, "target"):
		return "something"
	}
	return "(none)"
}

// parseTemplate reads a template. Its error names the first mistake.
func parseTemplate(s string) (*template, error) {
	if strings.TrimSpace(s) == "" {
		return nil, errors.New("the sentence is empty")
	}
	parts, rest, err := parseParts(s, false)
	if err == nil && rest != "" {
		err = errors.New("a ] without its [")
	}
	if err != nil {
		return nil, err
	}
	return &template{parts}, nil
}

func parseParts(s string, inBrackets bool) (parts []part, rest string, err error) {
	for s != "" {
		i := strings.IndexAny(s, "{}[]")
		if i < 0 {
			parts, s = append(parts, part{literal: s}), ""
			break
		}
		if i > 0 {
			parts = append(parts, part{literal: s[:i]})
		}
		switch c := s[i]; {
		case c == ']':
			return parts, s[i:], nil
		case c == '}':
			return nil, "", errors.New("a } without its {")
		case c == '[' && inBrackets:
			return nil, "", errors.New("a [ inside of brackets")
		case c == '[':
			inner, after, err := parseParts(s[i+1:], true)
			if err != nil {
				return nil, "", err
			}
			if after == "" {
				return nil, "", errors.New("a [ without its ]")
			}
			parts, s = append(parts, part{optional: inner}), after[1:]
		default:
			name, after, found := strings.Cut(s[i+1:], "}")
			if !found {
				return nil, "", errors.New("a { without its }")
			}
			place, err := parsePlace(name)
			if err != nil {
				return nil, "", err
			}
			parts, s = append(parts, part{name: name, place: place}), after
		}
	}
	return parts, "", nil
}

// places are the placeholders without an argument.
var places = map[string]func(*audit.Event, *Mappings) string{
	"actor":     func(e *audit.Event, _ *Mappings) string { return actorName(e) },
	"operation": func(e *audit.Event, _ *Mappings) string { return e.Operation },
	"service":   func(e *audit.Event, _ *Mappings) string { return e.Service },
	"category":  func(e *audit.Event, _ *Mappings) string { return e.Category },
	"result":    func(e *audit.Event, _ *Mappings) string { return string(e.Result) },
	"app":       func(e *audit.Event, _ *Mappings) string { return appName(e) },
	"ip":        func(e *audit.Event, _ *Mappings) string { return e.Actor.IP },
	"country":   func(e *audit.Event, _ *Mappings) string { return e.Context.Country },
	"city":      func(e *audit.Event, _ *Mappings) string { return e.Context.City },
	"device":    func(e *audit.Event, _ *Mappings) string { return firstOf(e.Context.DeviceName, e.Context.DeviceID) },
	"error":     func(e *audit.Event, m *Mappings) string { return m.errorText(e.Context.ErrorCode) },
	"target":    func(e *audit.Event, _ *Mappings) string { return nthTarget(e, 1) },
	"targets":   func(e *audit.Event, _ *Mappings) string { return listTargets(e) },
	"changes":   func(e *audit.Event, _ *Mappings) string { return listChanges(e) },
	"given":     func(e *audit.Event, _ *Mappings) string { return listGiven(e) },
}

// parsePlace reads what stands in braces: one of places, {target.2}, the first
// {target:role}, or {change:Name}, {change:Name.old}, {change:Name.new}.
func parsePlace(name string) (func(*audit.Event, *Mappings) string, error) {
	if place, ok := places[name]; ok {
		return place, nil
	}
	if n, ok := strings.CutPrefix(name, "target."); ok {
		if i, err := strconv.Atoi(n); err == nil && i >= 1 && i <= maxTargets {
			return func(e *audit.Event, _ *Mappings) string { return nthTarget(e, i) }, nil
		}
	}
	if typ, ok := strings.CutPrefix(name, "target:"); ok && typ != "" {
		return func(e *audit.Event, _ *Mappings) string { return typedTarget(e, typ) }, nil
	}
	if prop, ok := strings.CutPrefix(name, "change:"); ok && prop != "" {
		return changePlace(prop), nil
	}
	return nil, fmt.Errorf("no such placeholder {%s}", clip(name, 60))
}

func changePlace(prop string) func(*audit.Event, *Mappings) string {
	name, after := strings.CutSuffix(prop, ".new")
	name, before := strings.CutSuffix(name, ".old")
	return func(e *audit.Event, _ *Mappings) string {
		for _, c := range e.Changes {
			if !strings.EqualFold(c.Name, name) {
				continue
			}
			switch {
			case after:
				return c.New
			case before:
				return c.Old
			}
			return firstOf(c.New, c.Old)
		}
		return ""
	}
}

// appName is the app that it was done with. One that signs in as itself is
// the actor already; what it signed in to is the resource.
func appName(e *audit.Event) string {
	if e.Actor.Type == "app" {
		if resource := typedTarget(e, "resource"); resource != "" {
			return resource
		}
	}
	return firstOf(e.Context.AppName, e.Actor.App)
}

func actorName(e *audit.Event) string {
	return firstOf(e.Actor.Name, e.Actor.UPN, e.Actor.App, e.Actor.ID)
}

func targetName(t audit.Target) string { return firstOf(t.Name, t.ID) }

func nthTarget(e *audit.Event, n int) string {
	if n > len(e.Targets) {
		return ""
	}
	return targetName(e.Targets[n-1])
}

func typedTarget(e *audit.Event, typ string) string {
	i := slices.IndexFunc(e.Targets, func(t audit.Target) bool { return strings.EqualFold(t.Type, typ) })
	if i < 0 {
		return ""
	}
	return targetName(e.Targets[i])
}

func listTargets(e *audit.Event) string {
	names := make([]string, 0, 3)
	for _, t := range e.Targets[:min(3, len(e.Targets))] {
		names = append(names, targetName(t))
	}
	return andMore(names, len(e.Targets))
}

func listChanges(e *audit.Event) string {
	var names []string
	for _, c := range e.Changes {
		if c.Name != "" && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return andMore(names[:min(3, len(names))], len(names))
}

// listGiven tells what was asked for: "service Exchange, result failure".
func listGiven(e *audit.Event) string {
	var given []string
	for _, c := range e.Changes {
		if c.New != "" {
			given = append(given, strings.TrimSpace(strings.ReplaceAll(c.Name, "_", " ")+" "+clip(oneLine(c.New), 60)))
		}
	}
	return andMore(given[:min(4, len(given))], len(given))
}

func andMore(names []string, all int) string {
	s := strings.Join(names, ", ")
	if all > len(names) {
		s += fmt.Sprintf(" and %d more", all-len(names))
	}
	return s
}

// fill writes the sentence for an event.
func (t *template) fill(e *audit.Event, m *Mappings) string {
	var b strings.Builder
	write(&b, t.parts, e, m, false)
	return clip(oneLine(b.String()), maxSummary)
}

// write reports whether every place had something to say; an optional stretch
// stops at the first that has not.
func write(b *strings.Builder, parts []part, e *audit.Event, m *Mappings, optional bool) bool {
	for _, p := range parts {
		switch {
		case p.optional != nil:
			var inner strings.Builder
			if write(&inner, p.optional, e, m, true) {
				b.WriteString(inner.String())
			}
		case p.place == nil:
			b.WriteString(p.literal)
		default:
			s := p.place(e, m)
			if s == "" && optional {
				return false
			}
			b.WriteString(clip(firstOf(s, unsaid(p.name)), 200))
		}
	}
	return true
}

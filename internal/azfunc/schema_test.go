package azfunc

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// schema checks JSON against the part of JSON Schema draft 4 that the Functions
// host's schema of function.json uses.
type schema struct{ root map[string]any }

func (s schema) faults(rule map[string]any, value any, place string) []string {
	if ref, ok := rule["$ref"].(string); ok {
		return s.faults(s.resolve(ref), value, place)
	}
	found := s.plain(rule, value, place)
	for _, part := range rules(rule["allOf"]) {
		found = append(found, s.faults(part, value, place)...)
	}
	if parts := rules(rule["oneOf"]); parts != nil {
		matching := 0
		for _, part := range parts {
			if len(s.faults(part, value, place)) == 0 {
				matching++
			}
		}
		if matching != 1 {
			found = append(found, fmt.Sprintf("%s: %d of oneOf match", place, matching))
		}
	}
	if not, ok := rule["not"].(map[string]any); ok && len(s.faults(not, value, place)) == 0 {
		found = append(found, place+": matches what it must not")
	}
	return found
}

func (s schema) resolve(ref string) map[string]any {
	at := s.root
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		at = at[name].(map[string]any)
	}
	return at
}

func rules(list any) []map[string]any {
	var all []map[string]any
	parts, _ := list.([]any)
	for _, part := range parts {
		all = append(all, part.(map[string]any))
	}
	return all
}

// plain checks the keywords that are not made of further schemas at one place.
func (s schema) plain(rule map[string]any, value any, place string) []string {
	var found []string
	if kind, ok := rule["type"].(string); ok && kind != kindOf(value) {
		found = append(found, place+": is no "+kind)
	}
	if enum, ok := rule["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return reflect.DeepEqual(e, value) }) {
		found = append(found, fmt.Sprintf("%s: %v is not listed", place, value))
	}
	if text, ok := value.(string); ok {
		if pattern, ok := rule["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(text) {
			found = append(found, place+": does not match the pattern")
		}
	}
	object, isObject := value.(map[string]any)
	required, _ := rule["required"].([]any)
	for _, name := range required {
		if _, given := object[name.(string)]; isObject && !given {
			found = append(found, fmt.Sprintf("%s: %s is missing", place, name))
		}
	}
	properties, _ := rule["properties"].(map[string]any)
	for name, part := range object {
		if sub, ok := properties[name].(map[string]any); ok {
			found = append(found, s.faults(sub, part, place+"."+name)...)
		}
	}
	return append(found, s.items(rule["items"], value, place)...)
}

// items checks a list: by one schema for all, or by one for each place.
func (s schema) items(rule, value any, place string) []string {
	list, _ := value.([]any)
	var found []string
	for i, item := range list {
		sub, one := rule.(map[string]any)
		if tuple := rules(rule); !one && i < len(tuple) {
			sub = tuple[i]
		}
		if sub != nil {
			found = append(found, s.faults(sub, item, fmt.Sprintf("%s[%d]", place, i))...)
		}
	}
	return found
}

func kindOf(value any) string {
	switch value.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	default:
		return "number"
	}
}

package azfunc

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// template is a route of ASP.NET Core, as function.json has them: literals, and
// whole segments {name}, {name?}, {name:constraint}, {*rest}
// (https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates).
type template []segment

type segment struct {
	literal    string // without a parameter
	param      string
	constraint string
	optional   bool
	rest       bool // the remainder of the path
}

var guidForm = regexp.MustCompile(`^(?i)\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?$`)

var alphaForm = regexp.MustCompile(`^[A-Za-z]*$`)

// constraints are those of the route constraints that our kind of API needs.
var constraints = map[string]func(string) bool{
	"int":   func(s string) bool { _, err := strconv.ParseInt(s, 10, 32); return err == nil },
	"long":  func(s string) bool { _, err := strconv.ParseInt(s, 10, 64); return err == nil },
	"bool":  func(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") },
	"guid":  guidForm.MatchString,
	"alpha": alphaForm.MatchString,
}

func parseTemplate(route string) (template, error) {
	var t template
	names := map[string]bool{}
	parts := splitPath(route)
	for i, part := range parts {
		s, err := parseSegment(part)
		if err != nil {
			return nil, err
		}
		if (s.optional || s.rest) && i != len(parts)-1 {
			return nil, fmt.Errorf("{%s} may be left out, so it must be the last segment", s.param)
		}
		if s.param != "" && names[strings.ToLower(s.param)] {
			return nil, fmt.Errorf("the parameter %q is there twice", s.param)
		}
		names[strings.ToLower(s.param)] = true
		t = append(t, s)
	}
	if len(t) > 0 && (strings.EqualFold(t[0].literal, "admin") || strings.EqualFold(t[0].literal, "runtime")) {
		return nil, fmt.Errorf("/%s is the host's own", t[0].literal)
	}
	return t, nil
}

var paramForm = regexp.MustCompile(`^\{(\*{0,2})([A-Za-z_][A-Za-z0-9_]*)(?::([a-z]+))?(\?)?\}$`)

func parseSegment(part string) (segment, error) {
	if part == "" {
		return segment{}, errors.New("there is an empty segment")
	}
	if !strings.ContainsAny(part, "{}") {
		return segment{literal: part}, nil
	}
	m := paramForm.FindStringSubmatch(part)
	if m == nil {
		return segment{}, fmt.Errorf("%q is not a whole segment {name}, {name?}, {name:constraint} or {*name}", part)
	}
	if m[3] != "" && constraints[m[3]] == nil {
		return segment{}, fmt.Errorf("the constraint %q is not one of int, long, bool, guid, alpha", m[3])
	}
	return segment{param: m[2], constraint: m[3], optional: m[4] != "", rest: m[1] != ""}, nil
}

// splitPath gives the segments of a path; one slash at the end does not count.
func splitPath(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// match says whether a path is of this template, and its parameters. Literals
// are compared without case, as ASP.NET does; the path goes to the handler as the
// caller wrote it.
func (t template) match(path string) (map[string]string, bool) {
	parts := splitPath(path)
	params := map[string]string{}
	for i, s := range t {
		if s.rest {
			rest := strings.Join(parts[min(i, len(parts)):], "/")
			params[s.param] = rest
			return params, s.admits(rest)
		}
		if i >= len(parts) {
			return params, s.optional
		}
		if s.param == "" {
			if !strings.EqualFold(s.literal, parts[i]) {
				return nil, false
			}
			continue
		}
		if parts[i] == "" || !s.admits(parts[i]) {
			return nil, false
		}
		params[s.param] = parts[i]
	}
	return params, len(parts) <= len(t)
}

func (s segment) admits(value string) bool {
	return s.constraint == "" || constraints[s.constraint](value)
}

// rank orders segments at one place: the lower is tried first.
func (s segment) rank() int {
	switch {
	case s.param == "":
		return 1
	case s.rest && s.constraint != "":
		return 4
	case s.rest:
		return 5
	case s.constraint != "":
		return 2
	default:
		return 3
	}
}

// compare orders templates as ASP.NET tries them: a literal before a parameter
// with a constraint, that before one without, that before a catch-all.
func (t template) compare(other template) int {
	for i := range min(len(t), len(other)) {
		if c := cmp.Compare(t[i].rank(), other[i].rank()); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(t), len(other))
}

// shape is the template without the names of its parameters: two templates of
// one shape serve the same paths.
func (t template) shape() string {
	var b strings.Builder
	for _, s := range t {
		b.WriteString("/")
		switch {
		case s.param == "":
			b.WriteString(strings.ToLower(s.literal))
		case s.rest:
			b.WriteString("{*:" + s.constraint + "}")
		default:
			b.WriteString("{:" + s.constraint + "}")
		}
	}
	return b.String()
}

var percentEncoded = regexp.MustCompile(`^%[0-9A-Fa-f]{2}`)

// resolvePath gives a request's path as the host's web server makes it before it
// looks for a route (/a%2Fb/../c is /c), and the same escaped for the handler:
// escapes are decoded but for that of the slash, then . and .. are resolved.
func resolvePath(u *url.URL) (path, escaped string, err error) {
	var segments []string
	raw := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	for i, part := range raw {
		part, err := decodeSegment(part)
		if err != nil {
			return "", "", err
		}
		last := i == len(raw)-1
		switch part {
		case ".", "..":
			if part == ".." && len(segments) > 0 {
				segments = segments[:len(segments)-1]
			}
			if last {
				segments = append(segments, "")
			}
		default:
			segments = append(segments, part)
		}
	}
	path = "/" + strings.Join(segments, "/")
	return path, escapePath(path), nil
}

func decodeSegment(part string) (string, error) {
	part = strings.ReplaceAll(strings.ReplaceAll(part, "%2f", "%2F"), "%2F", "%252F")
	decoded, err := url.PathUnescape(part)
	if err != nil {
		return "", err
	}
	if strings.ContainsRune(decoded, 0) {
		return "", errors.New("path holds a zero byte")
	}
	return decoded, nil
}

// escapePath escapes what a path must not hold and leaves what looks escaped, as
// ASP.NET's PathString does.
func escapePath(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%' && percentEncoded.MatchString(path[i:]):
			b.WriteByte(c)
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~!$&'()*+,;=:@/", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

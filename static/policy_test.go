package static

import (
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// What must not be in the page's own files, by the ending of their names.
var forbidden = map[string]map[string]*regexp.Regexp{
	".html": {
		"inline handler":     regexp.MustCompile(`(?i)\son[a-z]+\s*=`),
		"inline style":       regexp.MustCompile(`(?i)<style|\s:?style\s*=`),
		"inline script":      regexp.MustCompile(`(?i)<script(?:\s+defer)?\s*>|javascript:|<script[^>]*>[^<]`),
		"raw HTML":           regexp.MustCompile(`x-html`),
		"positive tabindex":  regexp.MustCompile(`tabindex="[1-9]`),
		"frame or embedding": regexp.MustCompile(`(?i)<(?:iframe|object|embed|base)\b`),
	},
	".js": {
		"text as markup": regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser`),
		"text as code":   regexp.MustCompile(`\beval\(|new Function|setTimeout\(['"]`),
		"inline style":   regexp.MustCompile(`setAttribute\(['"]style|cssText`),
		"inline handler": regexp.MustCompile(`\.on[a-z]+ =`),
		"console":        regexp.MustCompile(`console\.`),
	},
	".css": {
		"foreign file":  regexp.MustCompile(`@import|url\(`),
		"lost outline":  regexp.MustCompile(`:focus(?:-visible)?\s*\{[^}]*outline:\s*(?:0|none)[^}]*\}`),
		"fixed browser": regexp.MustCompile(`-webkit-|-moz-`),
	},
}

var (
	foreign   = regexp.MustCompile(`(?i)(?:https?:)?//[a-z0-9][a-z0-9.-]*\.[a-z]{2,}`)
	asset     = regexp.MustCompile(`\s(?:src|href)="([^"?#:]+)"`)
	directive = regexp.MustCompile(`\s((?:x-|:|@)[\w.:-]+)="([^"]*)"`)
	loop      = regexp.MustCompile(`^(?:\w+|\(\w+, \w+\)) in (.+)$`)
	// What Alpine's CSP build can parse: names, calls, literals, operators. No
	// arrows, template strings, spread, optional chaining or statements.
	parsable = regexp.MustCompile(`^(?:\s|[A-Za-z_$][\w$]*|\d+(?:\.\d+)?|'[^'\\]*'|===|!==|==|!=|<=|>=|&&|\|\||[-+*/%!<>?:.,()\[\]{}])+$`)
	literal  = regexp.MustCompile(`'[^'\\]*'`)
	property = regexp.MustCompile(`\.[A-Za-z_$][\w$]*`) // may be a keyword
	refused  = regexp.MustCompile(`\b(?:new|typeof|void|delete|in|instanceof|function|await|return)\b|\?\.|\?\?|\.\.\.|=>`)
)

// policyFaults lists what in a page breaks its policy.
func policyFaults(page fs.FS) []string {
	var found []string
	for name, text := range ownFiles(page) {
		for what, pattern := range forbidden[name[strings.LastIndex(name, "."):]] {
			for _, m := range pattern.FindAllString(text, -1) {
				found = append(found, fmt.Sprintf("%s: %s: %s", name, what, strings.TrimSpace(m)))
			}
		}
		for _, m := range foreign.FindAllString(strings.ReplaceAll(text, `xmlns="http://www.w3.org/2000/svg"`, ""), -1) {
			found = append(found, name+": foreign origin: "+m)
		}
	}
	found = append(found, expressionFaults(page)...)
	found = append(found, assetFaults(page)...)
	slices.Sort(found)
	return found
}

func ownFiles(page fs.FS) map[string]string {
	texts := map[string]string{}
	err := fs.WalkDir(page, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(name, "vendor/") {
			return err
		}
		body, err := fs.ReadFile(page, name)
		texts[name] = string(body)
		return err
	})
	if err != nil {
		panic(err)
	}
	return texts
}

func expressionFaults(page fs.FS) []string {
	var found []string
	for _, m := range directive.FindAllStringSubmatch(ownFiles(page)["index.html"], -1) {
		name, expression := m[1], m[2]
		if name == "x-for" {
			in := loop.FindStringSubmatch(expression)
			if in == nil {
				found = append(found, "index.html: x-for: "+expression)
				continue
			}
			expression = in[1]
		}
		code := property.ReplaceAllString(literal.ReplaceAllString(expression, "''"), ".p")
		if name != "x-ref" && (!parsable.MatchString(code) || refused.MatchString(code)) {
			found = append(found, "index.html: more than Alpine's parser: "+name+"="+expression)
		}
	}
	return found
}

// assetFaults lists what the page refers to and lacks, and what lies there unused.
func assetFaults(page fs.FS) []string {
	var found, used []string
	for _, m := range asset.FindAllStringSubmatch(ownFiles(page)["index.html"], -1) {
		used = append(used, m[1])
		if _, err := fs.Stat(page, m[1]); err != nil {
			found = append(found, "index.html: is not there: "+m[1])
		}
	}
	for name := range ownFiles(page) {
		if (strings.HasSuffix(name, ".js") || strings.HasSuffix(name, ".css")) && !slices.Contains(used, name) {
			found = append(found, name+": is not used")
		}
	}
	return found
}

func TestPageKeepsItsPolicy(t *testing.T) {
	require.Empty(t, policyFaults(files))
	require.Greater(t, len(directive.FindAllString(ownFiles(files)["index.html"], -1)), 100, "the pattern finds the page's directives")
}

func TestPolicyIsSeenToFail(t *testing.T) {
	tests := map[string]string{
		`<p onclick="x()">`:                              "inline handler",
		`<p style="color:red">`:                          "inline style",
		`<p :style="'color:red'">`:                       "inline style",
		`<style>p{}</style>`:                             "inline style",
		`<script>run()</script>`:                         "inline script",
		`<script src="a.js">run()</script>`:              "inline script",
		`<a href="javascript:x()">`:                      "inline script",
		`<p x-html="event">`:                             "raw HTML",
		`<b tabindex="3">`:                               "positive tabindex",
		`<iframe>`:                                       "frame or embedding",
		`<script src="https://cdn.example.com/a.js">`:    "foreign origin",
		`<img src="//cdn.example.com/a.png">`:            "foreign origin",
		`<img src="gone.png">`:                           "is not there",
		`<p x-text="a?.b">`:                              "more than Alpine's parser",
		`<p x-text="a ?? b">`:                            "more than Alpine's parser",
		`<p @click="() => go()">`:                        "more than Alpine's parser",
		`<p @click="a(); b()">`:                          "more than Alpine's parser",
		"<p :class=\"`x${y}`\">":                         "more than Alpine's parser",
		`<p x-show="'a' in b">`:                          "more than Alpine's parser",
		`<p x-text="typeof a">`:                          "more than Alpine's parser",
		`<p @click="f(...a)">`:                           "more than Alpine's parser",
		`<p @click="a = 1">`:                             "more than Alpine's parser",
		`<template x-for="row of rows"></template>`:      "x-for",
		`<template x-for="a in b.map(x => x)"></tempate`: "more than Alpine's parser",
	}
	for html, want := range tests {
		found := policyFaults(fstest.MapFS{"index.html": {Data: []byte(html)}, "a.js": {}})
		require.Condition(t, func() bool {
			return slices.ContainsFunc(found, func(f string) bool { return strings.Contains(f, want) })
		}, "%s: %v", html, found)
	}
	for name, text := range map[string]string{
		"a.js": "el.innerHTML = name", "b.js": "eval(text)", "c.js": "fetch('https://example.com/x')", "d.js": "el.onclick = go",
		"a.css": "@import 'x.css'", "b.css": "a:focus { outline: none }",
	} {
		found := policyFaults(fstest.MapFS{name: {Data: []byte(text)}, "index.html": {Data: []byte(`<a href="` + name + `">`)}})
		require.Len(t, found, 1, name)
	}
}

var token = regexp.MustCompile(`--([a-z-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)`)

// Text must be told from what is behind it by 4.5 to 1, edges of controls by 3 to 1 (WCAG 2.2, AA).
func TestThemesHaveContrast(t *testing.T) {
	themes := [2]map[string]string{{}, {}}
	for _, m := range token.FindAllStringSubmatch(ownFiles(files)["css/theme.css"], -1) {
		themes[0][m[1]], themes[1][m[1]] = m[2], m[3]
	}
	require.Len(t, themes[0], 12)
	pairs := []struct {
		front, behind []string
		least         float64
	}{
		{[]string{"text", "muted", "accent", "good", "bad", "warn"}, []string{"ground", "panel", "raised"}, 4.5},
		{[]string{"on-accent"}, []string{"accent"}, 4.5},
		{[]string{"edge"}, []string{"panel"}, 3},
	}
	for i, theme := range themes {
		for _, p := range pairs {
			for _, front := range p.front {
				for _, behind := range p.behind {
					require.GreaterOrEqual(t, contrast(theme[front], theme[behind]), p.least, "%s on %s of theme %d", front, behind, i)
				}
			}
		}
	}
	require.InDelta(t, 21, contrast("000000", "ffffff"), 0.01)
}

func contrast(a, b string) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// luminance is WCAG's relative luminance of a colour in sRGB.
func luminance(hex string) float64 {
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			panic(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			sum += weight * c / 12.92
		} else {
			sum += weight * math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return sum
}

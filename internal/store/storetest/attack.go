package storetest

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

// Harmless are values that people ask with. What a store does about them is all
// that it may ever do.
func Harmless() []string {
	return []string{"Ana", "ana brandt", "Entra", "success", "o'brien", "2026-03-02T06:00:00Z", "25", strings.Repeat("0f", 16)}
}

// Hostile are values that mean something to a language of queries, to a parser
// on the way, or to nobody.
func Hostile() []string {
	return []string{
		// MongoDB: operators, documents, types and code.
		"$where", "$ne", "$gt", "$regex", "$expr", "$function", "$lookup", "$", ".", "event.actor", "k", "_id", "__proto__",
		`{"$ne":null}`, `{"$gt":""}`, `{"$regex":".*"}`, `{"$where":"sleep(1000)"}`, `{"$expr":{"$eq":[1,1]}}`, `{"$function":{"body":"function(){return true}","args":[],"lang":"js"}}`,
		`[$ne]=`, `{"$oid":"507f1f77bcf86cd799439011"}`, `{"$date":"2026-01-01"}`, `{"$binary":{"base64":"AA==","subType":"00"}}`, `{"$numberLong":"1"}`, `{"$code":"1"}`, `{"$minKey":1}`, `{"$undefined":true}`,
		`'; return true; var a='`, `';sleep(5000);'`, `function(){while(1){}}`, `this.k.length>0`, `"}}],"ok":1,"$db":"admin`,
		"\x10\x00\x00\x00\x02a\x00\x01\x00\x00\x00\x00\x00", "\x02_id\x00",
		// Regular expressions.
		".*", "^", "a|b", "(a+)+$", `\E.*\Q`, "[a-z]", "(?i)ana", `\x00`, "a{1,9999}",
		// SQL, LIKE and GLOB.
		`'; DROP TABLE events; --`, `" OR 1=1 --`, `' OR '1'='1`, `1 UNION SELECT body FROM jobs`, `x'41'`, `')) OR (('a'='a`, `/* */`, `; ATTACH DATABASE '/tmp/x' AS x`, `?1`, `:a`, `@a`, `%`, `_`, `a%`, `%ana%`, `*`, `?`, `[a]`, `\%`,
		// FTS5's syntax.
		"ana AND brandt", "ana OR brandt", "NOT ana", "NEAR(ana brandt, 5)", "NEAR", "tokens:ana", "{tokens}:ana", "^ana", "ana*", `"ana`, `""`, `ana" OR "x`, "-tokens:x", "ana + brandt", "(ana)",
		// Texts that break parsers.
		"", " ", "\x00", "a\x00b", "\xff\xfe", "\xc0\xa4ne", "\ufeffana", "\u202eana", "ana\r\nX-Injected: 1", "null", "true", "NaN", "1e309", "-1", "0x10", "9223372036854775808",
		"../../etc/passwd", "%00", "%24ne", "%2524ne", `\u0024ne`, `\x24ne`, "＄ne", "<script>", "{{7*7}}", "${jndi:ldap://x}", "`id`", strings.Repeat("a", 512), strings.Repeat("$", 600), strings.Repeat("é", 4000),
		strings.Repeat("00", 16), strings.Repeat("0", 16) + `"},{"$gt":""`,
	}
}

// spellings are the ways in which a value comes over the wire as a parameter.
func spellings() map[string]func(name, value string) string {
	return map[string]func(name, value string) string{
		"escaped":       func(name, v string) string { return name + "=" + url.QueryEscape(v) },
		"escaped twice": func(name, v string) string { return name + "=" + url.QueryEscape(url.QueryEscape(v)) },
		"as it is":      func(name, v string) string { return name + "=" + v },
		"in JSON":       func(name, v string) string { return name + "=" + url.QueryEscape(`{"$eq":`+strconv.Quote(v)+`}`) },
		"every byte":    func(name, v string) string { return name + "=" + everyByte(v) },
		"upper case":    func(name, v string) string { return name + "=" + url.QueryEscape(strings.ToUpper(v)) },
		"twice":         func(name, v string) string { return name + "=" + url.QueryEscape(v) + "&" + name + "=Entra" },
		"as an array":   func(name, v string) string { return name + "[]=" + url.QueryEscape(v) },
		"as a key":      func(name, v string) string { return name + "[" + url.QueryEscape(v) + "]=x" },
		"as a path":     func(name, v string) string { return name + "." + url.QueryEscape(v) + "=x" },
	}
}

func everyByte(v string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(v) {
		b.WriteString("%" + string(digits[v[i]>>4]) + string(digits[v[i]&15]))
	}
	return b.String()
}

// Attack asks a store everything that callers may ask, with each value in every
// place and spelling, read as the API reads a request. Every answer must be the
// contract's over all, which is what the store holds: nothing is found that the
// value does not name, nothing fails, nothing is changed. It returns how many
// combinations it tried, and how many questions to the store came of them: what
// two spellings make the same is asked once.
func Attack(t *testing.T, s Store, all []audit.Stored, values []string) (tried, reached int) {
	t.Helper()
	names := []string{"search", "cursor", "start", "end", "page_size"}
	for _, f := range audit.Fields() {
		names = append(names, string(f))
	}
	asked := map[string]bool{}
	fresh := func(question string) bool {
		was := asked[question]
		asked[question] = true
		return !was
	}
	for _, value := range values {
		for spelling, spell := range spellings() {
			for _, name := range names {
				tried++
				q, ok := readQuery(t, spell(name, value))
				if ok && fresh(fmt.Sprintf("%+v", q)) {
					reached++
					requireAnswer(t, s, spelling, q, all)
				}
			}
			tried += kindsOfID
			form, err := url.ParseQuery(spell("id", value))
			if err == nil && len(form["id"]) == 1 && fresh("id "+form.Get("id")) {
				attackIDs(t, s, form.Get("id"))
				reached += kindsOfID
			}
		}
	}
	return tried, reached
}

// readQuery reads a request's parameters as the API does. It is false where the
// API refuses them.
func readQuery(t *testing.T, raw string) (audit.Query, bool) {
	t.Helper()
	form, err := url.ParseQuery(raw)
	if err != nil {
		return audit.Query{}, false
	}
	q := audit.Query{Scope: audit.Everything(), Limit: audit.DefaultPageSize}
	for name, values := range form {
		if !readParameter(&q, name, values) {
			return audit.Query{}, false
		}
	}
	err = q.Validate()
	require.True(t, err == nil || errors.Is(err, audit.ErrInvalid), err)
	if cursor := form.Get("cursor"); err == nil && cursor != "" {
		q.After, err = q.ParseCursor(cursor)
		require.True(t, err == nil || errors.Is(err, audit.ErrInvalid), err)
	}
	return q, err == nil
}

func readParameter(q *audit.Query, name string, values []string) (ok bool) {
	var err error
	field := audit.Field(name)
	switch {
	case slices.Contains(audit.Fields(), field):
		q.Filters = append(q.Filters, audit.Filter{Field: field, Values: values})
	case name == "search":
		q.Terms = audit.SearchTerms(strings.Join(values, " "))
		return len(q.Terms) > 0
	case name == "start":
		q.Start, err = time.Parse(time.RFC3339Nano, values[0])
	case name == "end":
		q.End, err = time.Parse(time.RFC3339Nano, values[0])
	case name == "page_size":
		q.Limit, err = strconv.Atoi(values[0])
	default:
		return name == "cursor"
	}
	return err == nil
}

const kindsOfID = 6

// attackIDs asks for a thing of this id of every kind, of which there is none.
func attackIDs(t *testing.T, s Store, id string) {
	t.Helper()
	ctx := t.Context()
	_, err := s.Event(ctx, audit.Everything(), id)
	require.ErrorIs(t, err, audit.ErrNotFound, "%q", id)
	_, err = s.Raw(ctx, audit.Everything(), id)
	require.ErrorIs(t, err, audit.ErrNotFound, "%q", id)
	_, err = s.Job(ctx, id)
	require.ErrorIs(t, err, audit.ErrNotFound, "%q", id)
	records, err := s.Quarantined(ctx, id, 5)
	require.NoError(t, err, "%q", id)
	require.Empty(t, records)
	names, err := s.KnownNames(ctx, []string{id}, Epoch)
	require.NoError(t, err, "%q", id)
	require.Empty(t, names)
	raws, err := s.Raws(ctx, []string{id})
	require.NoError(t, err, "%q", id)
	require.Empty(t, raws)
}

package source

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func split(r io.Reader, most int) (got []string, err error) {
	err = newSplitter(r).list(most, func(raw []byte) bool {
		got = append(got, string(raw))
		return true
	})
	return got, err
}

func TestListYieldsElementsAsTheyCame(t *testing.T) {
	deep := strings.Repeat(`{"a":[`, 10_000) + `"\u0000]}"` + strings.Repeat(`]}`, 10_000)
	tests := map[string]struct {
		body string
		want []string
	}{
		"none":                 {" [ ] \n", nil},
		"spaces stay inside":   {"[ { \"a\" : 1 } ,\n{\"b\":[1, 2]}]", []string{`{ "a" : 1 }`, `{"b":[1, 2]}`}},
		"brackets in strings":  {`[{"a":"]}"},{"b":"\"]},{"},{"c":"\\"}]`, []string{`{"a":"]}"}`, `{"b":"\"]},{"}`, `{"c":"\\"}`}},
		"scalars":              {`[1, "x,]" ,null,-1.5e3 ,[[]]]`, []string{"1", `"x,]"`, "null", "-1.5e3", "[[]]"}},
		"lone surrogate":       {`[{"a":"\ud800"}]`, []string{`{"a":"\ud800"}`}},
		"invalid UTF-8":        {"[{\"a\":\"\xff\xfe\"}]", []string{"{\"a\":\"\xff\xfe\"}"}},
		"byte order mark":      {"\xef\xbb\xbf[1]", []string{"1"}},
		"deep":                 {"[" + deep + ",1]", []string{deep, "1"}},
		"a bad one costs self": {`[{"a":tru},{"b":[1}},{"c":3}]`, []string{`{"a":tru}`, `{"b":[1}}`, `{"c":3}`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.body), iotest.OneByteReader(strings.NewReader(tt.body))} {
				got, err := split(r, maxElement)
				require.NoError(t, err)
				require.Equal(t, tt.want, got)
			}
		})
	}
}

func TestListFailsAfterTheGoodRecords(t *testing.T) {
	tests := map[string]struct {
		body string
		want []string
		says string
	}{
		"empty":                {"", nil, "the body is empty"},
		"HTML":                 {"<html>[1]</html>", nil, "begins with '<'"},
		"object":               {`{"error":{}}`, nil, "begins with '{'"},
		"half a list":          {`[{"a":1},{"b":2}`, []string{`{"a":1}`, `{"b":2}`}, "unexpected EOF"},
		"half a record":        {`[{"a":1},{"b":`, []string{`{"a":1}`}, "unexpected EOF"},
		"unclosed record":      {`[{"a":1},{"b":{"c":2},{"d":3}]`, []string{`{"a":1}`}, "not closed"},
		"cut and closed":       {`[{"a":1},{"b":]`, []string{`{"a":1}`}, "not closed"},
		"unclosed string":      {`[{"a":1},"b]`, []string{`{"a":1}`}, "unexpected EOF"},
		"trailing comma":       {`[1,]`, []string{"1"}, "where a record was expected"},
		"no comma":             {`[{} {}]`, []string{"{}"}, "where a comma was expected"},
		"two commas":           {`[1,,2]`, []string{"1"}, "where a record was expected"},
		"something after it":   {`[1][2]`, []string{"1"}, "goes on with '[' after its end"},
		"an error page after":  {"[1]\n<html>", []string{"1"}, "goes on with '<' after its end"},
		"begins with a comma":  {`[,1]`, nil, "where a record was expected"},
		"nothing but the mark": {"\xef\xbb\xbf", nil, "the body is empty"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := split(strings.NewReader(tt.body), maxElement)
			require.ErrorContains(t, err, tt.says)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestAnOversizedRecordCostsOnlyItself(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 200_000) + `"}`
	got, err := split(strings.NewReader("[1,"+long+`,{"b":2}]`), 1000)
	require.NoError(t, err)
	require.Equal(t, []string{"1", long[:1000], `{"b":2}`}, got)
	require.False(t, json.Valid([]byte(got[1])), "what was cut must not pass for a record")
}

func TestElementsAreTheCallersOwn(t *testing.T) {
	var got [][]byte
	require.NoError(t, newSplitter(strings.NewReader(`["aa","bb"]`)).list(maxElement, func(raw []byte) bool {
		got = append(got, raw)
		return true
	}))
	require.Equal(t, `"aa"`, string(got[0]))
}

func TestListStopsWhenToldTo(t *testing.T) {
	n := 0
	err := newSplitter(strings.NewReader(`[1,2,3]`)).list(maxElement, func([]byte) bool { n++; return false })
	require.ErrorIs(t, err, errStop)
	require.Equal(t, 1, n)
}

func TestPageReadsMembersInAnyOrder(t *testing.T) {
	for name, tt := range map[string]struct {
		body, link, says string
		want             []string
	}{
		"link first": {`{"@odata.context":"x","@odata.nextLink":"https://h/a?b=\u0026c","value":[{"a":1}]}`, "https://h/a?b=&c", "", []string{`{"a":1}`}},
		"link last":  {`{"value" : [1,2] , "@odata.nextLink":"l", "@odata.count":2}`, "l", "", []string{"1", "2"}},
		"last page":  {`{"":[{"value":[9]}],"value":[]}`, "", "", nil},
		"link null":  {`{"value":[],"@odata.nextLink":null}`, "", "", nil},
		"no list":    {`{"error":{"value":[1]}}`, "", "no list of records", nil},
		"empty":      {`{}`, "", "no list of records", nil},
		"a list":     {`[1]`, "", "expected an object", nil},
		"HTML":       {`<p>`, "", "expected an object", nil},
		"half":       {`{"value":[1,2`, "", "unexpected EOF", []string{"1"}},
		"half after": {`{"value":[1]`, "", "unexpected EOF", []string{"1"}},
		"no string":  {`{"value":[1],"@odata.nextLink":{"a":1}}`, "", "where a string was expected", []string{"1"}},
		"no comma":   {`{"value":[1] "a":1}`, "", "where a comma was expected", []string{"1"}},
		"no colon":   {`{"value" [1]}`, "", "a name without a value", nil},
		"after it":   {`{"value":[1]} x`, "", "after its end", []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			link, err := newSplitter(strings.NewReader(tt.body)).page(maxElement, func(raw []byte) bool {
				got = append(got, string(raw))
				return true
			})
			require.Equal(t, tt.want, got)
			if tt.says != "" {
				require.ErrorContains(t, err, tt.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.link, link)
		})
	}
}

// FuzzList: what is a JSON list to encoding/json has the same elements for the
// splitter, byte for byte; nothing makes it panic, and what it takes for whole
// is closed.
func FuzzList(f *testing.F) {
	for _, s := range []string{`[]`, `[1,"a\"]",{"a":[{}]}]`, "[\"\\u00e9\",\"\xff\"]", `{"a":1}`, `[[`, `[1,]`, `["\\"]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := split(iotest.HalfReader(bytes.NewReader(body)), maxElement)
		var want []json.RawMessage
		if json.Unmarshal(body, &want) != nil || bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
			return
		}
		require.NoError(t, err)
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, string(want[i]), got[i])
		}
	})
}

func BenchmarkList(b *testing.B) {
	record := `{"Id":"5f0f3c0e","Operation":"FileAccessed","UserAgent":"Mozilla/5.0 \"x\"","Parameters":[{"Name":"a","Value":"b"}]}`
	body := []byte("[" + strings.Repeat(record+",", 9_999) + record + "]")
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		n := 0
		require.NoError(b, newSplitter(bytes.NewReader(body)).list(maxElement, func([]byte) bool { n++; return true }))
		require.Equal(b, 10_000, n)
	}
}

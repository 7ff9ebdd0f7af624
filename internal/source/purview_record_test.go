package source

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestAuditData(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	tests := map[string]struct{ element, want string }{
		"object":               {`{"id":"1","auditData":{"b" : 1, "a":12345678901234567890},"x":[]}`, `{"b" : 1, "a":12345678901234567890}`},
		"spaces":               {" {\n\"id\" : 1 ,\t\"auditData\" : {\"a\":1} \r\n} ", `{"a":1}`},
		"string":               {`{"auditData":"{\"a\":\"b\\n\\\"\\u00e9\",\"c\":\"\/\"}"}`, `{"a":"b\n\"\u00e9","c":"/"}`},
		"string in a string":   {`{"auditData":"\"{}\""}`, `"{}"`},
		"escapes":              {`{"auditData":"\u0041\u00e9\ud83d\ude00\b\f\n\r\t\\\/\""}`, "Aé😀\b\f\n\r\t\\/\""},
		"half a pair":          {`{"auditData":"\ud83d\u0041 \ude00 \ud83d"}`, `\ud83dA \ude00 \ud83d`},
		"nonsense escape":      {`{"auditData":"\x \u12 \u12g4"}`, `\x \u12 \u12g4`},
		"invalid UTF-8":        {"{\"auditData\":\"a\xff\\n\xed\xa0\x80\"}", "a\xff\n\xed\xa0\x80"},
		"invalid UTF-8 inside": {"{\"auditData\":{\"a\":\"\xff\"}}", "{\"a\":\"\xff\"}"},
		"deep":                 {`{"auditData":` + deep + `}`, deep},
		"broken neighbour":     {`{"x":nonsense,"auditData":{"a":1},"y":[}`, `{"a":1}`},
		"twice":                {`{"auditData":{"a":1},"auditData":{"a":2}}`, `{"a":2}`},
		"not the inner one":    {`{"x":{"auditData":1},"s":"\"auditData\":2","auditData":3}`, `3`},
		"other case":           {`{"auditdata":{"a":1}}`, `{"auditdata":{"a":1}}`},
		"none":                 {`{"id":"1"}`, `{"id":"1"}`},
		"null":                 {`{"id":"1","auditData":null}`, `{"id":"1","auditData":null}`},
		"cut":                  {`{"id":"1","auditData":{"a":`, `{"id":"1","auditData":{"a":`},
		"cut string":           {`{"id":"1","auditData":"{\"a`, `{"id":"1","auditData":"{\"a`},
		"cut number":           {`{"id":1`, `{"id":1`},
		"broken":               {`{"auditData":{"a":1]}`, `{"auditData":{"a":1]}`},
		"no value":             {`{"auditData":}`, `{"auditData":}`},
		"no colon":             {`{"auditData" 1}`, `{"auditData" 1}`},
		"no object":            {`[1]`, `[1]`},
		"nothing":              {``, ``},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { require.Equal(t, tt.want, string(auditData([]byte(tt.element)))) })
	}
}

func FuzzAuditData(f *testing.F) {
	for _, seed := range []string{
		`{"auditData":{"a":1}}`, `{"auditData":"{\"a\":\"\\u00e9\\ud83d\"}"}`, `{"a":[1,{"auditData":2}],"auditData":"\ud83d\ude00"}`, `{"auditData":"\`, `{"":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, element []byte) {
		got := auditData(element)
		var all map[string]json.RawMessage
		if json.Unmarshal(element, &all) != nil || all == nil || strings.Contains(string(element), `\u00`) {
			return // it must only not panic; names with escapes are not looked for
		}
		want := all["auditData"]
		var text string
		switch {
		case want == nil || string(want) == "null":
			require.Equal(t, string(element), string(got))
		case json.Unmarshal(want, &text) != nil:
			require.Equal(t, string(want), string(got))
		case utf8.Valid(element) && !strings.ContainsRune(text, utf8.RuneError):
			require.Equal(t, text, string(got))
		}
	})
}

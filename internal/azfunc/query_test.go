package azfunc

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuery(t *testing.T) {
	tests := []struct {
		raw  string
		want url.Values
	}{
		{"", url.Values{}},
		{"a=1&a=2", url.Values{"a": {"1", "2"}}},
		{"a=1,2", url.Values{"a": {"1", "2"}}},
		{"a=1%2C2", url.Values{"a": {"1,2"}}},
		{"a=1%2c2,3", url.Values{"a": {"1,2", "3"}}},
		{"a=&a=2", url.Values{"a": {"", "2"}}},
		{"a=,2", url.Values{"a": {"", "2"}}},
		{"a", url.Values{"a": {""}}},
		{"a=b+c%20d&%61=e", url.Values{"a": {"b c d", "e"}}},
		{"a=b=c&&b=%26", url.Values{"a": {"b=c"}, "b": {"&"}}},
		{"search=x,+y&a=1", url.Values{"search": {"x, y"}, "a": {"1"}}},
		{"search=x%2C+y", url.Values{"search": {"x, y"}}},
		{"search=x&search=y", url.Values{"search": {"x,y"}}},
	}
	for _, tt := range tests {
		got, err := Query(tt.raw, "search")
		require.NoError(t, err, tt.raw)
		require.Equal(t, tt.want, got, tt.raw)
	}
	for raw, want := range map[string]string{
		"start=%zz":                           `query: start: the value "%zz" is not escaped rightly`,
		"%zz=1":                               `query: the name "%zz" is not escaped rightly`,
		"a=1;b=2":                             `query: "a=1;b=2" holds a semicolon`,
		"a=" + strings.Repeat(",", maxValues): "query: more than 1000 values",
	} {
		_, err := Query(raw)
		require.ErrorContains(t, err, want)
	}
}

// FuzzQuery holds that a query means the same before and after the host's older
// forwarding, and that without a literal comma it means what it means to net/url.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"a=1&a=2", "a=1,2", "a=1%2C2&b=", "s=x,y&s=z", "A=1&a=2", "%61=1&a=,", "a;b", "=&=,"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := Query(raw, "s")
		if err != nil {
			return
		}
		joined := joinQuery(raw)
		upper := func(r rune) bool { return r > 127 || 'A' <= r && r <= 'Z' }
		if !strings.ContainsFunc(raw, upper) { // the host's names are compared without case
			again, err := Query(joined, "s")
			require.NoError(t, err)
			require.Equal(t, got, again)
		}
		if plain, err := url.ParseQuery(raw); err == nil && !strings.Contains(raw, ",") && !got.Has("s") {
			require.Equal(t, plain, got)
		}
	})
}

package azfunc

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// maxValues bounds what one query string may hold. Azure takes 4,096 bytes of it.
const maxValues = 1000

// Query parses a raw query as the Functions host may have left it. The host joins
// the values of a repeated parameter by commas (a=1&a=2 arrives as a=1,2, other
// escapes as they were), so every value is split at its literal commas before it
// is unescaped: both forms give [1 2], and %2C is data.
//
// A parameter named in whole is free text and has one value: its commas are data
// however they are written. Repetitions of it cannot be told from a comma and are
// joined by one, which again makes both forms equal.
func Query(rawQuery string, whole ...string) (url.Values, error) {
	values := url.Values{}
	count := 0
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if pair == "" {
			continue
		}
		name, parts, err := parsePair(pair)
		if err != nil {
			return nil, err
		}
		if count += len(parts); count > maxValues {
			return nil, fmt.Errorf("query: more than %d values", maxValues)
		}
		values[name] = append(values[name], parts...)
	}
	for _, name := range whole {
		if parts, given := values[name]; given {
			values[name] = []string{strings.Join(parts, ",")}
		}
	}
	return values, nil
}

func parsePair(pair string) (name string, parts []string, err error) {
	rawName, rawValue, _ := strings.Cut(pair, "=")
	if strings.Contains(pair, ";") {
		return "", nil, fmt.Errorf("query: %q holds a semicolon; write %%3B", pair)
	}
	if name, err = url.QueryUnescape(rawName); err != nil {
		return "", nil, fmt.Errorf("query: the name %q is not escaped rightly", rawName)
	}
	for part := range strings.SplitSeq(rawValue, ",") {
		value, err := url.QueryUnescape(part)
		if err != nil {
			return "", nil, fmt.Errorf("query: %s: the value %q is not escaped rightly", name, part)
		}
		parts = append(parts, value)
	}
	return name, parts, nil
}

// joinQuery rewrites a raw query as the host's older forwarding does: the values
// of a repeated parameter, its name compared without case as in ASP.NET, become
// one value joined by commas, at the place of the first.
func joinQuery(rawQuery string) string {
	var names, values []string
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
		if i < 0 {
			names, values = append(names, name), append(values, value)
			continue
		}
		values[i] += "," + value
	}
	for i, name := range names {
		names[i] = name + "=" + values[i]
	}
	return strings.Join(names, "&")
}

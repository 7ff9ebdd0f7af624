package mongo

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

var (
	errNoURI     = errors.New(`expected a MongoDB URI, "mongodb://…" or "mongodb+srv://…"`)
	errUserinfo  = errors.New("the user name or password in the URI cannot be read: percent-encode what is not a letter or a digit")
	errAmbiguous = errors.New("the URI cannot be read; where its user name or password has a sign like / or @, percent-encode it")
)

// checkURI reports what is wrong with a URI without telling its password: the
// driver's words are passed on only about a URI whose userinfo was replaced.
func checkURI(uri string) error {
	scheme, rest, found := strings.Cut(uri, "://")
	if !found || scheme != "mongodb" && scheme != "mongodb+srv" {
		return errNoURI
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	at := strings.LastIndexByte(authority, '@')
	if scheme == "mongodb+srv" { // whose options depend on what the DNS says: they are read at first use
		tail, _, _ = strings.Cut(tail, "?")
	}
	parse := func(userinfo string) error {
		return options.Client().ApplyURI("mongodb://" + userinfo + authority[at+1:] + tail).Validate()
	}
	err := parse(authority[:at+1])
	switch {
	case err == nil && !oddPort(authority[at+1:]):
		return nil
	case err == nil:
		return errAmbiguous
	case at < 0 && strings.Contains(rest, "@"):
		return errAmbiguous
	case at < 0:
		return err
	}
	if err := parse("user:password@"); err != nil {
		return err
	}
	return errUserinfo
}

// oddPort reports whether a host has a port that is no number: the driver takes
// it, and it may be a password that a ? or / cut off from its @.
func oddPort(hosts string) bool {
	return slices.ContainsFunc(strings.Split(hosts, ","), func(host string) bool {
		i := strings.LastIndexByte(host, ':')
		if i < 0 || strings.HasSuffix(host, "]") {
			return false
		}
		_, err := strconv.ParseUint(host[i+1:], 10, 16)
		return err != nil
	})
}

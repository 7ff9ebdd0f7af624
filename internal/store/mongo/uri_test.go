package mongo

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOpenRefusesBadURIsWithoutTellingThePassword(t *testing.T) {
	for uri, want := range map[string]string{
		"":                                          "expected a MongoDB URI",
		"postgres://u:s3cr3t@host":                  "expected a MongoDB URI",
		"s3cr3t":                                    "expected a MongoDB URI",
		"mongodb://u:s3cr3t%zz@host":                "percent-encode",
		"mongodb://u:s3cr3t@x@host":                 "percent-encode",
		"mongodb+srv://u:s3:cr3t@host":              "percent-encode",
		"mongodb://u:s3cr3t/more@host":              "percent-encode",
		"mongodb://u:s3cr3t?more@host":              "percent-encode",
		"mongodb://u:s3cr3t@":                       "host",
		"mongodb://u:s3cr3t@host:99999":             "port",
		"mongodb://u:s3cr3t@host/?maxPoolSize=many": "maxPoolSize",
		"mongodb://u:s3cr3t/@host:10255/?ssl=true&appName=@me@": "percent-encode",
	} {
		_, err := Open(uri, "aoc")
		require.ErrorContains(t, err, want, uri)
		for _, part := range []string{"s3", "cr3t", "%zz"} {
			require.NotContains(t, err.Error(), part, uri)
		}
	}
}

func TestOpenTakesTheURIsOfAllEngines(t *testing.T) {
	for uri, ru := range map[string]bool{
		"mongodb://127.0.0.1:27017/":   false,
		"mongodb://[::1]:27017,[::1]/": false,
		"mongodb://acct:key%3D%3D@acct.mongo.cosmos.azure.com:10255/?ssl=true&replicaSet=globaldb&retrywrites=false&maxIdleTimeMS=120000&appName=@acct@":       true,
		"mongodb+srv://user:pa%2Fss@cluster.global.mongocluster.cosmos.azure.com/?tls=true&authMechanism=SCRAM-SHA-256&retrywrites=false&maxIdleTimeMS=120000": false,
		"mongodb+srv://user:pass@cluster0.abcde.mongodb.net/?retryWrites=true&w=majority":                                                                      false,
	} {
		s, err := Open(uri, "aoc")
		require.NoError(t, err, uri)
		require.NoError(t, s.Close())
		require.Equal(t, ru, isRU(uri))
	}
}

func TestOpenRefusesBadDatabaseNames(t *testing.T) {
	for _, name := range []string{"", "a.b", "a b", "$a", "a/b", "a\x00", strings.Repeat("a", 64)} {
		_, err := Open("mongodb://localhost", name)
		require.Error(t, err, "%q", name)
	}
}

func TestIndexesAreFew(t *testing.T) {
	for _, ru := range []bool{false, true} {
		for coll, keys := range indexes(ru) {
			require.LessOrEqual(t, len(keys), 4, coll)
		}
	}
	require.Equal(t, "t_-1__id_-1", indexName(indexes(true)[eventsColl][0]))
	require.Len(t, indexes(true)[eventsColl][1], 1, "RU takes no array into a compound index")
}

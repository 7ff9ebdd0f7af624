package normalize

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

var update = flag.Bool("update", false, "write the golden files anew")

const tenant = "11112222-3333-4444-5555-666677778888"

// golden is what a golden file shows of a record.
type golden struct {
	Event  audit.Event `json:"event"`
	Raw    string      `json:"raw,omitempty"` // where something was cut out
	Tokens []string    `json:"tokens"`
}

// fixtures are the records of testdata, each in a folder named by its feed.
func fixtures(t testing.TB) map[string]audit.Record {
	t.Helper()
	files, err := filepath.Glob("testdata/*/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	records := map[string]audit.Record{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		feed := audit.Source(filepath.Base(filepath.Dir(file)))
		records[file] = audit.Record{Source: feed, TenantID: tenant, Raw: bytes.TrimSpace(raw)}
	}
	return records
}

func TestGolden(t *testing.T) {
	n := New(DefaultMappings())
	for file, rec := range fixtures(t) {
		t.Run(strings.TrimSuffix(file, ".json"), func(t *testing.T) {
			s, err := n.Normalize(rec)
			require.NoError(t, err)
			requireWhole(t, s)
			g := golden{Event: s.Event, Tokens: s.Tokens}
			if len(s.Event.Redactions) > 0 {
				g.Raw = string(s.Raw.Bytes)
			} else {
				require.Equal(t, []byte(rec.Raw), s.Raw.Bytes)
			}
			var got bytes.Buffer
			enc := json.NewEncoder(&got)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			require.NoError(t, enc.Encode(g))
			require.NotContains(t, got.String(), "golden-secret")
			require.NotContains(t, got.String(), "hunter2")
			path := strings.TrimSuffix(file, ".json") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(path, got.Bytes(), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())
		})
	}
}

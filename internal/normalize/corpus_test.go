package normalize

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

// corpusDir holds real records of other people. They are read in place, where
// they are, and never copied.
const corpusDir = "../../../shared/corpus"

// corpusRecord is a line of the corpus: a record, or one in a wrapper.
func corpusRecord(line []byte) json.RawMessage {
	var wrapped struct{ Event json.RawMessage }
	if json.Unmarshal(line, &wrapped) == nil && len(wrapped.Event) > 0 {
		return wrapped.Event
	}
	return line
}

// guessFeed says which feed would have brought the record.
func guessFeed(raw json.RawMessage) audit.Source {
	var shape map[string]json.RawMessage
	if json.Unmarshal(raw, &shape) != nil {
		return audit.M365General
	}
	has := func(name string) bool { _, ok := shape[name]; return ok }
	switch {
	case has("properties"):
		return audit.AzureMonitor
	case has("activityDisplayName"):
		return audit.EntraDirectory
	case has("detectedDateTime"):
		return audit.EntraRisk
	case has("provisioningSteps"):
		return audit.EntraProvisioning
	case has("createdDateTime"):
		return audit.EntraSignIn
	case has("activityDateTime"), strings.Contains(string(shape["@odata.type"]), "auditEvent"):
		return audit.IntuneAudit
	}
	return audit.M365General
}

func corpusLines(t testing.TB, path string) [][]byte {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		r, err = gzip.NewReader(file)
		require.NoError(t, err)
	}
	var lines [][]byte
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 16<<20)
	for scan.Scan() {
		if len(scan.Bytes()) > 0 {
			lines = append(lines, append([]byte(nil), scan.Bytes()...))
		}
	}
	require.NoError(t, scan.Err())
	return lines
}

func corpusFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpusDir, "*.ndjson*"))
	require.NoError(t, err)
	if len(files) == 0 {
		if os.Getenv("CI") == "true" {
			require.FailNow(t, "the corpus is not there")
		}
		t.Skip("the corpus is not there")
	}
	return files
}

func TestCorpus(t *testing.T) {
	n := New(DefaultMappings())
	for _, path := range corpusFiles(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			ids, reasons := map[string]bool{}, map[string]int{}
			events, unknown := 0, 0
			lines := corpusLines(t, path)
			for _, line := range lines {
				raw := corpusRecord(line)
				s, err := n.Normalize(audit.Record{Source: guessFeed(raw), Raw: raw})
				if err != nil {
					reasons[err.Error()]++
					continue
				}
				requireWhole(t, s)
				events++
				ids[s.Event.ID] = true
				if s.Event.Result == audit.Unknown {
					unknown++
				}
			}
			t.Logf("%d lines: %d events, %d ids, %d with result unknown, quarantined %v", len(lines), events, len(ids), unknown, reasons)
			if strings.HasPrefix(filepath.Base(path), "invictus") {
				require.Equal(t, 3821, events)
				require.Len(t, ids, 2128)
				require.Zero(t, unknown)
			}
		})
	}
}

// requireWhole checks what every event must have.
func requireWhole(t testing.TB, s audit.Stored) {
	t.Helper()
	e := s.Event
	require.NotEmpty(t, e.ID)
	require.NotEmpty(t, e.Operation)
	require.NotEmpty(t, e.Summary)
	require.NotEmpty(t, e.Category)
	require.NotEmpty(t, e.Service)
	require.NotEmpty(t, s.Tokens)
	require.False(t, e.Time.IsZero())
	require.Contains(t, audit.Results(), e.Result)
	require.Equal(t, audit.NewRaw(s.Raw.Bytes), s.Raw)
}

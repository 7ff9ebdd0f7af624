package storetest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

func testInsert(t *testing.T, e Engine) {
	t.Run("counts new and known", func(t *testing.T) {
		b := newBed(t, e)
		first := Batch(0, 40)
		insert(t, b, append(slices.Clone(first), first[3], first[3], first[39]), 40, 3)
		insert(t, b, append(Batch(30, 45), Event(44), Event(2)), 5, 12)
		insert(t, b, Batch(0, 45), 0, 45)
		insert(t, b, nil, 0, 0)
		for _, s := range Batch(0, 45) {
			requireStored(t, b, s)
		}
	})
	t.Run("the first of an id stays", func(t *testing.T) {
		b := newBed(t, e)
		first, second, other := Event(1), Event(1), Event(2)
		second.Event.Summary, second.Event.Service = "rewritten", "Elsewhere"
		second.Raw, second.Tokens = audit.NewRaw([]byte(`{"rewritten":true}`)), []string{"rewritten"}
		insert(t, b, []audit.Stored{first, second, other}, 2, 1)
		insert(t, b, []audit.Stored{second}, 0, 1)
		requireStored(t, b, first)
		page, err := b.Search(t.Context(), audit.Query{Scope: audit.Everything(), Terms: []string{"rewritten"}, Limit: 5})
		require.NoError(t, err)
		require.Empty(t, page.Events)
		facets, err := b.Facets(t.Context(), audit.Everything())
		require.NoError(t, err)
		require.NotContains(t, facets, second.Event.Facet())
	})
	t.Run("a second store knows what the first stored", func(t *testing.T) {
		b := newBed(t, e)
		insert(t, b, Batch(0, 10), 10, 0)
		other := b.again()
		insert(t, other, Batch(5, 15), 5, 5)
		insert(t, b, Batch(0, 15), 0, 15)
	})
	t.Run("again after a writer died half way", func(t *testing.T) { testInsertAgain(t, e) })
	t.Run("many store the same at once", func(t *testing.T) { testInsertTogether(t, e) })
	t.Run("a context that is over stores nothing", func(t *testing.T) {
		b := newBed(t, e)
		_, err := b.Insert(over(t), Batch(0, 3))
		require.Error(t, err)
		insert(t, b, Batch(0, 3), 3, 0)
	})
}

func testInsertAgain(t *testing.T, e Engine) {
	b := newBed(t, e)
	batch := Batch(0, 20)
	e.AbandonWrite(t, b.Store, batch)
	b.clock.Advance(2 * e.GiveUp)
	n, err := b.again().Insert(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, len(batch), n.New+n.Known)
	insert(t, b, batch, 0, len(batch))
	for _, s := range batch {
		requireStored(t, b, s)
	}
	q := audit.Query{Scope: audit.Everything(), Limit: 100}
	require.Equal(t, answer(q, batch), search(t, b, q))
}

func testInsertTogether(t *testing.T, e Engine) {
	b := newBed(t, e)
	batch := Batch(0, 60)
	var writers sync.WaitGroup
	for range 4 {
		s := b.again()
		writers.Go(func() {
			for part := range chunks(batch, 20) {
				n, err := s.Insert(t.Context(), part)
				if err != nil || n.New+n.Known != len(part) {
					t.Errorf("insert: %+v, %v", n, err)
				}
			}
		})
	}
	writers.Wait()
	insert(t, b, batch, 0, len(batch))
	q := audit.Query{Scope: audit.Everything(), Limit: 100}
	require.Equal(t, answer(q, batch), search(t, b, q))
	f := follow(b.Store)
	f.read(t, 100)
	f.requireSeen(t, batch)
}

func testEvidence(t *testing.T, e Engine) {
	b := newBed(t, e)
	noise := make([]byte, 1<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(noise)
	for i, raw := range [][]byte{
		[]byte(`{"a":1}`),
		[]byte(" {\"b\" : \"\xff\xfe\xc3\x28\x00\"}\r\n"),
		noise,
		bytes.Repeat([]byte("compressible "), 100_000),
		[]byte("\x28\xb5\x2f\xfd a frame's magic number as data"),
	} {
		s := Event(i)
		s.Raw = audit.NewRaw(raw)
		insert(t, b, []audit.Stored{s}, 1, 0)
		requireStored(t, b, s)
	}
	known := Event(0).Event.ID
	require.Regexp(t, "[a-f]", known)
	for _, id := range []string{
		"", " ", "nope", "%", "*", strings.Repeat("0", 32), strings.Repeat("0", 31), strings.ToUpper(known),
		known + " ", known + "00", known[:31], known[:30], known + "\x00", "{\"$ne\":1}", "' OR 1=1 --", strings.Repeat("z", 32),
	} {
		_, err := b.Event(t.Context(), audit.Everything(), id)
		require.ErrorIs(t, err, audit.ErrNotFound, "%q", id)
		_, err = b.Raw(t.Context(), audit.Everything(), id)
		require.ErrorIs(t, err, audit.ErrNotFound, "%q", id)
	}
}

// requireStored checks that the store gives back what was stored, to the byte.
func requireStored(t *testing.T, s Store, want audit.Stored) {
	t.Helper()
	event, err := s.Event(t.Context(), audit.Everything(), want.Event.ID)
	require.NoError(t, err)
	require.Equal(t, asJSON(t, want.Event), asJSON(t, event))
	raw, err := s.Raw(t.Context(), audit.Everything(), want.Event.ID)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want.Raw.Bytes, raw.Bytes), "the raw bytes of %s came back changed", want.Event.ID)
	require.Equal(t, want.Raw.SHA256, raw.SHA256)
	_, err = hex.DecodeString(raw.SHA256)
	require.NoError(t, err)
}

func insert(t *testing.T, s Store, batch []audit.Stored, fresh, known int) {
	t.Helper()
	n, err := s.Insert(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, audit.Inserted{New: fresh, Known: known}, n)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

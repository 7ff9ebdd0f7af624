package storetest

import (
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

const batchSize = 500

// Bench measures an engine: new and known records a second in batches of 500,
// beside the engine's own plain inserts of single raw records where it has
// them ("x-rows" is how many times as fast the store is), and first pages.
func Bench(b *testing.B, engine Engine) {
	b.Run("insert new", func(b *testing.B) { benchInsertNew(b, engine) })
	b.Run("insert known", func(b *testing.B) { benchInsertKnown(b, engine) })
	b.Run("search", func(b *testing.B) { benchSearch(b, engine) })
}

func benchInsertNew(b *testing.B, e Engine) {
	bed := newBed(b, e)
	next := 0
	for b.Loop() {
		b.StopTimer()
		batch := Batch(next, next+batchSize)
		next += batchSize
		b.StartTimer()
		insertBatch(b, bed, batch)
	}
	report(b, e, bed, next)
}

func benchInsertKnown(b *testing.B, e Engine) {
	bed := newBed(b, e)
	batch := bed.seed(b, 0, batchSize)
	n := 0
	for b.Loop() {
		insertBatch(b, bed, batch)
		n += len(batch)
	}
	report(b, e, bed, n)
}

func insertBatch(b *testing.B, s Store, batch []audit.Stored) {
	n, err := s.Insert(b.Context(), batch)
	require.NoError(b, err)
	require.Equal(b, len(batch), n.New+n.Known)
}

func report(b *testing.B, e Engine, bed *bed, records int) {
	rate := float64(records) / b.Elapsed().Seconds()
	b.ReportMetric(rate, "records/s")
	if e.InsertRow != nil {
		b.ReportMetric(rate/rowRate(b, e, bed), "x-rows")
	}
}

// rowRate is how many single raw records a second the engine's driver inserts.
func rowRate(b *testing.B, e Engine, bed *bed) float64 {
	const rows = 300
	insertRow := e.InsertRow(b, bed.Store)
	records := Batch(0, rows)
	began := time.Now()
	for _, s := range records {
		require.NoError(b, insertRow(s.Raw.Bytes))
	}
	return rows / time.Since(began).Seconds()
}

func benchSearch(b *testing.B, e Engine) {
	bed := newBed(b, e)
	all := bed.seed(b, 0, 20_000)
	actor := all[0].Event.Actor.UPN
	for _, bench := range []struct {
		name  string
		query audit.Query
	}{
		{"no filter", audit.Query{}},
		{"service", audit.Query{Filters: []audit.Filter{{Field: audit.FieldService, Values: []string{"Purview"}}}}},
		{"actor", audit.Query{Filters: []audit.Filter{{Field: audit.FieldActor, Values: []string{actor}}}}},
		{"frequent term", audit.Query{Terms: []string{"contoso"}}},
		{"rare term", audit.Query{Terms: []string{"record-00000042"}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			bench.query.Scope, bench.query.Limit = audit.Everything(), audit.DefaultPageSize
			for b.Loop() {
				page, err := bed.Search(b.Context(), bench.query)
				require.NoError(b, err)
				require.NotEmpty(b, page.Events)
			}
		})
	}
}

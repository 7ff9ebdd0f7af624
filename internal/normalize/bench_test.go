package normalize

import (
	"encoding/json"
	"testing"
	"time"

	"aoc/internal/audit"
)

// BenchmarkNormalize tells how many times as fast as encoding/json into a map
// it is: "x-map-event" for everything up to the event, and "x-map" with the
// sentence and the search index on top. Both go over the same records.
func BenchmarkNormalize(b *testing.B) {
	var records []audit.Record
	for _, rec := range fixtures(b) {
		records = append(records, rec)
	}
	n := New(DefaultMappings())
	whole := perRound(b, records, func(rec audit.Record) {
		if _, err := n.Normalize(rec); err != nil {
			b.Fatal(err)
		}
	})
	stored := make([]audit.Stored, len(records))
	for i, rec := range records {
		stored[i], _ = n.Normalize(rec)
	}
	i := 0
	describing := perRound(b, records, func(audit.Record) {
		n.describe(&stored[i%len(stored)], "")
		i++
	})
	intoMap := perRound(b, records, func(rec audit.Record) {
		var m map[string]any
		if err := json.Unmarshal(rec.Raw, &m); err != nil {
			b.Fatal(err)
		}
	})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := n.Normalize(records[i%len(records)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(intoMap)/float64(whole), "x-map")
	b.ReportMetric(float64(intoMap)/float64(whole-describing), "x-map-event")
	b.ReportMetric(float64(len(records))/whole.Seconds(), "records/s")
}

// perRound is the best time of many for all records: others share the machine.
func perRound(b *testing.B, records []audit.Record, do func(audit.Record)) time.Duration {
	b.Helper()
	best := time.Hour
	for range 200 {
		start := time.Now()
		for _, rec := range records {
			do(rec)
		}
		best = min(best, time.Since(start))
	}
	return best
}

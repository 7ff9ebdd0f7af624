package mongo

import (
	"testing"

	"aoc/internal/audit"
	"aoc/internal/store/storetest"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestReplaceWritesOnlyWhatDiffers(t *testing.T) {
	s, _ := fresh(t)
	batch := storetest.Batch(0, 20)
	batch[3].Event.Tags = []string{"case 7"}
	_, err := s.Insert(t.Context(), batch)
	require.NoError(t, err)
	given := map[string]*audit.Stored{}
	var ids []string
	for i := range batch {
		ids = append(ids, batch[i].Event.ID)
		given[batch[i].Event.ID] = &batch[i]
	}
	look := func() []eventChange {
		rows, err := s.find(t.Context(), ids, "t", "k", "w", "event")
		require.NoError(t, err)
		require.Len(t, rows, len(batch))
		changes, err := changesOf(rows, given)
		require.NoError(t, err)
		return changes
	}
	require.Empty(t, look())
	batch[3].Event.Tags = nil
	batch[5].Event.Summary = "another"
	batch[6].Tokens = []string{"another"}
	batch[7].Event.Time = batch[7].Event.Time.Add(audit.TickLength)
	coll, err := s.coll(t.Context(), eventsColl)
	require.NoError(t, err)
	_, err = change(t.Context(), coll, byID(ids[8]), bson.D{{Key: "k", Value: []string{"service:folded otherwise"}}})
	require.NoError(t, err)
	require.Len(t, look(), 4)
}

// TestReplaceKeepsTagsSetMeanwhile sets tags between the look and the write.
func TestReplaceKeepsTagsSetMeanwhile(t *testing.T) {
	s, _ := fresh(t)
	batch := storetest.Batch(0, 2)
	batch[1].Event.Tags = []string{"seen"}
	_, err := s.Insert(t.Context(), batch)
	require.NoError(t, err)
	coll, err := s.coll(t.Context(), eventsColl)
	require.NoError(t, err)
	for _, tagged := range batch {
		rows, err := s.find(t.Context(), []string{tagged.Event.ID}, "t", "k", "w", "event")
		require.NoError(t, err)
		tagged.Event.Summary = "another"
		changes, err := changesOf(rows, map[string]*audit.Stored{tagged.Event.ID: &tagged})
		require.NoError(t, err)
		_, err = change(t.Context(), coll, byID(tagged.Event.ID), bson.D{{Key: "event.tags", Value: []string{"seen", "case 7"}}})
		require.NoError(t, err)
		written, err := bulkMatch(t.Context(), coll, models(changes))
		require.NoError(t, err)
		require.Zero(t, written)

		found, err := s.Replace(t.Context(), []audit.Stored{tagged})
		require.NoError(t, err)
		require.Equal(t, 1, found)
		event, err := s.Event(t.Context(), audit.Everything(), tagged.Event.ID)
		require.NoError(t, err)
		require.Equal(t, []string{"seen", "case 7"}, event.Tags)
		require.Equal(t, "another", event.Summary)
	}
}

// TestDeleteThatStopsIsTakenUpAgain leaves the evidence of an event behind, as a
// process does that dies in the middle.
func TestDeleteThatStopsIsTakenUpAgain(t *testing.T) {
	s, _ := fresh(t)
	batch := storetest.Batch(0, 3)
	_, err := s.Insert(t.Context(), batch)
	require.NoError(t, err)
	id := batch[1].Event.ID
	coll, err := s.coll(t.Context(), eventsColl)
	require.NoError(t, err)
	_, err = deleteAll(t.Context(), coll, byID(id))
	require.NoError(t, err)
	raws, err := s.Raws(t.Context(), []string{id})
	require.NoError(t, err)
	require.Empty(t, raws, "nobody sees evidence alone")

	n, err := s.Delete(t.Context(), []string{id})
	require.NoError(t, err)
	require.Zero(t, n)
	coll, err = s.coll(t.Context(), rawColl)
	require.NoError(t, err)
	left, err := coll.CountDocuments(t.Context(), bson.D{})
	require.NoError(t, err)
	require.EqualValues(t, 2, left)
}

// TestDaysAreCounted follows the numbers by which searches choose their windows.
func TestDaysAreCounted(t *testing.T) {
	s, _ := fresh(t)
	batch := storetest.Batch(0, 10)
	_, err := s.Insert(t.Context(), batch)
	require.NoError(t, err)
	days := func() map[string]int64 {
		coll, err := s.coll(t.Context(), daysColl)
		require.NoError(t, err)
		docs, err := findAll[dayDoc](t.Context(), coll, bson.D{}, nil)
		require.NoError(t, err)
		counts := map[string]int64{}
		for _, d := range docs {
			counts[d.ID] = d.Events
		}
		return counts
	}
	require.Equal(t, map[string]int64{"2026-03-02": 10}, days())
	batch[0].Event.Time = batch[0].Event.Time.AddDate(0, 0, 1)
	_, err = s.Replace(t.Context(), batch[:2])
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"2026-03-02": 9, "2026-03-03": 1}, days())
	_, err = s.Delete(t.Context(), []string{batch[0].Event.ID, batch[1].Event.ID, "none"})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"2026-03-02": 8, "2026-03-03": 0}, days())
}

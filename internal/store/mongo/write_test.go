package mongo

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

func refusal(index, code int) mongo.BulkWriteError {
	return mongo.BulkWriteError{WriteError: mongo.WriteError{Index: index, Code: code}}
}

func TestSortOut(t *testing.T) {
	docs := []string{"a", "b", "c", "d"}
	network := errors.New("connection reset")
	for name, test := range map[string]struct {
		err     error
		refused []string
		known   int
		cause   error
	}{
		"none":              {nil, nil, 0, nil},
		"no answer":         {network, docs, 0, network},
		"known":             {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{refusal(1, duplicateKey), refusal(3, duplicateKey)}}, nil, 2, nil},
		"throttled":         {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{refusal(0, throttled), refusal(2, duplicateKey)}}, []string{"a"}, 1, mongo.WriteError{Index: 0, Code: throttled}},
		"refused for good":  {mongo.BulkWriteException{WriteErrors: []mongo.BulkWriteError{refusal(0, throttled), refusal(2, 2)}}, []string{"a", "c"}, 0, mongo.WriteError{Index: 2, Code: 2}},
		"durability failed": {mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64}}, docs, 0, mongo.BulkWriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64}}},
	} {
		refused, known, cause := sortOut(docs, test.err)
		require.Equal(t, test.refused, refused, name)
		require.Equal(t, test.known, known, name)
		require.Equal(t, test.cause, cause, name)
	}
}

func TestPatiently(t *testing.T) {
	tooMuch := mongo.CommandError{Code: throttled}
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		require.NoError(t, patiently(t.Context(), func() error {
			if tries++; tries < 4 {
				return tooMuch
			}
			return nil
		}))
		require.Equal(t, 4, tries)

		tries = 0
		require.ErrorIs(t, patiently(t.Context(), func() error { tries++; return mongo.ErrNoDocuments }), mongo.ErrNoDocuments)
		require.Equal(t, 1, tries, "other errors are told at once")

		tries = 0
		require.True(t, isThrottled(patiently(t.Context(), func() error { tries++; return tooMuch })))
		require.Equal(t, maxTries, tries)
	})
}

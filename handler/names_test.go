package main

import (
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestNamesInRedis(t *testing.T) {
	server := miniredis.RunT(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	ours, theirs := redisNames{client, "aoc:name:a:"}, redisNames{client, "aoc:name:b:"}
	now := time.Now()
	want := map[string]audit.KnownName{
		"1": {Identity: audit.Identity{Name: "Alice", UPN: "alice@x.example", Type: "user"}, Found: true, Until: now.Add(time.Hour).UTC()},
		"2": {Until: now.Add(time.Minute).UTC()},
		"3": {Found: true, Until: now.Add(-time.Minute).UTC()},
	}
	require.NoError(t, ours.KeepNames(t.Context(), want))
	got, err := ours.KnownNames(t.Context(), []string{"1", "2", "3", "4"}, now)
	require.NoError(t, err)
	require.Equal(t, map[string]audit.KnownName{"1": want["1"], "2": want["2"]}, got, "misses too, nothing stale")
	got, err = theirs.KnownNames(t.Context(), []string{"1"}, now)
	require.NoError(t, err)
	require.Empty(t, got, "another tenant's")

	server.FastForward(2 * time.Minute)
	require.Len(t, server.Keys(), 1, "a name goes when it is no longer believed")
	require.NoError(t, client.Set(t.Context(), "aoc:name:a:5", "not json", 0).Err())
	got, err = ours.KnownNames(t.Context(), []string{"5"}, now)
	require.NoError(t, err)
	require.Empty(t, got)

	server.Close()
	_, err = ours.KnownNames(t.Context(), []string{"1"}, now)
	require.ErrorContains(t, err, "names in Redis")
	require.ErrorContains(t, ours.KeepNames(t.Context(), want), "names in Redis")
}

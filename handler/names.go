package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"aoc/internal/audit"

	"github.com/redis/go-redis/v9"
)

// redisNames keeps directory names in Redis, where all instances find them.
type redisNames struct {
	client redis.UniversalClient
	prefix string // one tenant's
}

// KnownNames answers in one round trip. What cannot be read is not known.
func (r redisNames) KnownNames(ctx context.Context, ids []string, now time.Time) (map[string]audit.KnownName, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = r.prefix + id
	}
	values, err := r.client.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("names in Redis: %w", err)
	}
	known := make(map[string]audit.KnownName, len(ids))
	for i, value := range values {
		var name audit.KnownName
		if text, ok := value.(string); ok && json.Unmarshal([]byte(text), &name) == nil && !now.After(name.Until) {
			known[ids[i]] = name
		}
	}
	return known, nil
}

// KeepNames writes in one round trip, each name until it is no longer believed.
func (r redisNames) KeepNames(ctx context.Context, names map[string]audit.KnownName) error {
	pipe := r.client.Pipeline()
	for id, name := range names {
		text, err := json.Marshal(name)
		if err != nil {
			return fmt.Errorf("names in Redis: %w", err)
		}
		if left := time.Until(name.Until); left > 0 {
			pipe.Set(ctx, r.prefix+id, text, left)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("names in Redis: %w", err)
	}
	return nil
}

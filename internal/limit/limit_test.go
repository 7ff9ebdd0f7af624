package limit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

func TestCheckURL(t *testing.T) {
	for address, good := range map[string]bool{
		"redis://localhost":                                  true,
		"redis://:hunter2@10.0.0.4:6379/1":                   true,
		"rediss://user:hun%2Fter2@aoc.redis.azure.net:10000": true,
		"":                       false,
		"unix:///run/redis.sock": false,
		"aoc.redis.azure.net:6380,password=hunter2,ssl=True":           false,
		"rediss://:hun/hunter2@aoc.redis.azure.net:6380":               false,
		"redis://:hunter2@aoc.redis.azure.net:6380/hunter2":            false,
		"redis://:%hunter2@aoc.redis.azure.net:6380":                   false,
		"redis://:x@aoc.redis.azure.net?hunter2=1":                     false,
		"https://user:hunter2@aoc.redis.azure.net":                     false,
		"redis://:hunter2@aoc.redis.azure.net:6380?db=hunter2":         false,
		"redis://:hunter2@aoc.redis.azure.net:6380/0?pool_fifo=maybe2": false,
	} {
		err := CheckURL(address)
		require.Equal(t, good, err == nil, address)
		_, errOpen := Open(Config{RedisURL: address})
		require.Equal(t, good || address == "", errOpen == nil, address)
		if !good {
			require.NotContains(t, err.Error(), "hunter2")
			require.Contains(t, err.Error(), "expected")
		}
	}
}

func TestLimitsWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(Config{})
		require.NoError(t, err)
		require.Nil(t, l.Redis())
		reports, intune := l.Limiter("reports", 5, 10*time.Second), l.Limiter("intune", 1000, 20*time.Second)
		for range 6 {
			require.NoError(t, reports.Wait(t.Context()))
		}
		intune.Throttled(time.Second)
		intune.Throttled(time.Second)
		require.Equal(t, []audit.LimiterStats{
			{Name: "reports", Calls: 6, Waited: 10500 * time.Millisecond, Share: 1, Alone: true},
			{Name: "intune", Throttles: 2, Share: 1, Alone: true},
		}, l.Stats())
		require.NoError(t, l.Close())
	})
}

// TestOpenDialsNobody has an address where nobody answers.
func TestOpenDialsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(Config{RedisURL: "redis://:hunter2@192.0.2.1:6379", Scope: "tenant"})
		require.NoError(t, err)
		require.NotNil(t, l.Redis())
		require.Len(t, []Limiter{l.Limiter("reports", 5, time.Second)}, 1)
		require.Equal(t, []audit.LimiterStats{{Name: "reports", Share: 1}}, l.Stats())
		require.NoError(t, l.Close())
	})
}

package auth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStormInRealTime sends 10,000 unknown kids at full speed over real sockets
// and real time, valid tokens among them.
func TestStormInRealTime(t *testing.T) {
	a := newAuthority()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	var asked atomic.Int64
	s.Config.Handler = counted(a, &asked)
	a.origin = s.URL
	v := verifier(t, a, func(c *Config) { c.Authority, c.Transport = s.URL, s.Client().Transport })
	valid := mint(person())
	require.NoError(t, authenticate(v, valid))
	forgeries := forgedMany(10_000)
	began := time.Now()
	var wg sync.WaitGroup
	for part := range slices.Chunk(forgeries, 1250) {
		wg.Go(func() {
			for i, token := range part {
				require.ErrorIs(t, authenticate(v, token), ErrBadToken)
				if i%50 == 0 {
					require.NoError(t, authenticate(v, valid))
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	require.LessOrEqual(t, asked.Load(), int64(1+took/unknownPause))
	t.Logf("10,000 unknown kids in %s: %d fetches of keys in all", took, asked.Load())
}

// counted counts how often keys are asked for.
func counted(a *authority, asked *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			asked.Add(1)
		}
		a.ServeHTTP(w, r)
	}
}

func forgedMany(n int) []string {
	tokens, claims := make([]string, n), person()
	for i := range tokens {
		tokens[i] = forged(fmt.Sprint("unknown-", i), claims)
	}
	return tokens
}

// BenchmarkValidUnderAttack prints the 99th percentile of valid tokens alone,
// beside another caller with valid tokens as fast as one connection can send
// them, and beside one with unknown kids as fast. The three take turns, so that
// what else the machine does falls on all of them.
func BenchmarkValidUnderAttack(b *testing.B) {
	a := newAuthority()
	v := verifier(b, a)
	valid := mint(person())
	require.NoError(b, authenticate(v, valid))
	neighbours := [][]string{nil, {valid}, forgedMany(10_000)}
	var took [3][]time.Duration
	for b.Loop() {
		for i, tokens := range neighbours {
			took[i] = append(took[i], beside(b, v, valid, tokens)...)
		}
	}
	p99 := func(i int) float64 {
		slices.Sort(took[i])
		return float64(took[i][len(took[i])*99/100].Nanoseconds()) / 1000
	}
	alone, busy, attacked := p99(0), p99(1), p99(2)
	b.ReportMetric(alone, "p99-alone-µs")
	b.ReportMetric(busy, "p99-beside-valid-µs")
	b.ReportMetric(attacked, "p99-attacked-µs")
	b.ReportMetric(attacked/alone, "attacked/alone")
	b.ReportMetric(attacked/busy, "attacked/beside-valid")
	b.ReportMetric(float64(len(a.fetches(v2))), "key-fetches")
}

// beside measures valid tokens while a neighbour sends others.
func beside(b *testing.B, v *Verifier, valid string, neighbour []string) []time.Duration {
	var stop atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop.Store(true)
	if len(neighbour) > 0 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				_ = authenticate(v, neighbour[i%len(neighbour)])
			}
		})
	}
	took := make([]time.Duration, 1000)
	for i := range took {
		began := time.Now()
		require.NoError(b, authenticate(v, valid))
		took[i] = time.Since(began)
	}
	return took
}

func BenchmarkAuthenticate(b *testing.B) {
	v := verifier(b, newAuthority())
	for name, token := range map[string]string{
		"valid": mint(person()), "unknown kid": forged("unknown", person()), "wrong signature": forged("first", person()), "not base64": strings.Repeat("!", 2000),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = authenticate(v, token)
			}
		})
	}
}

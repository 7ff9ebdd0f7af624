package auth

import (
	"context"
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
// and while somebody sends unknown kids as fast as one connection can. The
// attacker's own work is what any request costs; what is compared is whether it
// makes others wait.
func BenchmarkValidUnderAttack(b *testing.B) {
	a := newAuthority()
	v := verifier(b, a)
	valid := []string{"Bearer " + mint(person())}
	_, err := v.Authenticate(context.Background(), valid)
	require.NoError(b, err)
	forgeries := forgedMany(10_000)
	measure := func() time.Duration {
		took := make([]time.Duration, 20_000)
		for i := range took {
			began := time.Now()
			if _, err := v.Authenticate(context.Background(), valid); err != nil {
				b.Fatal(err)
			}
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		return took[len(took)*99/100]
	}
	for b.Loop() {
		alone := measure()
		var stop atomic.Bool
		var sent atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				_ = authenticate(v, forgeries[i%len(forgeries)])
				sent.Add(1)
			}
		})
		under := measure()
		stop.Store(true)
		wg.Wait()
		b.ReportMetric(float64(alone.Microseconds()), "p99-alone-µs")
		b.ReportMetric(float64(under.Microseconds()), "p99-attacked-µs")
		b.ReportMetric(float64(under)/float64(alone), "ratio")
		b.ReportMetric(float64(sent.Load()), "unknown-kids")
	}
	b.ReportMetric(float64(len(a.fetches(v2))), "key-fetches")
}

func BenchmarkAuthenticate(b *testing.B) {
	v := verifier(b, newAuthority())
	for name, token := range map[string]string{
		"valid": mint(person()), "unknown kid": forged("unknown", person()), "wrong signature": forged("first", person()), "not base64": strings.Repeat("!", 2000),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			header := []string{"Bearer " + token}
			for b.Loop() {
				_, _ = v.Authenticate(context.Background(), header)
			}
		})
	}
}

package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// apart checks that calls were at least so long apart from each other.
func apart(t *testing.T, calls []time.Time, least time.Duration) {
	for i := 1; i < len(calls); i++ {
		require.GreaterOrEqual(t, calls[i].Sub(calls[i-1]), least, "call %d of %d", i, len(calls))
	}
}

// TestFiftyRotations: Entra publishes a key, then signs with it, then takes the
// old one away.
func TestFiftyRotations(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		v := verifier(t, a)
		for e, claims := range []func() fields{person1, person} {
			require.NoError(t, authenticate(v, mint(claims())), e)
		}
		refused, old := 0, published{kid: "first", key: &material()[0].PublicKey}
		for i := range 50 {
			time.Sleep(31*time.Second + time.Duration(i)*time.Minute)
			next := published{kid: fmt.Sprint("rotation-", i), key: &material()[(i+1)%4].PublicKey}
			a.publish(old, next)
			claims := []func() fields{person, person1, robot}[i%3]
			if err := authenticate(v, mintKid(next.kid, (i+1)%4, claims())); err != nil {
				refused++
				t.Errorf("rotation %d: %v", i, err)
			}
			if err := authenticate(v, mintKid(old.kid, i%4, claims())); err != nil {
				refused++
				t.Errorf("rotation %d, the old key: %v", i, err)
			}
			a.publish(next)
			old = next
		}
		require.Zero(t, refused)
		// The keys that were taken away go with the next fetch.
		time.Sleep(refreshEvery)
		require.NoError(t, authenticate(v, mintKid(old.kid, 2, person())))
		synctest.Wait()
		require.ErrorIs(t, authenticate(v, mint(person())), ErrBadToken)
		t.Logf("50 rotations, %d refused, %d fetches of v1.0 and %d of v2.0", refused, len(a.fetches(v1)), len(a.fetches(v2)))
	})
}

func TestKeyThatComesSoonAfterAFetchIsFoundWithinThirtySeconds(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		v := verifier(t, a)
		require.NoError(t, authenticate(v, mint(person())))
		time.Sleep(40 * time.Second)
		require.ErrorIs(t, authenticate(v, mintKid("made-up", 3, person())), ErrBadToken) // uses the fetch up
		time.Sleep(time.Second)
		a.publish(published{kid: "second", key: &material()[1].PublicKey})
		began := time.Now()
		for authenticate(v, mintKid("second", 1, person())) != nil {
			require.Less(t, time.Since(began), unknownPause)
			time.Sleep(500 * time.Millisecond)
		}
		require.Equal(t, 29*time.Second, time.Since(began))
		apart(t, a.fetches(v2), unknownPause)
	})
}

// TestUnknownKidsCostOneFetchInThirtySeconds: 10,000 made-up kids within five
// minutes, valid tokens among them.
func TestUnknownKidsCostOneFetchInThirtySeconds(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		a.slow = 700 * time.Millisecond
		v := verifier(t, a)
		require.NoError(t, authenticate(v, mint(person())))
		var wg sync.WaitGroup
		for i := range 10_000 {
			time.Sleep(30 * time.Millisecond)
			wg.Go(func() {
				if err := authenticate(v, forged(fmt.Sprint("kid-", i), person())); !errors.Is(err, ErrBadToken) {
					t.Errorf("kid %d: %v", i, err)
				}
			})
			if i%100 == 0 {
				began := time.Now()
				require.NoError(t, authenticate(v, mint(person())))
				require.Zero(t, time.Since(began), "a valid token waits for nothing")
			}
		}
		wg.Wait()
		calls := a.fetches(v2)
		apart(t, calls, unknownPause)
		require.Len(t, calls, 10, "the first, and one in 30 s and the time that one takes")
		require.LessOrEqual(t, len(v.keys.unknown.byKey), unknownKept)
		t.Logf("10,000 unknown kids in 300 s: %d fetches", len(calls))
	})
}

// forged has a kid and a signature that are made up.
func forged(kid string, claims fields) string {
	return b64(goodHeader().with(fields{"kid": kid}).json()) + "." + b64(claims.json()) + "." + b64(strings.Repeat("s", 256))
}

// TestMadeUpTokensOfOneEditionDoNotKeepTheKeysOfTheOtherAway: both editions
// share one fetch in 30 seconds.
func TestMadeUpTokensOfOneEditionDoNotKeepTheKeysOfTheOtherAway(t *testing.T) {
	material()
	for name, both := range map[string]bool{"one edition is used": false, "both are": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAuthority()
				v := verifier(t, a)
				require.NoError(t, authenticate(v, mint(person())))
				if both {
					require.NoError(t, authenticate(v, mint(person1())))
				}
				attack := func(seconds int) {
					for i := range seconds * 10 {
						require.Error(t, authenticate(v, forged(fmt.Sprintf("%d-%d", time.Now().UnixNano(), i), person1())))
						time.Sleep(100 * time.Millisecond)
					}
				}
				attack(100)
				for n := len(a.fetches(v2)); len(a.fetches(v2)) == n; attack(1) {
					require.Error(t, authenticate(v, forged("unknown", person())))
				}
				a.publish(published{kid: "second", key: &material()[1].PublicKey})
				time.Sleep(550 * time.Millisecond) // so that a made-up token is first when a fetch is due
				longest := unknownPause
				if both { // they take turns
					longest *= 2
				}
				began := time.Now()
				for authenticate(v, mintKid("second", 1, person())) != nil {
					require.LessOrEqual(t, time.Since(began), longest)
					attack(1)
				}
				attack(100)
				all := append(a.fetches(v1)[1:], a.fetches(v2)[1:]...)
				for i, x := range all {
					for _, y := range all[:i] {
						require.GreaterOrEqual(t, x.Sub(y).Abs(), unknownPause)
					}
				}
				t.Logf("the new key came after %s; %d fetches in all", time.Since(began)-100*time.Second, len(all))
			})
		})
	}
}

func TestFirstFetchFailsThenHeals(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		a.down = true
		var log strings.Builder
		v := verifier(t, a, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				err := authenticate(v, mint(person()))
				if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrBadToken) {
					t.Errorf("want ErrUnavailable, got %v", err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, a.total(), "all wait for one fetch")
		require.Contains(t, log.String(), "fetch signing keys")
		for range 40 {
			time.Sleep(500 * time.Millisecond)
			require.ErrorIs(t, authenticate(v, mint(person())), ErrUnavailable)
		}
		require.Equal(t, 5, a.total(), "one try in five seconds")
		a.set(func(a *authority) { a.down = false })
		time.Sleep(retryPause)
		require.NoError(t, authenticate(v, mint(person())))
		s := v.Stats()
		require.Equal(t, []int64{6, 5, 140, 1}, []int64{s.KeyFetches, s.KeyFailures, s.Refused["unavailable"], s.Accepted})
	})
}

func TestManyFirstRequestsMakeOneFetch(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		a.slow = 2 * time.Second
		v := verifier(t, a)
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() { require.NoError(t, authenticate(v, mint(person()))) })
		}
		wg.Wait()
		require.Equal(t, 2, a.total(), "discovery and keys")
	})
}

func TestARequestThatEndsDoesNotEndTheFetchOfTheOthers(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		a.slow = 2 * time.Second
		v := verifier(t, a)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := v.Authenticate(ctx, []string{"Bearer " + mint(person())})
		require.ErrorIs(t, err, ErrUnavailable)
		require.Equal(t, time.Second, time.Since(began))
		require.NoError(t, authenticate(v, mint(person())))
		require.Equal(t, 2, a.total())
		time.Sleep(unknownPause)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = v.Authenticate(ctx, []string{"Bearer " + forged("second", person())})
		require.ErrorIs(t, err, ErrUnavailable)
		synctest.Wait()
		time.Sleep(time.Minute)
	})
}

func TestAFetchThatHangsIsGivenUp(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		a.slow = time.Hour
		v := verifier(t, a)
		began := time.Now()
		require.ErrorIs(t, authenticate(v, mint(person())), ErrUnavailable)
		require.Equal(t, fetchTime, time.Since(began))
	})
}

func TestOldKeysServeWhileTheyAreRenewed(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		v := verifier(t, a)
		require.NoError(t, authenticate(v, mint(person())))
		time.Sleep(refreshEvery - time.Second)
		require.NoError(t, authenticate(v, mint(person())))
		require.Len(t, a.fetches(v2), 1)
		time.Sleep(time.Second)
		a.set(func(a *authority) { a.slow = 3 * time.Second })
		began := time.Now()
		for range 100 {
			require.NoError(t, authenticate(v, mint(person())))
		}
		require.Zero(t, time.Since(began), "nobody waits for the new ones")
		time.Sleep(10 * time.Second)
		require.Len(t, a.fetches(v2), 2)
		require.Equal(t, 4, a.total(), "the discovery document was renewed too")
	})
}

func TestLastGoodKeysServeForADayWithoutTheAuthority(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		v := verifier(t, a)
		require.NoError(t, authenticate(v, mint(person())))
		a.set(func(a *authority) { a.down = true })
		began := time.Now()
		for time.Since(began) < keepFor-time.Minute {
			require.NoError(t, authenticate(v, mint(person())))
			time.Sleep(10*time.Second + time.Since(began)/50)
		}
		synctest.Wait()
		time.Sleep(time.Until(began.Add(keepFor)))
		require.ErrorIs(t, authenticate(v, mint(person())), ErrUnavailable)
		a.mu.Lock()
		discoveries := a.calls["/"+tenantID+"/v2.0/.well-known/openid-configuration"]
		a.mu.Unlock()
		apart(t, discoveries[:len(discoveries)-2], unknownPause)
		a.set(func(a *authority) { a.down = false })
		time.Sleep(retryPause)
		require.NoError(t, authenticate(v, mint(person())))
	})
}

func TestAnAnswerWithoutGoodKeysKeepsTheLastOnes(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		v := verifier(t, a)
		require.NoError(t, authenticate(v, mint(person())))
		a.publish()
		time.Sleep(2 * refreshEvery)
		require.NoError(t, authenticate(v, mint(person())))
		synctest.Wait()
		require.Len(t, a.fetches(v2), 2)
		require.NoError(t, authenticate(v, mint(person())))
		require.Equal(t, int64(1), v.Stats().KeyFailures)
	})
}

func TestUnknownKidWhileTheAuthorityIsAway(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		v := verifier(t, a)
		require.NoError(t, authenticate(v, mint(person())))
		time.Sleep(unknownPause)
		a.set(func(a *authority) { a.down = true })
		for range 3 { // whether the key is good cannot be known
			require.ErrorIs(t, authenticate(v, mintKid("second", 1, person())), ErrUnavailable)
			require.NoError(t, authenticate(v, mint(person())))
			time.Sleep(time.Second)
		}
		a.publish(published{kid: "second", key: &material()[1].PublicKey})
		a.set(func(a *authority) { a.down = false })
		time.Sleep(unknownPause)
		require.NoError(t, authenticate(v, mintKid("second", 1, person())))
		require.ErrorIs(t, authenticate(v, forged("third", person())), ErrBadToken)
	})
}

// TestAnEditionThatCannotBeHadDoesNotHoldUpTheOther: not every authority has
// both, and anybody can send tokens of either.
func TestAnEditionThatCannotBeHadDoesNotHoldUpTheOther(t *testing.T) {
	material()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority()
		a.answer = func(path string) *http.Response {
			if strings.Contains(path, "/v2.0/") {
				return nil
			}
			return reply(http.StatusNotFound, "")
		}
		v := verifier(t, a)
		require.NoError(t, authenticate(v, mint(person())))
		for range 100 {
			require.ErrorIs(t, authenticate(v, forged("first", person1())), ErrUnavailable)
			time.Sleep(time.Second)
		}
		a.publish(published{kid: "second", key: &material()[1].PublicKey})
		require.NoError(t, authenticate(v, mintKid("second", 1, person())))
	})
}

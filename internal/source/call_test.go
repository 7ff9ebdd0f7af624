package source

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	graphThrottled = `{"error":{"code":"UnknownError","message":"This request is throttled. Please try again after the value specified in the Retry-After header. CorrelationId: 1","innerError":{"code":"429"}}}`
	af429          = `{"error":{"code":"AF429","message":"Too many requests. Method=GetBlob, PublisherId=00000000-0000-0000-0000-000000000000"}}`
)

func TestCallTriesAgainWhatMayPass(t *testing.T) {
	tests := map[string]struct {
		first    http.HandlerFunc
		from, to time.Duration // of the pause
		told     bool          // the limiter is
	}{
		"429 with seconds":      {answer(429, graphThrottled, "Retry-After", "10"), 10 * time.Second, 10 * time.Second, true},
		"429 without":           {answer(429, graphThrottled), 2500 * time.Millisecond, 7500 * time.Millisecond, true},
		"429 with zero":         {answer(429, graphThrottled, "Retry-After", "0"), 2500 * time.Millisecond, 7500 * time.Millisecond, true},
		"429 below zero":        {answer(429, graphThrottled, "Retry-After", "-5"), 2500 * time.Millisecond, 7500 * time.Millisecond, true},
		"429 with nonsense":     {answer(429, "", "Retry-After", "soon"), 2500 * time.Millisecond, 7500 * time.Millisecond, true},
		"throttled by its text": {answer(400, graphThrottled, "Retry-After", "3"), 3 * time.Second, 3 * time.Second, true},
		"403 AF429":             {answer(403, af429, "Retry-After", "7"), 7 * time.Second, 7 * time.Second, true},
		"500":                   {answer(500, `{}`), 500 * time.Millisecond, 1500 * time.Millisecond, false},
		"503 with seconds":      {answer(503, `<html>`, "Retry-After", "4"), 4 * time.Second, 4 * time.Second, false},
		"400 AF50000":           {answer(400, `{"error":{"code":"AF50000","message":"internal"}}`), 500 * time.Millisecond, 1500 * time.Millisecond, false},
		"AF50005":               {answer(400, `{"error":{"code":"AF50005"}}`), 500 * time.Millisecond, 1500 * time.Millisecond, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				told := &quiets{}
				c := stub(t, inTurn(&calls, tt.first, answer(200, "ok")), func(cfg *Config) { cfg.Limits.Management = told })
				start := time.Now()
				body, err := ask(t.Context(), c, "/x")
				require.NoError(t, err)
				require.Equal(t, "ok", body)
				require.EqualValues(t, 2, calls.Load())
				require.Equal(t, 2, told.waits, "every try goes through the limiter")
				took := time.Since(start)
				require.GreaterOrEqual(t, took, tt.from)
				require.LessOrEqual(t, took, tt.to)
				if tt.told {
					require.Equal(t, []time.Duration{took}, told.told)
				} else {
					require.Empty(t, told.told)
				}
			})
		})
	}
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"-1":                            0,
		"1.5":                           0,
		" 12 ":                          12 * time.Second,
		"Sun, 01 Mar 2026 12:01:30 GMT": 90 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"Sun, 01 Mar 2099 11:00:00 GMT": maxUntil,
		"9223372036854775807":           maxUntil,
		"99999999999999999999999":       maxUntil,
		"-99999999999999999999999":      0,
	} {
		require.Equal(t, want, retryAfter(header, now), "%q", header)
	}
}

func TestCallGivesUp(t *testing.T) {
	t.Run("on a wait too long for a worker", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			c := stub(t, answer(429, graphThrottled, "Retry-After", "3600"))
			_, err := ask(t.Context(), c, "/x")
			var throttled *ThrottledError
			require.ErrorAs(t, err, &throttled)
			require.Equal(t, start.Add(time.Hour), throttled.RetryAt())
			require.Zero(t, time.Since(start))
			var api *APIError
			require.ErrorAs(t, err, &api)
			require.Equal(t, 429, api.Status)
			require.Contains(t, api.Advice(), "Nothing needs to be done")
		})
	})
	t.Run("on a wait that its own time does not allow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			start := time.Now()
			_, err := ask(ctx, stub(t, answer(403, af429, "Retry-After", "60")), "/x")
			var throttled *ThrottledError
			require.ErrorAs(t, err, &throttled)
			require.Equal(t, start.Add(time.Minute), throttled.Until)
			require.Zero(t, time.Since(start))
		})
	})
	t.Run("after some tries", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int32
			_, err := ask(t.Context(), stub(t, inTurn(&calls, answer(503, ""))), "/x")
			require.EqualError(t, err, "ask: Office 365 Management API answered 503: without a body")
			require.EqualValues(t, maxTries, calls.Load())
		})
	})
	t.Run("when its context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(2*time.Second, cancel)
			start := time.Now()
			_, err := ask(ctx, stub(t, answer(429, "", "Retry-After", "60")), "/x")
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, 2*time.Second, time.Since(start))
		})
	})
}

func TestCallDoesNotRepeatWhatCannotPass(t *testing.T) {
	for body, status := range map[string]int{
		`{"error":{"code":"AF20055","message":"x"}}`:                     400,
		`{"error":{"code":"AF10001","message":"x"}}`:                     403,
		`{"error":{"code":"AF20051","message":"expired"}}`:               500, // the code says more than the status
		`{"error":{"code":"Authorization_RequestDenied","message":"x"}}`: 403,
		`{"Message":"The requested resource does not support it."}`:      405,
		`<html><body>blocked by a proxy</body></html>`:                   407,
	} {
		var calls atomic.Int32
		c := stub(t, inTurn(&calls, answer(status, body)))
		_, err := ask(t.Context(), c, "/x")
		var api *APIError
		require.ErrorAs(t, err, &api)
		require.Equal(t, status, api.Status)
		require.EqualValues(t, 1, calls.Load(), body)
	}
}

func TestCallSurvivesLostConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		c := open(t, "https://stub.example", roundTrip(func(r *http.Request) (*http.Response, error) {
			if tries++; tries < 3 {
				return nil, syscall.ECONNRESET
			}
			return inMemory{answer(200, "ok")}.RoundTrip(r)
		}))
		body, err := ask(t.Context(), c, "/x")
		require.NoError(t, err)
		require.Equal(t, "ok", body)
	})
}

func TestCallEndsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := open(t, "https://stub.example", roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		_, err := ask(t.Context(), c, "/x")
		require.ErrorIs(t, err, errSilent)
		require.EqualError(t, err, "ask: Office 365 Management API does not answer: no answer came in time")
		require.Less(t, time.Since(start), maxTries*silentTimeout+time.Minute)
	})
}

func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		credential := &fakeCredential{}
		var seen []string
		refuse := true
		c := stub(t, func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, r.Header.Get("Authorization"))
			if refuse && r.Header.Get("Authorization") != "Bearer token-2" {
				answer(401, `{"Message":"Authorization has been denied for this request."}`, "WWW-Authenticate", "Bearer")(w, r)
			}
		}, func(cfg *Config) { cfg.Credential = credential })
		for range 3 {
			_, err := ask(t.Context(), c, "/x")
			require.NoError(t, err)
		}
		require.Equal(t, []string{"Bearer token-1", "Bearer token-2", "Bearer token-2", "Bearer token-2"}, seen)
		require.Empty(t, credential.claims[0])
		require.Contains(t, credential.claims[1], `"nbf"`, "or the credential would give the same token from its cache")

		time.Sleep(56 * time.Minute) // the token is near its end
		refuse = false
		_, err := ask(t.Context(), c, "/x")
		require.NoError(t, err)
		require.Equal(t, "Bearer token-3", seen[4])

		c = stub(t, answer(401, `{"Message":"Authorization has been denied for this request."}`), func(cfg *Config) { cfg.Credential = credential })
		_, err = ask(t.Context(), c, "/x")
		var api *APIError
		require.ErrorAs(t, err, &api)
		require.EqualError(t, err, "ask: Office 365 Management API answered 401: Authorization has been denied for this request.")
		require.Contains(t, api.Advice(), "admin consent")
		require.Equal(t, 5, credential.given, "two more and no third")
	})
}

func TestNoTokenNoCall(t *testing.T) {
	var calls atomic.Int32
	credential := &fakeCredential{err: &APIError{API: Login, Op: "get a token", Status: 401, Code: "AADSTS7000222", Message: "expired"}}
	c := stub(t, inTurn(&calls, answer(200, "")), func(cfg *Config) { cfg.Credential = credential })
	_, err := ask(t.Context(), c, "/x")
	require.EqualError(t, err, "ask: get a token: Microsoft Entra sign-in answered 401 AADSTS7000222: expired")
	require.Zero(t, calls.Load())
	require.Equal(t, 1, credential.given)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	for _, status := range []int{301, 302, 307, 308} {
		c, _ := served(t, http.RedirectHandler(thief.URL, status))
		_, err := ask(t.Context(), c, "/x")
		require.ErrorContains(t, err, "it redirects to another address, which is not followed")
	}
	require.Zero(t, stolen.Load())
}

func TestACallToAnotherHostIsNotMade(t *testing.T) {
	var calls atomic.Int32
	c := stub(t, inTurn(&calls, answer(200, "")))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://evil.example/x", nil)
	require.NoError(t, err)
	_, err = c.call(t.Context(), c.management, "ask", req)
	require.EqualError(t, err, `ask: the token is for stub.example and not for "evil.example"`)
	require.Zero(t, calls.Load())
}

func TestErrorsHoldNoToken(t *testing.T) {
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		answer(400, `{"error":{"code":"Bad","message":"got `+r.Header.Get("Authorization")+` and token-1 and eyJhbGciOiJub25l.eyJzdWIiOiIxIn0.\nsecond line `+strings.Repeat("x", 1000)+`"}}`)(w, r)
	})
	_, err := ask(t.Context(), c, "/x")
	require.NotContains(t, err.Error(), "token-1")
	require.NotContains(t, err.Error(), "eyJ")
	require.NotContains(t, err.Error(), "\n")
	require.Less(t, len(err.Error()), 600)
}

func TestErrorBodies(t *testing.T) {
	for body, want := range map[string][2]string{
		`{"error":{"code":"AF20022","message":"No subscription"}}`:                                        {"AF20022", "No subscription"},
		`{"error":{"code":"TooManyRequests","innerError":{"code":"429","message":"Please retry after"}}}`: {"TooManyRequests", "Please retry after"},
		`{"error":{"code":"TooManyRequests","innererror":{"message":"inner"}}}`:                           {"TooManyRequests", "inner"},
		`{"error":"invalid_client","error_description":"AADSTS7000215: Invalid"}`:                         {"invalid_client", "AADSTS7000215: Invalid"},
		`{"Message":"Authorization has been denied for this request."}`:                                   {"", "Authorization has been denied for this request."},
		`{"error":null}`: {"", ""},
		`[]`:             {"", "the body is text/html, not a JSON object"},
		`<html>`:         {"", "the body is text/html, not a JSON object"},
	} {
		code, message := readError([]byte(body), "text/html; charset=utf-8")
		require.Equal(t, want, [2]string{code, message}, body)
	}
}

func TestAdvice(t *testing.T) {
	for want, e := range map[string]APIError{
		"ActivityFeed.Read":           {API: Management, Status: 401, Code: "AF10001"},
		"Entra ID P1":                 {API: Graph, Status: 403, Code: "Authentication_RequestFromNonPremiumTenantOrB2CTenant"},
		"AuditLog.Read.All":           {API: Graph, Status: 403, Code: "Authorization_RequestDenied"},
		"switch it on in the Purview": {API: Management, Status: 400, Message: "Microsoft.Office.Compliance.Audit.DataServiceException: Tenant 1 does not exist."},
		"of one cloud":                {API: Management, Status: 401},
		"Redirects are not followed":  {API: Graph, Status: 302},
	} {
		require.Contains(t, e.Advice(), want)
	}
	require.Empty(t, (&APIError{API: Graph, Status: 500}).Advice())
	require.ErrorIs(t, &APIError{Code: "AF20051"}, ErrGone)
	require.NotErrorIs(t, &APIError{Code: "AF20055"}, ErrGone)
	require.NotErrorIs(t, &APIError{Status: 404}, errors.ErrUnsupported)
}

// body is an answer's body under the guard of a call in simulated time.
func body(t *testing.T, write func(w *io.PipeWriter)) io.ReadCloser {
	t.Helper()
	c := open(t, "https://stub.example", roundTrip(func(r *http.Request) (*http.Response, error) {
		pr, pw := io.Pipe()
		context.AfterFunc(r.Context(), func() { pr.CloseWithError(r.Context().Err()) })
		done := make(chan struct{})
		t.Cleanup(func() { <-done })
		go func() {
			defer close(done)
			write(pw)
		}()
		return &http.Response{StatusCode: 200, Body: pr, Request: r, Header: http.Header{}}, nil
	}))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://stub.example/x", nil)
	require.NoError(t, err)
	resp, err := c.call(t.Context(), c.management, "ask", req)
	require.NoError(t, err)
	return resp.Body
}

func TestASlowBodyIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		drip := body(t, func(w *io.PipeWriter) {
			for {
				if _, err := w.Write([]byte{' '}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		defer drip.Close()
		_, err := io.Copy(io.Discard, drip)
		require.ErrorIs(t, err, errSlow)
		require.LessOrEqual(t, time.Since(start), slowGrace+2*time.Second)
	})
}

func TestAStalledBodyIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		stalled := body(t, func(w *io.PipeWriter) {
			for range 10_000 {
				w.Write(make([]byte, 16<<10)) // fast, and much
			}
		})
		defer stalled.Close()
		n, err := io.Copy(io.Discard, stalled)
		require.ErrorIs(t, err, errSlow)
		require.EqualValues(t, 10_000*16<<10, n)
		require.Equal(t, silentTimeout, time.Since(start))
	})
}

func TestALongBodyAtADecentRateIsNotEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		long := body(t, func(w *io.PipeWriter) {
			for range 1600 {
				w.Write(make([]byte, 64<<10))
				time.Sleep(2 * time.Second) // 32 KiB a second: 53 minutes for 100 MiB
			}
			w.Close()
		})
		defer long.Close()
		n, err := io.Copy(io.Discard, long)
		require.NoError(t, err)
		require.EqualValues(t, 100<<20, n)
		require.Greater(t, time.Since(start), 50*time.Minute)
	})
}

func TestASlowReaderDoesNotEndABodyThatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		there := body(t, func(w *io.PipeWriter) {
			for range 100 {
				w.Write(make([]byte, 100))
			}
			w.Close()
		})
		defer there.Close()
		for buf := make([]byte, 100); ; time.Sleep(5 * time.Second) { // a store that takes its time
			if _, err := there.Read(buf); err != nil {
				require.ErrorIs(t, err, io.EOF)
				return
			}
		}
	})
}

func TestCappedFailsOnMore(t *testing.T) {
	got, err := io.ReadAll(&capped{strings.NewReader("12345"), 5})
	require.NoError(t, err)
	require.Equal(t, "12345", string(got))
	_, err = io.ReadAll(&capped{strings.NewReader("123456"), 5})
	require.ErrorIs(t, err, errLong)
}

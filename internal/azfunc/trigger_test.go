package azfunc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// calls records the envelopes that came to a function, and when.
type calls struct {
	mu     sync.Mutex
	bodies []string
	at     []time.Time
}

func (c *calls) add(r *http.Request) int {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies, c.at = append(c.bodies, string(body)), append(c.at, time.Now())
	return len(c.bodies)
}

func (c *calls) since(t *testing.T, start time.Time) []time.Duration {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []time.Duration
	for _, at := range c.at {
		all = append(all, at.Sub(start).Round(time.Millisecond))
	}
	return all
}

func answerWith(body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

var done = answerWith(`{"Outputs":{},"Logs":["a line of the function"],"ReturnValue":null}`)

// simulate runs a host on simulated time; the handler's POSTs go to fn with their
// number, counted from 1.
func simulate(t *testing.T, app *App, fn func(w http.ResponseWriter, r *http.Request, n int), opt HostOptions) (*Host, *calls) {
	t.Helper()
	seen := &calls{}
	opt.Transport = direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			fn(w, r, seen.add(r))
		}
	})}
	return start(t, app, opt), seen
}

var sysForm = `"sys":{"MethodName":"tick","RandGuid":"[0-9a-f-]{36}","UtcNow":"2000-01-01T00:00:[0-9]{2}\.[0-9]{7}Z"}`

func TestTimerEnvelope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &record{}
		_, seen := simulate(t, open(t, plainHost, map[string][]string{"tick": {timerIn("*/30 * * * * *")}}),
			func(w http.ResponseWriter, _ *http.Request, _ int) { done(w) }, HostOptions{Log: log.logger()})
		began := time.Now()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		require.Equal(t, []time.Duration{30 * time.Second, 60 * time.Second}, seen.since(t, began))
		require.Regexp(t, `^\{"Data":\{"timer":\{"IsPastDue":false,"Schedule":\{"AdjustForDST":true\},"ScheduleStatus":null\}\},"Metadata":\{`+sysForm+`\}\}\n$`, seen.bodies[0])
		require.Contains(t, log.text(), `level=INFO msg="a line of the function" function=tick`)
	})
}

func TestTimerStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, seen := simulate(t, open(t, plainHost, map[string][]string{"tick": {timerIn("0 */2 * * * *")}}),
			func(w http.ResponseWriter, _ *http.Request, _ int) { done(w) }, HostOptions{})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.Len(t, seen.bodies, 2)
		require.Contains(t, seen.bodies[0], `"ScheduleStatus":{"Last":"0001-01-01T00:00:00+00:00","LastUpdated":"0001-01-01T00:00:00+00:00","Next":"2000-01-01T00:02:00+00:00"}`)
		require.Contains(t, seen.bodies[1], `"ScheduleStatus":{"Last":"2000-01-01T00:02:00+00:00","LastUpdated":"2000-01-01T00:02:00+00:00","Next":"2000-01-01T00:04:00+00:00"}`)
	})
}

func TestTimerNeverOverlapsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, seen := simulate(t, open(t, plainHost, map[string][]string{"tick": {timerIn("*/3 * * * * *")}}),
			func(w http.ResponseWriter, _ *http.Request, n int) {
				if n == 1 {
					time.Sleep(7 * time.Second)
				}
				done(w)
			}, HostOptions{})
		began := time.Now()
		time.Sleep(16 * time.Second)
		synctest.Wait()
		want := []time.Duration{3 * time.Second, 10 * time.Second, 12 * time.Second, 15 * time.Second}
		require.Equal(t, want, seen.since(t, began), "an overrun fires at once, then by schedule")
	})
}

func TestTimerFailures(t *testing.T) {
	tests := map[string]struct {
		answer func(w http.ResponseWriter)
		fires  int
	}{
		"done":          {done, 4},
		"500":           {func(w http.ResponseWriter) { w.WriteHeader(500) }, 4},
		"no JSON":       {answerWith("{"), 4},
		"not as JSON":   {func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/plain"); fmt.Fprint(w, "{}") }, 4},
		"slower than 2": {func(w http.ResponseWriter) { time.Sleep(2 * time.Second); done(w) }, 4},
		"empty":         {func(http.ResponseWriter) {}, 1}, // never completes, never fires again
		"204":           {func(w http.ResponseWriter) { w.WriteHeader(204) }, 1},
		"null":          {answerWith("null"), 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, seen := simulate(t, open(t, plainHost, map[string][]string{"tick": {timerIn("*/15 * * * * *")}}),
					func(w http.ResponseWriter, _ *http.Request, _ int) { tt.answer(w) }, HostOptions{})
				time.Sleep(64 * time.Second)
				synctest.Wait()
				require.Len(t, seen.bodies, tt.fires)
			})
		})
	}
}

func TestInvocationsThatFail(t *testing.T) {
	tests := map[string]struct{ contentType, body, want string }{
		"not as JSON": {"text/plain", "{}", `answer has the content type "text/plain"`},
		"no JSON":     {"application/json", "{", "answer is not {Outputs, Logs, ReturnValue}"},
		"a number":    {"application/json", "7", "answer is not {Outputs, Logs, ReturnValue}"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			host, _ := simulate(t, open(t, plainHost, map[string][]string{"tick": {timerIn("0 0 0 1 1 *")}}), func(w http.ResponseWriter, _ *http.Request, _ int) {
				w.Header().Set("Content-Type", tt.contentType)
				fmt.Fprint(w, tt.body)
			}, HostOptions{})
			require.ErrorContains(t, host.Fire(t.Context(), "tick"), tt.want)
		})
	}
}

func TestFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, seen := simulate(t, open(t, plainHost, map[string][]string{"tick": {timerIn("0 0 0 1 1 *")}, "echo": echoApp["echo"]}),
			func(w http.ResponseWriter, _ *http.Request, n int) {
				if n == 2 {
					w.WriteHeader(500)
					return
				}
				done(w)
			}, HostOptions{})
		require.NoError(t, host.Fire(t.Context(), "tick"))
		require.ErrorContains(t, host.Fire(t.Context(), "tick"), "fire tick: the handler answered 500")
		require.ErrorContains(t, host.Fire(t.Context(), "echo"), "there is no timer of that name")
		require.Len(t, seen.bodies, 2)
	})
}

// TestEnvelopeOnTheWire is over TCP: chunked, without a Content-Length.
func TestEnvelopeOnTheWire(t *testing.T) {
	got := make(chan *http.Request, 1)
	over(t, open(t, plainHost, map[string][]string{"tick": {timerIn("* * * * * *")}}), func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			select {
			case got <- r:
			default:
			}
		}
		done(w)
	}, HostOptions{})
	r := <-got
	require.Equal(t, "/tick", r.RequestURI)
	require.Equal(t, []string{"chunked"}, r.TransferEncoding)
	require.EqualValues(t, -1, r.ContentLength)
	require.Equal(t, "application/json; charset=utf-8", r.Header.Get("Content-Type"))
	require.Regexp(t, `^[0-9a-f-]{36}$`, r.Header.Get("X-Azure-Functions-InvocationId"))
	require.NotContains(t, r.Header, "Content-Length")
}

var pipeApp = map[string][]string{"feed": {timerIn("0 0 * * * *"), queueOut}, "work": {queueIn}}

// feed starts a host whose timer "feed" puts value on the queue once.
func feed(t *testing.T, hostJSON, value string, work func(w http.ResponseWriter, n int)) (*Host, *calls) {
	t.Helper()
	worked := &calls{}
	host, _ := simulate(t, open(t, hostJSON, pipeApp), func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.URL.Path == "/feed" {
			answerWith(`{"Outputs":{"out":` + value + `,"unknown":"ignored"},"Logs":[],"ReturnValue":null}`)(w)
			return
		}
		work(w, worked.add(r))
	}, HostOptions{})
	require.NoError(t, host.Fire(t.Context(), "feed"))
	return host, worked
}

func readAll(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	return string(body)
}

func TestQueueEnvelope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, worked := feed(t, plainHost, `[{"job":1,"on":true,"list":[1],"inner":{"a":null},"none":null,"name":"<é>"}]`, func(w http.ResponseWriter, _ int) { done(w) })
		synctest.Wait()
		require.Len(t, worked.bodies, 1)
		require.Contains(t, worked.bodies[0], `"Data":{"item":"\"{\\n  \\\"job\\\": 1,\\n  \\\"on\\\": true,`)
		require.Contains(t, worked.bodies[0], `\\\"name\\\": \\\"<é>\\\"`)
		var envelope struct {
			Data     map[string]string
			Metadata map[string]any
		}
		require.NoError(t, json.Unmarshal([]byte(worked.bodies[0]), &envelope))
		m := envelope.Metadata
		require.Regexp(t, `^"[0-9a-f-]{36}"$`, m["Id"])
		require.Regexp(t, `^"[A-Za-z0-9+/=]+"$`, m["PopReceipt"])
		for _, name := range []string{"Id", "PopReceipt", "sys"} {
			delete(m, name)
		}
		require.Equal(t, map[string]any{
			"DequeueCount": "1", "InsertionTime": "2000-01-01T00:00:00+00:00", "ExpirationTime": "2000-01-08T00:00:00+00:00",
			"NextVisibleTime": "2000-01-01T00:10:00+00:00", "job": `"1"`, "on": `"True"`, "inner": `{"a":null}`, "name": `"<é>"`,
		}, m)
	})
}

func TestQueueOutputs(t *testing.T) {
	tests := map[string][]string{
		`[{"a":1},"aGVsbG8=",7]`: {"{\n  \"a\": 1\n}", "aGVsbG8=", "7"}, // in a list nothing is decoded
		`{"a":1}`:                {"{\n  \"a\": 1\n}"},
		`"aGVsbG8="`:             {"hello"},
		`"hello!"`:               {"hello!"},
		`7`:                      {"7"},
		`[]`:                     nil,
		`null`:                   nil,
	}
	for value, want := range tests {
		t.Run(value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				_, worked := feed(t, strings.Replace(plainHost, `"http":`, `"queues":{"batchSize":1,"newBatchThreshold":0},"http":`, 1), value, func(w http.ResponseWriter, _ int) { done(w) })
				synctest.Wait()
				for _, body := range worked.bodies {
					var in Invocation
					require.NoError(t, json.Unmarshal([]byte(body), &in))
					var once, twice string
					require.NoError(t, json.Unmarshal(in.Data["item"], &once))
					require.NoError(t, json.Unmarshal([]byte(once), &twice))
					got = append(got, twice)
				}
				require.Equal(t, want, got)
			})
		})
	}
}

func TestQueueTakesNoMoreThan64KiB(t *testing.T) {
	for size, fails := range map[int]bool{maxMessage/4*3 - 2: false, maxMessage / 4 * 3: true} {
		err := error(nil)
		synctest.Test(t, func(t *testing.T) {
			host, _ := simulate(t, open(t, plainHost, map[string][]string{"feed": pipeApp["feed"]}), func(w http.ResponseWriter, _ *http.Request, _ int) {
				answerWith(`{"Outputs":{"out":["` + strings.Repeat("x", size+1) + `"]}}`)(w)
			}, HostOptions{})
			err = host.Fire(t.Context(), "feed")
		})
		require.Equal(t, fails, err != nil, "%d: %v", size, err)
	}
}

func TestPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostJSON := strings.Replace(plainHost, `"http":`, `"queues":{"visibilityTimeout":"00:00:30"},"http":`, 1)
		began := time.Now()
		host, worked := feed(t, hostJSON, `[{"job":"bad"}]`, func(w http.ResponseWriter, _ int) { w.WriteHeader(500) })
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		require.Equal(t, []time.Duration{0, 30 * time.Second, 60 * time.Second, 90 * time.Second, 120 * time.Second}, worked.since(t, began))
		for i, body := range worked.bodies {
			var in Invocation
			require.NoError(t, json.Unmarshal([]byte(body), &in))
			require.Equal(t, i+1, in.DequeueCount())
			require.Equal(t, strconv.Quote(strconv.Itoa(i+1)), string(in.Metadata["DequeueCount"]), "it is a string")
		}
		require.Empty(t, host.Messages("work"))
		require.Equal(t, []string{"{\n  \"job\": \"bad\"\n}"}, host.Messages("work-poison"))
	})
}

func TestQueueRetrySucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, worked := feed(t, plainHost, `[{"job":1}]`, func(w http.ResponseWriter, n int) {
			if n < 3 {
				w.WriteHeader(503)
				return
			}
			done(w)
		})
		synctest.Wait()
		require.Len(t, worked.bodies, 3, "without a visibilityTimeout at once")
		require.Empty(t, host.Messages("work"))
		require.Empty(t, host.Messages("work-poison"))
	})
}

func TestQueueConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hostJSON := strings.Replace(plainHost, `"http":`, `"queues":{"batchSize":4,"newBatchThreshold":2},"http":`, 1)
		var mu sync.Mutex
		running, most := 0, 0
		_, worked := feed(t, hostJSON, `[`+strings.Repeat(`{"n":1},`, 29)+`{"n":1}]`, func(w http.ResponseWriter, n int) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Duration(n) * time.Second / 10)
			mu.Lock()
			running--
			mu.Unlock()
			done(w)
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, worked.bodies, 30)
		require.Equal(t, 6, most, "a batch more when no more than the threshold are under way")
	})
}

func TestQueueIsBounded(t *testing.T) {
	q := newQueues().named("q")
	q.waiting = make([]*message, maxQueued)
	require.ErrorContains(t, q.put("one more"), "takes no more")
}

func TestStopEndsAHungInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host, err := NewHost(open(t, plainHost, map[string][]string{"tick": {timerIn("* * * * * *")}}), HostOptions{Transport: direct{http.NotFoundHandler()}})
		require.NoError(t, err)
		host.transport = direct{http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		defer stop()
		require.NoError(t, host.Run(ctx))
		require.ErrorContains(t, host.Fire(ctx, "tick"), "fire tick")
	})
}

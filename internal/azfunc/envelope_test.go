package azfunc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Envelopes as the real host sent them.
const (
	wireTimer  = `{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}},"Metadata":{"sys":{"MethodName":"tick","UtcNow":"2026-11-23T19:37:20.0893105Z","RandGuid":"6814"}}}`
	wireStatus = `{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":{"Last":"0001-01-01T00:00:00+00:00","Next":"2026-11-23T19:43:00+00:00","LastUpdated":"0001-01-01T00:00:00+00:00"},"IsPastDue":true}},"Metadata":{}}`
	wireItem   = `{"Data":{"item":"\"{\\n  \\\"job\\\": 1\\n}\""},"Metadata":{"DequeueCount":"3","Id":"\"651e\"","job":"\"1\"","sys":{}}}`
)

func envelopeRequest(body string) *http.Request {
	r := httptest.NewRequest("POST", "http://127.0.0.1:7071/tick", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("X-Azure-Functions-InvocationId", "an-id")
	return r
}

// invokeOnce runs fn behind Handler.
func invokeOnce(t *testing.T, r *http.Request, fn func(context.Context, Invocation) (Result, error)) (*httptest.ResponseRecorder, string) {
	t.Helper()
	log, rec := &record{}, httptest.NewRecorder()
	Handler(log.logger(), fn).ServeHTTP(rec, r)
	return rec, log.text()
}

func nothing(context.Context, Invocation) (Result, error) { return Result{}, nil }

func TestHandlerReadsTimers(t *testing.T) {
	var got []Timer
	for _, body := range []string{wireTimer, wireStatus} {
		rec, _ := invokeOnce(t, envelopeRequest(body), func(_ context.Context, in Invocation) (Result, error) {
			require.Equal(t, "an-id", in.ID)
			timer, err := in.Timer("timer")
			got = append(got, timer)
			return Result{}, err
		})
		require.Equal(t, 200, rec.Code)
		require.Equal(t, "application/json; charset=utf-8", rec.Header().Get("Content-Type"))
		require.Equal(t, `{"Outputs":{},"Logs":[],"ReturnValue":null}`, rec.Body.String())
	}
	require.Equal(t, Timer{}, got[0])
	require.True(t, got[1].IsPastDue)
	require.True(t, got[1].ScheduleStatus.Last.IsZero(), "the year 1 is never")
	require.Equal(t, "2026-11-23T19:43:00Z", got[1].ScheduleStatus.Next.UTC().Format(time.RFC3339))
}

func TestHandlerReadsMessages(t *testing.T) {
	tests := map[string]struct{ data, err string }{
		"as it came":       {`"\"{\\n  \\\"job\\\": 1\\n}\""`, ""},
		"encoded once":     {`"{\"job\": 1}"`, ""},
		"an object":        {`{"job":1,"new":2}`, ""},
		"plain text":       {`"\"job\""`, "expected a JSON object"},
		"a number":         {`1`, "expected a JSON object"},
		"of another shape": {`{"job":"x"}`, "cannot unmarshal"},
		"null":             {`null`, "expected a JSON object"},
		"missing":          {``, "the host sent no such binding"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := Invocation{Data: map[string]json.RawMessage{}}
			if tt.data != "" {
				in.Data["item"] = json.RawMessage(tt.data)
			}
			var item struct{ Job int }
			err := in.Message("item", &item)
			if tt.err != "" {
				require.ErrorContains(t, err, `read queue message "item": `)
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, 1, item.Job)
		})
	}
}

func TestDequeueCount(t *testing.T) {
	for text, want := range map[string]int{`"3"`: 3, `"\"4\""`: 4, `5`: 5, `"x"`: 0, ``: 0} {
		require.Equal(t, want, Invocation{Metadata: map[string]json.RawMessage{"DequeueCount": json.RawMessage(text)}}.DequeueCount())
	}
}

func TestHandlerAnswers(t *testing.T) {
	rec, _ := invokeOnce(t, envelopeRequest(wireTimer), func(context.Context, Invocation) (Result, error) {
		m, err := NewMessage(map[string]any{"feed": "a<b", "n": 1})
		return Result{Queues: map[string][]Message{"work": {m, m}, "none": nil}, Logs: []string{"planned"}}, err
	})
	require.Equal(t, 200, rec.Code)
	require.JSONEq(t, `{"Outputs":{"work":[{"feed":"a<b","n":1},{"feed":"a<b","n":1}],"none":[]},"Logs":["planned"],"ReturnValue":null}`, rec.Body.String())
}

func TestHandlerFailures(t *testing.T) {
	tests := map[string]struct {
		fn   func(context.Context, Invocation) (Result, error)
		want string
	}{
		"error": {func(context.Context, Invocation) (Result, error) {
			return Result{Logs: []string{"x"}}, errors.New("store is away")
		}, "store is away"},
		"panic": {func(context.Context, Invocation) (Result, error) { panic("index out of range") }, "panic: index out of range"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec, log := invokeOnce(t, envelopeRequest(wireTimer), tt.fn)
			require.Equal(t, 500, rec.Code)
			require.JSONEq(t, `{"Outputs":{},"Logs":[],"ReturnValue":null,"Error":"`+tt.want+`"}`, rec.Body.String())
			require.Contains(t, log, `msg="invocation failed" path=/tick invocation_id=an-id error="`+tt.want)
			require.Equal(t, name == "panic", strings.Contains(log, "stack="))
		})
	}
}

func TestHandlerTakesEnvelopesAlone(t *testing.T) {
	tests := map[string]func() *http.Request{
		"GET": func() *http.Request { r := envelopeRequest(wireTimer); r.Method = "GET"; return r },
		"PUT": func() *http.Request { r := envelopeRequest(wireTimer); r.Method = "PUT"; return r },
		"a form": func() *http.Request {
			r := envelopeRequest(wireTimer)
			r.Header.Set("Content-Type", "text/plain")
			return r
		},
		"no type": func() *http.Request { r := envelopeRequest(wireTimer); r.Header.Del("Content-Type"); return r },
		"no id": func() *http.Request {
			r := envelopeRequest(wireTimer)
			r.Header.Del("X-Azure-Functions-InvocationId")
			return r
		},
		"by a foreign name": func() *http.Request { r := envelopeRequest(wireTimer); r.Host = "evil.example:7071"; return r },
		"no JSON":           func() *http.Request { return envelopeRequest("x") },
		"no envelope":       func() *http.Request { return envelopeRequest(`{"a":1}`) },
		"no metadata":       func() *http.Request { return envelopeRequest(`{"Data":{}}`) },
		"too large": func() *http.Request {
			return envelopeRequest(`{"Data":{"x":"` + strings.Repeat("x", maxEnvelope) + `"},"Metadata":{}}`)
		},
	}
	for name, request := range tests {
		t.Run(name, func(t *testing.T) {
			called := false
			rec, log := invokeOnce(t, request(), func(context.Context, Invocation) (Result, error) { called = true; return Result{}, nil })
			require.Equal(t, 404, rec.Code)
			require.False(t, called)
			require.Contains(t, log, "not an invocation")
		})
	}
	rec, _ := invokeOnce(t, envelopeRequest(wireItem), nothing)
	require.Equal(t, 200, rec.Code)
}

func TestNewMessage(t *testing.T) {
	tests := map[string]struct {
		value any
		err   string
	}{
		"struct":      {struct{ Feed string }{"x"}, ""},
		"string":      {"aGVsbG8=", "expected a JSON object, got string"},
		"list":        {[]int{1}, "expected a JSON object"},
		"nil":         {nil, "expected a JSON object"},
		"taken":       {map[string]int{"id": 1}, `must not be named "id"`},
		"sys":         {map[string]int{"sys": 1}, `must not be named "sys"`},
		"too large":   {map[string]string{"x": strings.Repeat("x", 49<<10)}, "a queue takes 65536"},
		"impossible":  {map[string]any{"x": func() {}}, "encode queue message"},
		"just inside": {map[string]string{"x": strings.Repeat("x", 48<<10-15)}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewMessage(tt.value)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.err)
		})
	}
	text, err := json.Marshal(Message{})
	require.NoError(t, err)
	require.Equal(t, "{}", string(text))
}

// TestHandlerBehindTheHost sends a timer's output through the queue into a
// worker, each by its envelope, over simulated time.
func TestHandlerBehindTheHost(t *testing.T) {
	type work struct {
		Feed  string
		Start time.Time
	}
	want := work{"entra.directory", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	synctest.Test(t, func(t *testing.T) {
		log := &record{}
		var got []work
		mux := http.NewServeMux()
		mux.Handle("/feed", Handler(log.logger(), func(context.Context, Invocation) (Result, error) {
			m, err := NewMessage(want)
			return Result{Queues: map[string][]Message{"out": {m, m}}}, err
		}))
		mux.Handle("/work", Handler(log.logger(), func(_ context.Context, in Invocation) (Result, error) {
			if in.DequeueCount() == 1 {
				panic("a bad day")
			}
			var w work
			err := in.Message("item", &w)
			got = append(got, w)
			return Result{}, err
		}))
		hostJSON := strings.Replace(plainHost, `"http":`, `"queues":{"batchSize":1,"newBatchThreshold":0},"http":`, 1)
		host := start(t, open(t, hostJSON, pipeApp), HostOptions{Transport: direct{mux}})
		require.NoError(t, host.Fire(t.Context(), "feed"))
		synctest.Wait()
		require.Equal(t, []work{want, want}, got)
		require.Contains(t, log.text(), "a bad day")
	})
}

package browsertest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// Answer has h answer what the page asks of addresses that match a pattern, in
// which * is any text, instead of the network. To the page it is the real
// address, certificate and policies included.
func (b *Browser) Answer(pattern string, h http.Handler) {
	b.t.Helper()
	paused := chromedp.Events(b.ctx, fetch.RequestPaused)
	_, err := chromedp.Call(b.ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern}}})
	require.NoError(b.t, err)
	go func() {
		for ev, err := range paused {
			if err != nil {
				return
			}
			_, _ = chromedp.Call(b.ctx, fetch.FulfillRequest, answerTo(b, ev, h)) // the page may have left
		}
	}()
}

func answerTo(b *Browser, ev fetch.EventRequestPaused, h http.Handler) fetch.FulfillRequestParams {
	var body bytes.Buffer
	for _, part := range ev.Request.PostDataEntries {
		body.Write(part.Bytes)
	}
	r := httptest.NewRequestWithContext(b.ctx, ev.Request.Method, ev.Request.URL, &body)
	for name, value := range ev.Request.Headers {
		r.Header.Set(name, fmt.Sprint(value))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := fetch.FulfillRequestParams{RequestID: ev.RequestID, ResponseCode: int64(w.Code), Body: w.Body.Bytes()}
	for name, values := range w.Header() {
		for _, value := range values {
			answer.ResponseHeaders = append(answer.ResponseHeaders, &fetch.HeaderEntry{Name: name, Value: value})
		}
	}
	return answer
}

package outbound

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const hook = "https://hooks.example.com/" + canary + "?sig=" + canary

// TestRedirectsAreNotFollowed, wherever they lead.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{300, 301, 302, 303, 304, 305, 307, 308, 399} {
		for _, location := range []string{
			"https://169.254.169.254/latest/meta-data/" + canary, "http://127.0.0.1/", "https://[::1]/", "https://evil.example/", "//evil.example/",
			"https://a.siem.example.com/" + canary, "/other", "file:///etc/passwd", "",
		} {
			r := newRig(t, Config{Allow: allowed}, leadTo("*", public), func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			})
			answer, err := r.get(t, hook)
			require.ErrorIs(t, err, ErrRedirect)
			require.EqualError(t, err, fmt.Sprintf("call https://hooks.example.com: it answered with status %d: redirects are not followed", status))
			require.Equal(t, Response{}, answer)
			require.Equal(t, []string{public + ":443"}, r.connections())
			require.Equal(t, []string{"hooks.example.com Bearer " + canary}, r.requests())
		}
	}
}

// TestSizes: an answer is whole or an error.
func TestSizes(t *testing.T) {
	const most = 1000
	bodies := map[string]struct {
		size    int
		chunked bool
		tooBig  bool
	}{
		"empty":                        {0, false, false},
		"as large as may be":           {most, false, false},
		"as large as may be, in parts": {most, true, false},
		"one byte more":                {most + 1, false, true},
		"one byte more, in parts":      {most + 1, true, true},
		"huge":                         {8 << 20, false, true},
		"huge, in parts":               {8 << 20, true, true},
	}
	for name, body := range bodies {
		r := newRig(t, Config{Allow: allowed, MaxBody: most}, leadTo("*", public), func(w http.ResponseWriter, _ *http.Request) {
			if !body.chunked {
				w.Header().Set("Content-Length", strconv.Itoa(body.size))
			}
			_, _ = w.Write(make([]byte, body.size))
			_ = http.NewResponseController(w).Flush()
		})
		answer, err := r.get(t, hook)
		if body.tooBig {
			require.ErrorIs(t, err, ErrTooLarge, name)
			require.EqualError(t, err, "call https://hooks.example.com: the answer is too large: its body has more than 1000 bytes")
			require.Equal(t, Response{}, answer)
			continue
		}
		require.NoError(t, err, name)
		require.Len(t, answer.Body, body.size, name)
	}
}

func TestHugeHeaders(t *testing.T) {
	for name, fill := range map[string]func(http.Header){
		"one": func(h http.Header) { h.Set("X-A", strings.Repeat("a", maxHeader)) },
		"many": func(h http.Header) {
			for i := range 4000 {
				h.Set("X-"+strconv.Itoa(i), strings.Repeat("a", 30))
			}
		},
	} {
		r := newRig(t, Config{Allow: allowed}, leadTo("*", public), func(w http.ResponseWriter, _ *http.Request) { fill(w.Header()) })
		_, err := r.get(t, hook)
		require.ErrorIs(t, err, ErrTooLarge, name)
		require.EqualError(t, err, "call https://hooks.example.com: the answer is too large: its header has more than 65536 bytes")
	}
}

// TestPackedAnswersStayPacked: a small answer cannot become a large one.
func TestPackedAnswersStayPacked(t *testing.T) {
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	_, err := packer.Write(make([]byte, 8<<20))
	require.NoError(t, err)
	require.NoError(t, packer.Close())
	r := newRig(t, Config{Allow: allowed}, leadTo("*", public), func(w http.ResponseWriter, req *http.Request) {
		require.Equal(t, "identity", req.Header.Get("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	require.True(t, r.transport.DisableCompression)
	answer, err := r.get(t, hook)
	require.NoError(t, err)
	require.Equal(t, bomb.Bytes(), answer.Body)
}

// TestSlowHosts: the time of a call is bounded wherever the host lingers.
func TestSlowHosts(t *testing.T) {
	drip := func(w http.ResponseWriter, req *http.Request) {
		for req.Context().Err() == nil {
			_, _ = io.WriteString(w, ".")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Second)
		}
	}
	silent := func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
	for name, handler := range map[string]http.HandlerFunc{"body in drips": drip, "no answer": silent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Config{Allow: allowed}, leadTo("*", public), handler)
				times(t, r, defaultTimeout)
			})
		})
	}
	t.Run("no connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{Allow: allowed, Timeout: 3 * time.Second}, leadTo("*", public, "1.1.1.1"), fine)
			r.Client.connect = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			times(t, r, 3*time.Second)
		})
	})
	t.Run("header in drips", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
			r.speak(t, newAuthority().config(), func(conn net.Conn) {
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-A: ")
				for err == nil {
					time.Sleep(time.Second)
					_, err = io.WriteString(conn, ".")
				}
			})
			times(t, r, defaultTimeout)
		})
	})
}

func times(t *testing.T, r *rig, want time.Duration) {
	t.Helper()
	start := time.Now()
	_, err := r.get(t, hook)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualError(t, err, fmt.Sprintf("call https://hooks.example.com: no whole answer in time (at most %s): context deadline exceeded", want))
	require.Equal(t, want, time.Since(start))
}

// TestCallersMayLeave before the client's own timeout.
func TestCallersMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Allow: allowed}, leadTo("*", public), func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := r.Do(ctx, Request{Method: http.MethodGet, URL: hook})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// TestHostileAnswers: what a host sends in place of an answer, its echo of the
// caller's secrets above all, is in no error.
func TestHostileAnswers(t *testing.T) {
	const odd = "its answer is not HTTP over TLS as it should be"
	echo := func(prefix string) func(net.Conn) {
		return func(conn net.Conn) {
			request, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, prefix+request.Header.Get("Authorization")+"\r\n\r\n")
		}
	}
	for prefix, want := range map[string]string{
		"":                                       odd,
		"HTTP/1.1 ":                              odd,
		"HTTP/1.1 200 OK\r\n":                    odd,
		"HTTP/1.1 200 OK\r\nContent-Length: ":    odd,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: ": odd,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n":     odd,
		"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n":            "it hung up before its answer was whole",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nX-A: ":   "it answered with status 101, which is none to a call",
		"HTTP/2.0 200 OK\r\nContent-Length: 0\r\nX-A: c\r\nX-B\r\n": odd,
	} {
		r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
		r.speak(t, newAuthority().config(), echo(prefix))
		_, err := r.get(t, hook)
		require.EqualError(t, err, "call https://hooks.example.com: "+want, "%q", prefix)
	}
}

// TestUnaskedWords: what a host says before it is asked, or after it answered,
// does not get into the process's log. It has the secret of an earlier call.
func TestUnaskedWords(t *testing.T) {
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(before) })
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
		const words = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: " + canary + "\r\n\r\n"
		r.speak(t, newAuthority().config(), func(conn net.Conn) {
			_, _ = io.WriteString(conn, words)
			time.Sleep(time.Millisecond)
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, strings.Repeat(words, 3))
		})
		for range 3 {
			conn, err := r.dialTLS(t.Context(), "tcp", "hooks.example.com:443")
			require.NoError(t, err)
			read := make(chan error, 1)
			go func() { _, err := conn.Read(make([]byte, 1)); read <- err }()
			synctest.Wait()
			require.Empty(t, read, "nobody asked")
			require.NoError(t, conn.Close())
			require.Error(t, <-read)
			_, err = r.get(t, hook)
			require.NoError(t, err)
			synctest.Wait()
		}
	})
	require.Empty(t, logged.String())
}

// TestEndlessHints: answers before the answer have an end too.
func TestEndlessHints(t *testing.T) {
	r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
	r.speak(t, newAuthority().config(), func(conn net.Conn) {
		_, err := http.ReadRequest(bufio.NewReader(conn))
		for err == nil {
			_, err = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("a", 1000)+"\r\n\r\n")
		}
	})
	_, err := r.get(t, hook)
	require.Error(t, err)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
}

// TestTLS: who cannot prove the name gets nothing, and its connection is closed.
func TestTLS(t *testing.T) {
	signed := func(name string, until time.Time) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{*newAuthority().leaf(name, until)}}
	}
	old := signed("hooks.example.com", time.Time{})
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	for want, config := range map[string]*tls.Config{
		"":                                    signed("hooks.example.com", time.Time{}),
		"its certificate is for another name": signed("a.siem.example.com", time.Time{}),
		"its certificate has expired or is not valid yet":       signed("hooks.example.com", time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)),
		"it broke TLS off: tls: protocol version not supported": old,
	} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(2 * 365 * 24 * time.Hour) // the bubble's clock starts in 2000
			r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
			reached, closed := false, false
			r.speak(t, config, func(conn net.Conn) {
				_, err := http.ReadRequest(bufio.NewReader(conn))
				reached = err == nil
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			})
			connect := r.Client.connect
			r.Client.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := connect(ctx, network, address)
				return &watched{conn, &closed}, err
			}
			_, err := r.get(t, hook)
			synctest.Wait()
			require.True(t, closed)
			require.Equal(t, want == "", reached)
			if want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "call https://hooks.example.com: "+want)
		})
	}
}

// watched is a connection that tells whether it was closed.
type watched struct {
	net.Conn
	closed *bool
}

func (w *watched) Close() error { *w.closed = true; return w.Conn.Close() }

// TestRealConnections: over TCP a host of this machine is refused by design,
// at the look-up and, were that not there, at the socket. The test's one exempt
// address is what makes it reachable, and no other.
func TestRealConnections(t *testing.T) {
	var accepted atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(fine))
	server.TLS = newAuthority().config()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	here := netip.MustParseAddrPort(server.Listener.Addr().String())
	address := fmt.Sprintf("https://hooks.example.com:%d/%s", here.Port(), canary)
	open := func(roots *x509.CertPool) *Client {
		c, err := New(Config{
			Allow:    []string{fmt.Sprintf("hooks.example.com:%d", here.Port())},
			Resolver: leadTo("*", here.Addr().String()), Roots: roots,
		})
		require.NoError(t, err)
		return c
	}
	call := func(c *Client) (Response, error) {
		return c.Do(t.Context(), Request{Method: http.MethodGet, URL: address, Header: http.Header{"Authorization": {canary}}})
	}

	c := open(newAuthority().pool)
	_, err := call(c)
	require.ErrorIs(t, err, ErrRefused)
	_, err = c.connect(t.Context(), "tcp", here.String())
	require.ErrorIs(t, err, ErrRefused)
	_, err = c.connect(t.Context(), "tcp", fmt.Sprintf("localhost:%d", here.Port()))
	require.ErrorIs(t, err, ErrRefused)
	c.exempt = netip.AddrPortFrom(here.Addr(), here.Port()^1)
	_, err = call(c)
	require.ErrorIs(t, err, ErrRefused, "another port")
	require.Zero(t, accepted.Load())

	c.exempt = here
	answer, err := call(c)
	require.NoError(t, err)
	require.Equal(t, "fine", string(answer.Body))
	require.EqualValues(t, 1, accepted.Load())

	stranger := open(x509.NewCertPool())
	stranger.exempt = here
	_, err = call(stranger)
	require.EqualError(t, err, fmt.Sprintf("call https://hooks.example.com:%d: its certificate is signed by an authority that is not trusted", here.Port()))

	server.Close()
	gone := open(newAuthority().pool)
	gone.exempt = here
	_, err = call(gone)
	require.EqualError(t, err, fmt.Sprintf("call https://hooks.example.com:%d: connection refused", here.Port()))
}

// TestPlainHTTPIsNoTLS at an https address.
func TestPlainHTTPIsNoTLS(t *testing.T) {
	r := newRig(t, Config{Allow: allowed}, leadTo("*", public), fine)
	near, far := inMemory()
	r.Client.connect = func(context.Context, string, string) (net.Conn, error) { return near, nil }
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	wg.Go(func() {
		_, _ = far.Read(make([]byte, 4096))
		_, _ = io.WriteString(far, "HTTP/1.1 400 Bad Request\r\n\r\n")
		_ = far.Close()
	})
	_, err := r.get(t, hook)
	require.EqualError(t, err, "call https://hooks.example.com: it does not speak TLS")
}

// TestLateAnswers are none, even if the host ended them well.
func TestLateAnswers(t *testing.T) {
	c, err := New(Config{Allow: allowed})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answer, err := c.answer(ctx, &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("fine")), Request: &http.Request{}})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, Response{}, answer)
}

package azfunc

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var echoApp = map[string][]string{
	"echo":  {httpIn("api/echo/{id?}", "get", "post"), httpOut2},
	"fixed": {httpIn("api/echo/fixed", "get"), httpOut2},
	"c":     {httpIn("c", "get"), httpOut2},
}

// echo answers with what came to it.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %d", r.Method, r.RequestURI, body, len(body))
}

// bothWays runs a test with the older forwarding and with proxying.
func bothWays(t *testing.T, test func(t *testing.T, proxying bool)) {
	t.Helper()
	t.Run("forwarding", func(t *testing.T) { test(t, false) })
	t.Run("proxying", func(t *testing.T) { test(t, true) })
}

func TestForwardPathsAndMethods(t *testing.T) {
	bothWays(t, func(t *testing.T, proxying bool) {
		host := over(t, open(t, plainHost, echoApp), echo, HostOptions{Proxying: proxying})
		tests := []struct {
			method, target string
			status         int
			want           string
		}{
			{"GET", "/api/echo", 200, "/api/echo"},
			{"GET", "/api/echo/", 200, "/api/echo/"},
			{"GET", "/API/Echo/x", 200, "/API/Echo/x"},
			{"GET", "/api/echo/a%20b%C3%A9", 200, "/api/echo/a%20b%C3%A9"},
			{"GET", "/api/echo/a%2fb", 200, "/api/echo/a%2Fb"},
			{"GET", "/a%2Fb/../c", 200, "/c"},
			{"GET", "/x/./%2e%2e/c", 200, "/c"},
			{"POST", "/api/echo/1", 200, "/api/echo/1"},
			{"POST", "/api/echo/fixed", 200, "/api/echo/fixed"},
			{"HEAD", "/api/echo", 404, ""},
			{"OPTIONS", "/api/echo", 404, ""},
			{"PUT", "/api/echo", 404, ""},
			{"POST", "/c", 404, ""},
			{"GET", "/api/echo/a/b", 404, ""},
			{"GET", "/", 404, ""},
			{"GET", "/api/echo/%00", 400, ""},
		}
		for _, tt := range tests {
			resp, body := send(t, tt.method, host+tt.target, nil)
			require.Equal(t, tt.status, resp.StatusCode, "%s %s", tt.method, tt.target)
			if tt.want != "" {
				require.Equal(t, tt.method+" "+tt.want+"  0", body)
			} else {
				require.Empty(t, body)
			}
		}
	})
}

func TestForwardQuery(t *testing.T) {
	app := open(t, plainHost, echoApp)
	const sent = "?a=1&b=x%2Cy%20z&A=2&a=&c"
	_, body := send(t, "GET", over(t, app, echo, HostOptions{})+"/c"+sent, nil)
	require.Equal(t, "GET /c?a=1,2,&b=x%2Cy%20z&c=  0", body)
	_, body = send(t, "GET", over(t, app, echo, HostOptions{Proxying: true})+"/c"+sent+"&bad=%zz;", nil)
	require.Equal(t, "GET /c"+sent+"&bad=%zz;  0", body)
}

func TestForwardHeaders(t *testing.T) {
	bothWays(t, func(t *testing.T, proxying bool) {
		var got http.Header
		var gotHost string
		host := over(t, open(t, plainHost, echoApp), func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/c" {
				got, gotHost = r.Header.Clone(), r.Host
			}
		}, HostOptions{Proxying: proxying})
		send(t, "GET", host+"/c", nil, "Host", "aoc.example", "User-Agent", "browser/1", "X-Forwarded-For", "203.0.113.9",
			"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Accept-Encoding", "br", "Cookie", "a=b")
		require.Equal(t, "aoc.example", gotHost)
		require.Equal(t, []string{"browser/1 Azure-Functions-Host/4.1037.0.0"}, got["User-Agent"])
		require.Equal(t, []string{"203.0.113.9"}, got["X-Forwarded-For"])
		require.Equal(t, []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, got["Traceparent"])
		require.Equal(t, []string{"br"}, got["Accept-Encoding"])
		require.Equal(t, []string{"a=b"}, got["Cookie"])
		require.Equal(t, "4.1037.0.0", got.Get("X-Azure-Functions-HostVersion"))
		require.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, got.Get("X-Azure-Functions-InvocationId"))
	})
}

func TestForwardAnswers(t *testing.T) {
	bothWays(t, func(t *testing.T, proxying bool) {
		host := over(t, open(t, plainHost, echoApp), func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/api/echo/302":
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(302)
			case "/api/echo/204":
				w.Header().Add("Set-Cookie", "a=1; HttpOnly")
				w.Header().Add("Set-Cookie", "b=2")
				w.WriteHeader(204)
			case "/api/echo/304":
				w.Header().Set("ETag", `"x"`)
				w.WriteHeader(304)
			case "/api/echo/500":
				w.WriteHeader(500)
				fmt.Fprint(w, "own words")
			case "/api/echo/panic":
				panic(http.ErrAbortHandler)
			}
		}, HostOptions{Proxying: proxying})

		resp, _ := send(t, "GET", host+"/api/echo/302", nil)
		require.Equal(t, 302, resp.StatusCode)
		require.Equal(t, "/elsewhere", resp.Header.Get("Location"))
		resp, _ = send(t, "GET", host+"/api/echo/204", nil)
		require.Equal(t, 204, resp.StatusCode)
		require.Equal(t, []string{"a=1; HttpOnly", "b=2"}, resp.Header["Set-Cookie"])
		resp, _ = send(t, "GET", host+"/api/echo/304", nil)
		require.Equal(t, 304, resp.StatusCode)
		require.Equal(t, `"x"`, resp.Header.Get("Etag"))
		resp, body := send(t, "GET", host+"/api/echo/500", nil)
		require.Equal(t, 500, resp.StatusCode)
		require.Equal(t, "own words", body)
		resp, body = send(t, "GET", host+"/api/echo/panic", nil)
		require.Equal(t, 500, resp.StatusCode)
		require.Empty(t, body)
	})
}

func TestForwardBodies(t *testing.T) {
	app := open(t, plainHost, echoApp)
	seen := 0
	count := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			seen++
		}
		echo(w, r)
	}
	chunked := func() io.Reader { return struct{ io.Reader }{strings.NewReader("body")} }

	host := over(t, app, count, HostOptions{})
	resp, body := send(t, "POST", host+"/api/echo", chunked())
	require.Equal(t, 500, resp.StatusCode)
	require.Empty(t, body)
	require.Zero(t, seen, "the handler sees nothing of it")
	_, body = send(t, "POST", host+"/api/echo", strings.NewReader("body"))
	require.Equal(t, "POST /api/echo body 4", body)

	host = over(t, app, count, HostOptions{Proxying: true})
	_, body = send(t, "POST", host+"/api/echo", chunked())
	require.Equal(t, "POST /api/echo body 4", body)
}

// large is a body of zeros with a declared length.
func large(host string, size int64) *http.Request {
	u, _ := url.Parse(host + "/api/echo")
	return &http.Request{Method: "POST", URL: u, Header: http.Header{}, ContentLength: size, Body: io.NopCloser(io.LimitReader(zeros{}, size))}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestForwardLargeBodies(t *testing.T) {
	seen := 0
	drain := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			seen++
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}
	bothWays(t, func(t *testing.T, proxying bool) {
		host := over(t, open(t, plainHost, echoApp), drain, HostOptions{Proxying: proxying})
		resp, err := http.DefaultTransport.RoundTrip(large(host, 40<<20).WithContext(t.Context()))
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, "41943040", string(body))
		seen = 0
		resp, err = http.DefaultTransport.RoundTrip(large(host, maxRequest+1).WithContext(t.Context()))
		if err == nil { // else the connection closed while the body was under way
			resp.Body.Close()
			require.Equal(t, 500, resp.StatusCode)
			require.True(t, resp.Close)
		}
		require.Zero(t, seen, "the handler sees nothing of it")
	})
}

func TestForwardStreaming(t *testing.T) {
	bothWays(t, func(t *testing.T, proxying bool) {
		release := make(chan struct{})
		host := over(t, open(t, plainHost, echoApp), func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/c" {
				return
			}
			w.Header().Set("Content-Length", "13") // an answer of known length streams as well
			fmt.Fprintln(w, "first")
			w.(http.Flusher).Flush()
			<-release
			fmt.Fprintln(w, "second")
		}, HostOptions{Proxying: proxying})
		first := make(chan string)
		go func() {
			defer close(first)
			resp, err := http.Get(host + "/c")
			if err != nil {
				return
			}
			defer resp.Body.Close()
			for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
				first <- lines.Text()
			}
		}()
		if proxying {
			require.Equal(t, "first", <-first)
			close(release)
		} else {
			select {
			case line := <-first:
				t.Errorf("forwarding holds an answer back until it is whole, got %q", line)
			case <-time.After(50 * time.Millisecond):
			}
			close(release)
			require.Equal(t, "first", <-first)
		}
		require.Equal(t, "second", <-first)
	})
}

func TestFunctionTimeout(t *testing.T) {
	bothWays(t, func(t *testing.T, proxying bool) {
		synctest.Test(t, func(t *testing.T) {
			host := start(t, open(t, plainHost, echoApp), HostOptions{Proxying: proxying, Transport: direct{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/c" {
					time.Sleep(11 * time.Second)
				}
				fmt.Fprint(w, "late")
			})}})
			rec, began := httptest.NewRecorder(), time.Now()
			host.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/c", nil))
			require.Equal(t, 500, rec.Code)
			require.Empty(t, rec.Body.String())
			require.Equal(t, 11*time.Second, time.Since(began), "only once the handler answers")
			rec = httptest.NewRecorder()
			host.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/api/echo", nil))
			require.Equal(t, "late", rec.Body.String())
		})
	})
}

func TestPage(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page "+r.URL.Path) })
	host := over(t, open(t, plainHost, echoApp), echo, HostOptions{Page: page})
	for target, want := range map[string]string{"/": "page /", "/app.js": "page /app.js", "/c": "GET /c  0"} {
		_, body := send(t, "GET", host+target, nil)
		require.Equal(t, want, body)
	}
	for _, tt := range []struct {
		method, target string
		status         int
	}{{"HEAD", "/", 200}, {"POST", "/", 404}, {"OPTIONS", "/", 404}, {"HEAD", "/c", 404}} {
		resp, _ := send(t, tt.method, host+tt.target, nil)
		require.Equal(t, tt.status, resp.StatusCode, "%s %s", tt.method, tt.target)
	}
}

func TestNotReadyIs503(t *testing.T) {
	host, err := NewHost(open(t, plainHost, echoApp), HostOptions{Address: "127.0.0.1:1", Page: http.NotFoundHandler()})
	require.NoError(t, err)
	for _, path := range []string{"/c", "/"} {
		rec := httptest.NewRecorder()
		host.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		require.Equal(t, 503, rec.Code)
	}
}

func TestReadinessProbeIsBare(t *testing.T) {
	probes := make(chan *http.Request, 1)
	over(t, open(t, plainHost, echoApp), func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot) // any answer will do
		probes <- r
	}, HostOptions{})
	r := <-probes
	require.Equal(t, "GET / HTTP/1.1", r.Method+" "+r.RequestURI+" "+r.Proto)
	require.Empty(t, r.Header)
}

func TestHostOptions(t *testing.T) {
	app := open(t, plainHost, echoApp)
	for _, opt := range []HostOptions{{}, {Address: "a:1", Executable: "b"}} {
		_, err := NewHost(app, opt)
		require.ErrorContains(t, err, "expected one of an executable, an address and a transport")
	}
}

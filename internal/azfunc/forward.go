package azfunc

import (
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	userAgent = "Azure-Functions-Host/" + HostVersion
	// maxRequest is the web server's limit of a request's body.
	maxRequest = 104_857_600
	// maxBuffered caps an answer that forwarding holds back until it is whole.
	maxBuffered = 256 << 20
)

// ServeHTTP routes a request to its function as the real host does: a method that
// function.json does not list is a 404, HEAD and OPTIONS too. Before the handler
// is ready everything is a 503.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-h.ready:
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	path, escaped, err := resolvePath(r.URL)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f, params, known := h.route(r.Method, path)
	switch {
	case f == nil && !known && h.opt.Page != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		h.opt.Page.ServeHTTP(w, r)
	case f == nil:
		w.WriteHeader(http.StatusNotFound)
	case r.ContentLength > maxRequest:
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusInternalServerError)
	default:
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		h.call(w, r, f, params, escaped)
	}
}

// route finds the function for a request, and whether any function has its path.
func (h *Host) route(method, path string) (f *Function, params map[string]string, known bool) {
	for _, f := range h.http {
		params, ok := f.template.match(path)
		if !ok {
			continue
		}
		known = true
		if len(f.Methods) == 0 || slices.Contains(f.Methods, method) {
			return f, params, true
		}
	}
	return nil, nil, known
}

func (h *Host) call(w http.ResponseWriter, r *http.Request, f *Function, params map[string]string, escaped string) {
	switch {
	case !f.httpOnly() || !h.app.settings.forward && !h.app.settings.proxy:
		h.callEnvelope(w, r, f, params)
	case h.app.settings.proxy && (h.opt.Proxying || !h.app.settings.forward):
		h.proxy(w, r, f, escaped)
	default:
		h.forward(w, r, f, escaped)
	}
}

// outbound is the caller's request as the handler gets it.
func (h *Host) outbound(out, in *http.Request, escaped string) {
	path, err := url.PathUnescape(escaped)
	if err != nil {
		path = escaped
	}
	out.URL = &url.URL{Scheme: "http", Host: h.address, Path: path, RawPath: escaped, RawQuery: in.URL.RawQuery}
	out.Host = in.Host
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, given := in.Header[name]; given {
			out.Header[name] = values // which ReverseProxy took away
		}
	}
	out.Header.Set("User-Agent", strings.TrimSpace(in.UserAgent()+" "+userAgent))
	out.Header.Set(headerVersion, HostVersion)
	out.Header.Set(headerInvocation, newGUID())
}

// late says whether a handler that was called at began took longer than
// functionTimeout: then its answer is dropped when it comes, and it runs on.
func (h *Host) late(began time.Time) bool {
	timeout := h.app.settings.functionTimeout
	return timeout > 0 && time.Since(began) > timeout
}

// proxy streams both ways, as hosts do that know enableProxyingHttpRequest.
func (h *Host) proxy(w http.ResponseWriter, r *http.Request, f *Function, escaped string) {
	began := time.Now()
	p := httputil.ReverseProxy{
		Transport:     h.transport,
		FlushInterval: -1,
		Rewrite:       func(pr *httputil.ProxyRequest) { h.outbound(pr.Out, pr.In, escaped) },
		ModifyResponse: func(*http.Response) error {
			if h.late(began) {
				return errTimeout
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			h.log.ErrorContext(r.Context(), "proxying failed", "function", f.Name, "error", err)
			w.WriteHeader(http.StatusInternalServerError)
		},
	}
	p.ServeHTTP(w, r)
}

// hopByHop are the headers that end with a connection (RFC 9110, 7.6.1).
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// forward is the older way of enableForwardingHttpRequest.
func (h *Host) forward(w http.ResponseWriter, r *http.Request, f *Function, escaped string) {
	if r.ContentLength < 0 { // chunked: the handler sees nothing of it
		h.log.ErrorContext(r.Context(), "forwarding refuses a request body without Content-Length", "function", f.Name)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	began := time.Now()
	out := r.Clone(r.Context())
	out.RequestURI = ""
	for _, name := range hopByHop {
		out.Header.Del(name)
	}
	h.outbound(out, r, escaped)
	out.URL.RawQuery = joinQuery(r.URL.RawQuery)
	resp, body, err := h.buffered(out)
	if err == nil && h.late(began) {
		err = errTimeout
	}
	if err != nil {
		h.log.ErrorContext(r.Context(), "forwarding failed", "function", f.Name, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	for name, values := range resp.Header {
		if !slices.Contains(hopByHop, name) {
			w.Header()[name] = values
		}
	}
	if resp.StatusCode != http.StatusNoContent && resp.StatusCode != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(body) // the caller went away: there is nobody to tell
}

func (h *Host) buffered(req *http.Request) (*http.Response, []byte, error) {
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxBuffered))
	return resp, body, err
}

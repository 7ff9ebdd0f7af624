package simtenant

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Transport returns a RoundTripper that answers without a socket, so that it
// works where time is simulated (testing/synctest). It serves every host, the
// real services' too; bodies are streamed, and a request's context is honoured.
// Like http.Transport it asks for gzip and unpacks it unless the request has an
// Accept-Encoding of its own.
func (t *Tenant) Transport() http.RoundTripper { return &transport{t} }

type transport struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (tr *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		closeBody(r)
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	in, transparent := asServerSees(ctx, r)
	reader, writer := io.Pipe()
	x := &exchange{pipe: writer, header: http.Header{}, ready: make(chan struct{})}
	go func() {
		defer closeBody(r)
		x.run(tr.handler, in)
	}()
	select {
	case <-x.ready:
	case <-ctx.Done():
		_ = reader.CloseWithError(ctx.Err())
		cancel()
		return nil, r.Context().Err()
	}
	if x.broken != nil {
		cancel()
		return nil, x.broken
	}
	stop := context.AfterFunc(ctx, func() { _ = writer.CloseWithError(context.Cause(ctx)) })
	body := &pipeBody{PipeReader: reader, done: func() { stop(); cancel() }}
	return x.response(r, body, transparent), nil
}

// asServerSees is the request on the other side of the wire.
func asServerSees(ctx context.Context, r *http.Request) (in *http.Request, transparent bool) {
	in = r.Clone(ctx)
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "192.0.2.1:443"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	in.URL.Scheme, in.URL.Host = "", ""
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if in.Header.Get("Accept-Encoding") == "" && r.Method != http.MethodHead {
		in.Header.Set("Accept-Encoding", "gzip")
		transparent = true
	}
	return in, transparent
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // the transport's duty; nobody reads on
	}
}

// exchange is the http.ResponseWriter of one request.
type exchange struct {
	pipe   *io.PipeWriter
	header http.Header
	sent   http.Header
	status int
	once   sync.Once
	ready  chan struct{}
	broken error // set before ready closes
}

// errReset is what a client sees of a connection that breaks.
var errReset = fmt.Errorf("read tcp 192.0.2.1:443: %w", syscall.ECONNRESET)

func (x *exchange) run(h http.Handler, in *http.Request) {
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
		if p == nil {
			x.WriteHeader(http.StatusOK)
			// A handler that stopped because its client was gone has not sent all. Never fails.
			_ = x.pipe.CloseWithError(context.Cause(in.Context()))
			return
		}
		x.once.Do(func() { x.broken = errReset; close(x.ready) })
		_ = x.pipe.CloseWithError(errReset)
	}()
	h.ServeHTTP(x, in)
}

// Header implements http.ResponseWriter.
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	x.once.Do(func() {
		x.status, x.sent = status, x.header.Clone()
		close(x.ready)
	})
}

// Write implements io.Writer.
func (x *exchange) Write(b []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	return x.pipe.Write(b)
}

// Flush implements http.Flusher: nothing is ever held back.
func (x *exchange) Flush() {}

func (x *exchange) response(r *http.Request, body *pipeBody, transparent bool) *http.Response {
	resp := &http.Response{
		Status: strconv.Itoa(x.status) + " " + http.StatusText(x.status), StatusCode: x.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: x.sent, Body: body, ContentLength: -1, Request: r,
	}
	if transparent && strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		resp.Header.Del("Content-Encoding")
		resp.Uncompressed = true
		resp.Body = &unpacking{pipeBody: body}
	}
	return resp
}

// pipeBody ends the request when the client is done with the answer.
type pipeBody struct {
	*io.PipeReader
	done func()
}

// Close implements io.Closer.
func (b *pipeBody) Close() error {
	err := b.PipeReader.Close()
	b.done()
	return err
}

// unpacking reads gzip from its first byte on.
type unpacking struct {
	*pipeBody
	zip *gzip.Reader
	err error
}

// Read implements io.Reader.
func (u *unpacking) Read(p []byte) (int, error) {
	if u.zip == nil && u.err == nil {
		u.zip, u.err = gzip.NewReader(u.pipeBody)
	}
	if u.err != nil {
		return 0, u.err
	}
	return u.zip.Read(p)
}

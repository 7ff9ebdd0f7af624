// Package outbound makes every HTTP call to an address that a person
// configured: a SIEM, a language model, a webhook. Whoever may write such an
// address must not be able to make AOC call what only AOC can reach, nor to
// have its secrets sent elsewhere. So an address is called only if its host is
// on the operator's list, over TLS, at a public address that is checked where
// the connection is made, and what it answers is bounded in size and time.
//
// It must not know what is sent or why: alerts, events and questions are their
// packages' business. Microsoft's own APIs are not called through it; their
// origins are fixed and the package source guards what their answers name.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aoc/internal/audit"
)

// What a caller may tell apart. Their texts are for people, and so are the
// texts of all errors of Do: none holds a header, a body, or more of an address
// than its scheme and host.
var (
	// ErrRefused says that AOC does not call this address, now or later, unless
	// the list of allowed hosts or the name's addresses change.
	ErrRefused = errors.New("refused")
	// ErrRedirect says that the host answered with a redirect, which is never followed.
	ErrRedirect = errors.New("redirects are not followed")
	// ErrTooLarge says that the answer exceeds its bounds; no part of it is handed out.
	ErrTooLarge = errors.New("the answer is too large")
)

const (
	defaultTimeout = 10 * time.Second
	defaultMaxBody = 1 << 20
	maxHeader      = 64 << 10 // bytes of an answer's header
)

// methods that may be sent. CONNECT would make a tunnel, TRACE echoes headers.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
}

// Resolver looks names up. The host comes rooted, with a dot at its end, so
// that no search list of the machine turns it into another name.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Config says what may be called and how patiently.
type Config struct {
	// Allow lists the hosts that may be called: "siem.example.com" is that one,
	// "*.example.com" is whatever lies below it by one or more labels, and not
	// itself. ":8443" at the end allows that port in place of 443. A wildcard over
	// a domain where anybody can have a name (a cloud's, a hoster's) allows
	// anybody's host. With an empty list nothing may be called.
	Allow     []string
	Timeout   time.Duration  // of a whole call, answer included; 0 is 10 s
	MaxBody   int64          // bytes of an answer; 0 is 1 MiB
	Roots     *x509.CertPool // who may sign certificates; nil is the system's
	UserAgent string         // unless the request has its own; "" is "AOC"
	Resolver  Resolver       // nil is net.DefaultResolver
	Log       *slog.Logger   // is told when a name leads to an address that must not be called; nil is silent
}

// Client calls the addresses that its Config allows. It is safe for concurrent
// use. It keeps no cookies, knows no proxy and answers no challenge.
type Client struct {
	allow     []pattern
	timeout   time.Duration
	maxBody   int64
	userAgent string
	resolver  Resolver
	log       *slog.Logger
	tls       *tls.Config
	transport *http.Transport

	connect func(ctx context.Context, network, address string) (net.Conn, error)
	exempt  netip.AddrPort // called although it is not public; only this package's tests set it
}

// Request is one call. The client neither changes nor keeps what it holds.
type Request struct {
	Method string // GET, HEAD, POST, PUT, PATCH or DELETE
	URL    string
	Header http.Header
	Body   []byte
}

// Response is a whole answer, whatever its status. A body that the host packed
// (Content-Encoding) is not unpacked.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// New makes a client and calls nothing. It fails, with an audit.InvalidError
// for each, on patterns that are malformed or too wide and on negative bounds.
func New(cfg Config) (*Client, error) {
	c := &Client{
		timeout: cfg.Timeout, maxBody: cfg.MaxBody, userAgent: cfg.UserAgent,
		resolver: cfg.Resolver, log: cfg.Log,
	}
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	allow, err := parsePatterns(cfg.Allow)
	if err != nil {
		return nil, err
	}
	c.allow = allow
	c.connect = (&net.Dialer{ControlContext: c.control}).DialContext
	c.transport = c.newTransport(cfg.Roots)
	return c, nil
}

func (c *Client) setDefaults() error {
	switch {
	case c.timeout < 0:
		return audit.Invalid("timeout", fmt.Sprintf("expected a positive duration, got %s", c.timeout))
	case c.maxBody < 0:
		return audit.Invalid("max_body", fmt.Sprintf("expected a positive number of bytes, got %d", c.maxBody))
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	if c.maxBody == 0 {
		c.maxBody = defaultMaxBody
	}
	if c.userAgent == "" {
		c.userAgent = "AOC"
	}
	if c.resolver == nil {
		c.resolver = net.DefaultResolver
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (c *Client) newTransport(roots *x509.CertPool) *http.Transport {
	// HTTP/1 alone: there a header's bound is a bound on bytes that are read, and
	// a connection carries one call.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, NextProtos: []string{"http/1.1"}}
	return &http.Transport{
		Proxy:                  nil, // a proxy of the environment would do the looking up, unchecked
		DialContext:            c.dial,
		DialTLSContext:         c.dialTLS,
		ResponseHeaderTimeout:  c.timeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // nothing is unpacked, so what is counted is what there is
		// Each call looks its name up and is checked anew, none is sent twice
		// because a kept connection was lost, and net/http has no idle connection
		// whose unasked words it would print in the log.
		DisableKeepAlives: true,
		Protocols:         protocols,
	}
}

// Check says whether an address may be called, as far as that can be told
// without looking its name up. It fails with an audit.InvalidError of the field
// "address".
func (c *Client) Check(address string) error {
	t := c.parse(address)
	if t.fault != "" {
		return audit.Invalid("address", t.fault)
	}
	return nil
}

// Do makes one call, over a connection of its own, and reads the whole answer.
// It follows no redirect and sends nothing twice. Besides ErrRefused,
// ErrRedirect and ErrTooLarge its errors match context.Canceled and
// context.DeadlineExceeded, the latter also when the client's own timeout has
// passed. After an error other than ErrRefused the host may have done what it
// was asked to.
func (c *Client) Do(ctx context.Context, req Request) (Response, error) {
	t := c.parse(req.URL)
	if t.fault != "" {
		return Response{}, fmt.Errorf("call an address: %w: %s", ErrRefused, t.fault)
	}
	answer, err := c.do(ctx, t, req)
	if err != nil {
		return Response{}, fmt.Errorf("call %s: %w", t.origin(), err)
	}
	return answer, nil
}

func (c *Client) do(ctx context.Context, t target, req Request) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	out, err := c.request(ctx, t, req)
	if err != nil {
		return Response{}, err
	}
	// The transport itself, and no http.Client: it never goes on to another
	// address, and its errors do not quote the URL.
	resp, err := c.transport.RoundTrip(out)
	if err != nil {
		return Response{}, c.plain(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read to the end, or is not wanted
	return c.answer(ctx, resp)
}

func (c *Client) request(ctx context.Context, t target, req Request) (*http.Request, error) {
	if !slices.Contains(methods, req.Method) {
		return nil, fmt.Errorf("%w: expected one of the methods %v", ErrRefused, methods)
	}
	out, err := http.NewRequestWithContext(ctx, req.Method, t.url.String(), bytes.NewReader(req.Body))
	if err != nil {
		return nil, fmt.Errorf("%w: no request can be made of it", ErrRefused) // the cause quotes the URL
	}
	if !sendable(req.Header) {
		return nil, fmt.Errorf("%w: a header holds a line break or a zero byte", ErrRefused)
	}
	out.Header = make(http.Header, len(req.Header)+2)
	maps.Copy(out.Header, req.Header)
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", c.userAgent)
	}
	out.Header.Set("Accept-Encoding", "identity")
	return out, nil
}

// sendable looks for what would end a header early. net/http looks too, but
// its error could not be told from one of the host's.
func sendable(header http.Header) bool {
	for name, values := range header {
		for _, s := range append(values[:len(values):len(values)], name) {
			if strings.ContainsAny(s, "\r\n\x00") {
				return false
			}
		}
	}
	return true
}

package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// answer reads a whole answer, or fails.
func (c *Client) answer(ctx context.Context, resp *http.Response) (Response, error) {
	switch {
	case resp.StatusCode < 200: // 101: from here on it would speak something else
		return Response{}, fmt.Errorf("it answered with status %d, which is none to a call", resp.StatusCode)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return Response{}, fmt.Errorf("it answered with status %d: %w", resp.StatusCode, ErrRedirect)
	case resp.ContentLength > c.maxBody && resp.Request.Method != http.MethodHead:
		return Response{}, c.tooLarge()
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBody+1))
	if err == nil {
		err = ctx.Err() // a host may end its answer well while the connection is being given up
	}
	if err != nil {
		return Response{}, c.plain(ctx, err)
	}
	if int64(len(body)) > c.maxBody {
		return Response{}, c.tooLarge()
	}
	return Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

func (c *Client) tooLarge() error {
	return fmt.Errorf("%w: its body has more than %d bytes", ErrTooLarge, c.maxBody)
}

// plain says in words of ours why there is no answer. The causes are not
// quoted: those of net/http hold what the host sent, and a hostile one sends
// back the headers that it got.
func (c *Client) plain(ctx context.Context, err error) error {
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case ctx.Err() != nil || isTimeout(err):
		return fmt.Errorf("no whole answer in time (at most %s): %w", c.timeout, context.DeadlineExceeded)
	case strings.Contains(err.Error(), "response headers exceeded"): // net/http has no type for it
		return fmt.Errorf("%w: its header has more than %d bytes", ErrTooLarge, maxHeader)
	}
	return errors.New(cause(err))
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func cause(err error) string {
	var (
		dns    *net.DNSError
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  *net.OpError
		errno  syscall.Errno
	)
	switch {
	case errors.As(err, &dns):
		return "its name leads to no address that can be used"
	case errors.As(err, &verify):
		return untrusted(verify.Err)
	case errors.As(err, &record):
		return "it does not speak TLS"
	case errors.As(err, &alert) && alert.Op == "remote error": // as crypto/tls marks an alert
		return "it broke TLS off: " + alert.Err.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it hung up before its answer was whole"
	}
	return "its answer is not HTTP over TLS as it should be"
}

func untrusted(err error) string {
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &name):
		return "its certificate is for another name"
	case errors.As(err, &unknown):
		return "its certificate is signed by an authority that is not trusted"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired or is not valid yet"
	}
	return "its certificate is not valid"
}

package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// maxAddresses bounds what a name may resolve to.
const maxAddresses = 64

// refusal is an address that a name leads to and that must not be called. Its
// text tells the class and not the address, which is for the operator's log:
// whoever wrote the name must not learn from it how a network is numbered.
type refusal struct{ class string }

func (r *refusal) Error() string {
	return ErrRefused.Error() + ": its name leads to " + r.class + ", expected public addresses alone"
}

func (r *refusal) Is(target error) bool { return target == ErrRefused }

// dialTLS connects and has the host prove its name. The transport may let a
// dial outlive its call, so it has the timeout too.
func (c *Client) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := c.tls.Clone()
	config.ServerName, _, _ = net.SplitHostPort(address) // dial has seen that it can be split
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("shake hands: %w", err)
	}
	return &hushed{Conn: secure, asked: make(chan struct{})}, nil
}

// hushed is a connection on which the host is not heard before it was asked.
// What comes unasked net/http prints in the process's log, and a hostile host
// could put there the secrets that it was sent.
type hushed struct {
	net.Conn
	once  sync.Once
	asked chan struct{}
}

func (h *hushed) Read(p []byte) (int, error) {
	<-h.asked
	return h.Conn.Read(p)
}

func (h *hushed) Write(p []byte) (int, error) {
	h.once.Do(func() { close(h.asked) })
	return h.Conn.Write(p)
}

func (h *hushed) Close() error {
	err := h.Conn.Close()
	h.once.Do(func() { close(h.asked) }) // who waits to read learns of it
	return err
}

// dial looks the name up once, refuses it if any of its addresses is not
// public, and connects to exactly what was looked at.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("split %q: %w", address, err)
	}
	addrs, err := c.lookUp(ctx, host, port)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i, addr := range addrs {
		conn, err := c.reach(ctx, network, net.JoinHostPort(addr.String(), port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// reach connects to one address within its share of the time that is left, so
// that one which is silent leaves some to those after it.
func (c *Client) reach(ctx context.Context, network, address string, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return c.connect(ctx, network, address)
}

// lookUp resolves a name and refuses all of its addresses for one bad one: a
// name that mixes them is made to be tried until the bad one comes first.
func (c *Client) lookUp(ctx context.Context, host, port string) ([]netip.Addr, error) {
	addrs, err := c.resolver.LookupNetIP(ctx, "ip", host+".")
	if err != nil {
		return nil, fmt.Errorf("look %s up: %w", host, err)
	}
	if len(addrs) == 0 || len(addrs) > maxAddresses {
		return nil, &net.DNSError{Err: fmt.Sprintf("%d addresses", len(addrs)), Name: host}
	}
	for _, addr := range addrs {
		if err := c.admit(ctx, host, addr, port); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// control runs once for each socket, before it connects, and sees the address
// that it connects to. It is the last word: nothing between it and the kernel
// looks a name up.
func (c *Client) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return &refusal{"something that is no address"}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return &refusal{"something that is no address"}
	}
	return c.admit(ctx, "", addr, port)
}

func (c *Client) admit(ctx context.Context, host string, addr netip.Addr, port string) error {
	class := classOf(addr)
	if class == "" || c.exempt.IsValid() && net.JoinHostPort(addr.String(), port) == c.exempt.String() {
		return nil
	}
	c.log.WarnContext(ctx, "outbound call refused",
		slog.String("host", host), slog.String("address", addr.String()), slog.String("class", class))
	return &refusal{class}
}

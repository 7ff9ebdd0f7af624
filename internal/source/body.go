package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	silentTimeout = time.Minute // until the header of an answer, and between two pieces of its body
	slowGrace     = time.Minute // what any body may take
	slowRate      = 16 << 10    // bytes a second on average after that
	maxBlob       = 4 << 30     // bytes of one content blob, unpacked
	maxPage       = 64 << 20    // bytes of one page of a listing or collection
)

var (
	errSlow = errors.New("the answer came too slowly and was given up")
	errLong = errors.New("the answer is too long")
)

// guardedBody ends a body that stops coming or drips. It counts only the time
// spent waiting for the network: a reader that is slow itself, because it
// stores what it reads, does not end a body that is there.
type guardedBody struct {
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	spent  time.Duration
	read   int64
}

func newGuardedBody(body io.ReadCloser, ctx context.Context, cancel context.CancelCauseFunc) *guardedBody {
	return &guardedBody{body: body, ctx: ctx, cancel: cancel}
}

func (g *guardedBody) Read(p []byte) (int, error) {
	left := slowGrace + time.Duration(g.read/slowRate)*time.Second - g.spent
	timer := time.AfterFunc(min(silentTimeout, left), func() { g.cancel(errSlow) })
	began := time.Now()
	n, err := g.body.Read(p)
	timer.Stop()
	g.spent += time.Since(began)
	g.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) && context.Cause(g.ctx) != nil {
		err = context.Cause(g.ctx)
	}
	return n, err
}

func (g *guardedBody) Close() error {
	g.cancel(nil)
	return g.body.Close()
}

// capped reads at most n bytes and fails on more, where io.LimitReader would
// pass off a cut body as a whole one.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		if n, err := c.r.Read(p[:min(1, len(p))]); n == 0 {
			return 0, err
		}
		return 0, errLong
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// bodyError says in words why an answer could not be read to its end.
func bodyError(op string, api API, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: the answer of %s ends in the middle: %w", op, api, err)
	}
	return fmt.Errorf("%s: read the answer of %s: %w", op, api, err)
}

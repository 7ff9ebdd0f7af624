package azfunc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

const (
	// maxExits within quietAfter of each other stop the host.
	maxExits   = 3
	quietAfter = 30 * time.Minute
)

// exits counts the handler's unwanted exits.
type exits struct {
	count int
	last  time.Time
}

// add counts one and says whether the host must stop.
func (e *exits) add(now time.Time) (stop bool) {
	if now.Sub(e.last) > quietAfter {
		e.count = 0
	}
	e.count, e.last = e.count+1, now
	return e.count >= maxExits
}

// supervise keeps the handler running until ctx ends or the host must stop.
func (h *Host) supervise(ctx context.Context) error {
	var unwanted exits
	for {
		code, err := h.runChild(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case code == 0:
			h.log.ErrorContext(ctx, "handler exited with code 0 and will not be started again")
			<-ctx.Done()
			return nil
		case code == ExitRestart:
			h.log.InfoContext(ctx, "handler asked for a restart")
			continue
		}
		h.log.ErrorContext(ctx, "handler exited", "exit_code", code)
		if unwanted.add(time.Now()) {
			return fmt.Errorf("the handler exited %d times (the last time with code %d): the host stops", maxExits, code)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(h.opt.RestartDelay):
		}
	}
}

// runChild starts the handler and returns its exit code when it left, -1 where a
// signal ended it. It is killed without a farewell when ctx ends: the real host
// gives none.
func (h *Host) runChild(ctx context.Context) (code int, err error) {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	cmd, err := h.command(ctx)
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the handler: %w", err)
	}
	h.log.InfoContext(ctx, "handler started", "pid", cmd.Process.Pid, "address", h.address)
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // its error is the exit code, or a reader of the output that failed
	}()
	err = h.awaitAnswer(ctx, exited)
	if err != nil {
		kill()
	}
	<-exited
	if err != nil {
		return 0, err
	}
	for _, w := range []io.Writer{cmd.Stdout, cmd.Stderr} {
		if l, ok := w.(*lines); ok {
			l.flush()
		}
	}
	return cmd.ProcessState.ExitCode(), nil
}

func (h *Host) command(ctx context.Context) (*exec.Cmd, error) {
	root, err := filepath.Abs(h.opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("handler's working directory: %w", err)
	}
	_, port, err := net.SplitHostPort(h.address)
	if err != nil {
		return nil, fmt.Errorf("handler's address: %w", err)
	}
	worker := newGUID()
	cmd := exec.CommandContext(ctx, h.opt.Executable, h.app.settings.arguments...)
	cmd.Dir = root
	cmd.Env = h.opt.Env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)],
		"FUNCTIONS_CUSTOMHANDLER_PORT="+port,
		"FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+worker,
		"FUNCTIONS_HTTPWORKER_PORT="+port,
		"FUNCTIONS_HTTPWORKER_ID="+worker,
		"FUNCTIONS_APP_ROOT_PATH="+root,
	)
	// A grandchild that holds the handler's output open must not hold up the host.
	cmd.WaitDelay = 2 * time.Second
	if h.opt.Output != nil {
		cmd.Stdout, cmd.Stderr = h.opt.Output, h.opt.Output
		return cmd, nil
	}
	cmd.Stdout = &lines{log: func(line string) { h.logLine(slog.LevelInfo, line) }}
	cmd.Stderr = &lines{log: func(line string) { h.logLine(slog.LevelError, line) }}
	return cmd, nil
}

func (h *Host) logLine(level slog.Level, line string) {
	h.log.Log(context.Background(), level, line, "category", "Host.Function.Console")
}

// maxLine is where a line of the handler is cut in two.
const maxLine = 64 << 10

// lines hands on what is written to it line by line.
type lines struct {
	log  func(string)
	mu   sync.Mutex
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 && len(l.rest) < maxLine {
			return len(p), nil
		}
		next := end + 1
		if end < 0 || end > maxLine {
			end, next = maxLine, maxLine
		}
		if line := bytes.TrimRight(l.rest[:end], "\r"); len(line) > 0 {
			l.log(string(line))
		}
		l.rest = append([]byte(nil), l.rest[next:]...)
	}
}

// flush hands on a last line that had no end.
func (l *lines) flush() {
	if len(l.rest) > 0 {
		_, _ = l.Write([]byte("\n")) // which never fails
	}
}

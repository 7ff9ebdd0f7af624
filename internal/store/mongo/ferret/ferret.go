// Package ferret gives tests a server that speaks MongoDB's wire protocol: that
// of $TEST_MONGODB_URI where it is set, else FerretDB v1 on SQLite, built out of
// a module of its own and run as a program of its own. It knows nothing of what
// is tested. FerretDB v1 is slow and loses concurrent updates: it proves
// queries, not speed.
package ferret

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	buildTime = 9 * time.Minute // a cold build takes one or two; go test gives up after ten
	startTime = time.Minute
)

// Given returns $TEST_MONGODB_URI, and whether it is set: a server that keeps
// its atomic updates atomic.
func Given() (uri string, given bool) {
	uri = os.Getenv("TEST_MONGODB_URI")
	return uri, uri != ""
}

// Start returns the URI of a server that lives as long as the test. A server
// that cannot be had fails the test.
func Start(tb testing.TB) (uri string) {
	tb.Helper()
	if uri, given := Given(); given {
		return uri
	}
	program, err := build()
	if err != nil {
		tb.Fatalf("build FerretDB: %v", err)
	}
	uri, stop, err := run(program, tb.TempDir())
	if err != nil {
		tb.Fatalf("start FerretDB: %v", err)
	}
	tb.Cleanup(stop)
	return uri
}

// run starts the program with a folder for its files and returns once it
// listens. The program ends when its standard input does, so even a test that
// is killed leaves none behind.
func run(program, dir string) (uri string, stop func(), _ error) {
	cmd := exec.Command(program, dir)
	var said lockedBuffer
	cmd.Stderr = &said
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = stdin.Close()
		late := time.AfterFunc(startTime, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		_ = cmd.Wait() // how it ends says nothing about the test
	}
	line := make(chan string, 1)
	go func() {
		first, _ := bufio.NewReader(stdout).ReadString('\n')
		line <- strings.TrimSpace(first)
	}()
	select {
	case uri = <-line:
	case <-time.After(startTime):
	}
	if uri == "" {
		stop()
		return "", nil, fmt.Errorf("it does not say where it listens: %s", said.String())
	}
	return uri, stop, nil
}

// build returns the path of the program, which it builds once for each version.
var build = sync.OnceValues(func() (string, error) {
	source, err := sourceDir()
	if err != nil {
		return "", err
	}
	version, err := versionOf(source)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "aoc-ferretdb-"+version)
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	program := filepath.Join(cache, "ferretdb.exe")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	return program, compile(source, program)
})

// compile builds beside the program and then renames, so that whoever finds the
// program finds all of it.
func compile(source, program string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildTime)
	defer cancel()
	fresh := fmt.Sprintf("%s.%d", program, os.Getpid())
	cmd := exec.CommandContext(ctx, "go", "build", "-C", source, "-trimpath", "-tags", "ferretdb_no_postgresql", "-o", fresh, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return os.Rename(fresh, program)
}

// sourceDir finds the program's module from the folder of the package under test.
func sourceDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		source := filepath.Join(dir, "internal", "store", "mongo", "testdata", "ferretdb")
		if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
			return source, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("its module is in no folder above the working directory")
		}
		dir = parent
	}
}

// versionOf hashes all that decides what the program is.
func versionOf(source string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		f, err := os.Open(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		_ = f.Close() // it was only read
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// lockedBuffer keeps what a program says, while it still speaks.
type lockedBuffer struct {
	mu  sync.Mutex
	buf strings.Builder
}

// Write keeps p.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was kept so far.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

package limit

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// answerTime is how long a caller may wait to learn that nobody knows.
const answerTime = 250 * time.Millisecond

// requireShut requires that who comes first learns it in time, and the others at
// once. A machine that is busy with other things gets three tries.
func requireShut(t *testing.T, url string) {
	t.Helper()
	var first, others time.Duration
	for range 3 {
		l, err := Open(Config{RedisURL: url, Scope: t.Name()})
		require.NoError(t, err)
		first = denied(t, l.Quotas())
		start := time.Now()
		for range 100 {
			denied(t, l.Quotas())
		}
		others = time.Since(start)
		require.NoError(t, l.Close())
		if first <= answerTime && others < gateTimeout {
			return
		}
	}
	t.Fatalf("the first caller waited %s, a hundred others %s", first, others)
}

// requireOpens waits for a decision and a ping, for which nothing is done.
func requireOpens(t *testing.T, l *Limits) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := l.Quotas().Take(t.Context(), hourly, "me")
		return err == nil && l.Ping(t.Context()) == nil
	}, 10*gateRest, 5*time.Millisecond)
}

// TestRealOutages has a Redis server that does not do what it should.
func TestRealOutages(t *testing.T) {
	set := func(name, value string) func(context.Context, *redis.Client) error {
		return func(ctx context.Context, admin *redis.Client) error { return admin.ConfigSet(ctx, name, value).Err() }
	}
	for name, outage := range map[string]struct {
		begin, end func(ctx context.Context, admin *redis.Client) error
		says       string
	}{
		"hangs": {
			func(ctx context.Context, admin *redis.Client) error {
				return admin.Do(ctx, "CLIENT", "PAUSE", 3600_000, "ALL").Err()
			},
			nil, "in time",
		},
		"slow script": {
			func(ctx context.Context, admin *redis.Client) error {
				if err := set("busy-reply-threshold", "1")(ctx, admin); err != nil {
					return err
				}
				go func() { admin.Eval(context.WithoutCancel(ctx), "while true do end", nil) }()
				for admin.Ping(ctx).Err() == nil {
				}
				return nil
			},
			func(ctx context.Context, admin *redis.Client) error { return admin.ScriptKill(ctx).Err() }, "BUSY",
		},
		"a replica": {
			func(ctx context.Context, admin *redis.Client) error {
				return admin.ReplicaOf(ctx, "127.0.0.1", "1").Err()
			},
			func(ctx context.Context, admin *redis.Client) error { return admin.ReplicaOf(ctx, "NO", "ONE").Err() }, "READONLY",
		},
		"full": {set("maxmemory", "1"), set("maxmemory", "0"), "OOM"},
		"another password": {
			func(ctx context.Context, admin *redis.Client) error {
				if err := set("requirepass", "hunter3")(ctx, admin); err != nil {
					return err
				}
				return admin.Do(ctx, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err()
			},
			set("requirepass", "hunter2"), "WRONGPASS",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, url := startRedis(t)
			options, err := redis.ParseURL(url)
			require.NoError(t, err)
			options.PoolSize = 2
			admin := redis.NewClient(options)
			defer func() { require.NoError(t, admin.Close()) }()
			log := new(strings.Builder)
			l, err := Open(Config{RedisURL: url, Scope: t.Name(), Log: slog.New(slog.NewTextHandler(log, nil))})
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			requireOpens(t, l)

			require.NoError(t, outage.begin(t.Context(), admin))
			denied(t, l.Quotas())
			require.Error(t, l.Ping(t.Context()))
			requireShut(t, url)
			require.Contains(t, log.String(), outage.says)
			require.NotContains(t, log.String(), "hunter")
			if outage.end == nil { // a paused server obeys nobody
				require.NoError(t, server.Process.Kill())
				_ = server.Wait()
				restartRedis(t, server)
			} else {
				require.NoError(t, outage.end(t.Context(), admin))
			}
			requireOpens(t, l)
		})
	}
}

// restartRedis starts one as it was before.
func restartRedis(t *testing.T, was *exec.Cmd) {
	again := exec.Command(was.Path, was.Args[1:]...)
	require.NoError(t, again.Start())
	t.Cleanup(func() {
		_ = again.Process.Kill()
		_ = again.Wait()
	})
}

// TestRealRedisComesBack has a Redis server that is killed and started again.
func TestRealRedisComesBack(t *testing.T) {
	t.Parallel()
	server, url := startRedis(t)
	l, err := Open(Config{RedisURL: url, Scope: t.Name()})
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	requireOpens(t, l)
	require.NoError(t, server.Process.Kill())
	_ = server.Wait()
	denied(t, l.Quotas())
	requireShut(t, url)
	restartRedis(t, server)
	requireOpens(t, l)
}

// listen has somebody deal with each connection, and returns the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

// blackhole returns an address of this machine where the handshake is never
// answered, as behind a firewall that drops: the queue of a listener is full.
func blackhole(t *testing.T) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 100 {
		conn, err := net.DialTimeout("tcp", address, 50*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the queue is never full")
	return ""
}

// TestNoRedis has addresses where something else is, or nothing.
func TestNoRedis(t *testing.T) {
	swallow := func(conn net.Conn) {
		for buffer := make([]byte, 512); ; {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
		}
	}
	quote := func(conn net.Conn) { // as Redis does with a command that it does not know
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			n, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "*"))
			if err != nil {
				return
			}
			var args []string
			for i := 0; i < 2*n && lines.Scan(); i++ {
				args = append(args, lines.Text())
			}
			fmt.Fprintf(conn, "-ERR unknown command, with args beginning with: %s\r\n", strings.Join(args, " "))
		}
	}
	echo := func(conn net.Conn) {
		for buffer := make([]byte, 512); ; {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			_, _ = conn.Write(buffer[:n])
		}
	}
	for name, url := range map[string]string{
		"nobody listens":        "redis://:hunter2@127.0.0.1:1",
		"never answers":         "redis://:hunter2@" + listen(t, swallow),
		"never answers in TLS":  "rediss://:hunter2@" + listen(t, swallow),
		"drops what it is sent": "redis://:hunter2@" + blackhole(t),
		"drops it in TLS":       "rediss://:hunter2@" + blackhole(t),
		"not on any network":    "redis://:hunter2@192.0.2.1:6379",
		"hangs up":              "redis://:hunter2@" + listen(t, func(conn net.Conn) { _ = conn.Close() }),
		"quotes the password":   "redis://:hunter2@" + listen(t, quote),
		"echoes":                "redis://:hunter2@" + listen(t, echo),
		"a web server": "redis://:hunter2@" + listen(t, func(conn net.Conn) {
			_, _ = conn.Write([]byte("HTTP/1.1 400 hunter2\r\n\r\n"))
			_ = conn.Close()
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := new(strings.Builder)
			l, err := Open(Config{RedisURL: url, Scope: t.Name(), Log: slog.New(slog.NewTextHandler(log, nil))})
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			feed := l.Limiter("reports", 2000, time.Minute)
			require.NoError(t, feed.Wait(t.Context()))
			_, err = l.Quotas().Take(t.Context(), hourly, "me")
			require.ErrorIs(t, err, ErrUnreachable)
			require.NotContains(t, err.Error(), "hunter2")
			err = l.Ping(t.Context())
			require.ErrorIs(t, err, ErrUnreachable)
			requireShut(t, url)
			require.NotContains(t, log.String(), "hunter2")
			require.Equal(t, 2, strings.Count(log.String(), "level=WARN"), "the feeds' limiters and the callers' each tell once: %s", log)
		})
	}
}

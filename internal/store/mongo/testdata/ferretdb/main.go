// Command ferretdb is a server that speaks MongoDB's wire protocol, for tests:
// FerretDB v1 on SQLite. It lives in a module of its own, so that the product's
// go.mod knows nothing of it, and calls nothing outside: no telemetry runs.
//
// Its one argument is the folder for its files. It prints its URI on a line of
// its own once it listens, and ends when its standard input is closed, so that
// it never outlives the test that started it.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	debug.SetGCPercent(800) // it makes much garbage of little data
	f, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Handler:   "sqlite",
		SQLiteURL: "file:" + dir + "/?_pragma=synchronous(off)",
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	go func() { fmt.Println(f.MongoDBURI()) }() // waits until Run listens
	return f.Run(ctx)
}

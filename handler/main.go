// Command aoc is the Admin Operations Center: it collects the audit trails of a
// Microsoft 365 tenant, keeps each record once and as it came, and shows them.
// Without a command it is the custom handler of an Azure Functions app; this
// package is its commands, its settings and the wiring of everything else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"aoc/internal/api"
)

// version is set by the linker.
var version = "dev"

// Exit codes. Under the Functions host 0 would be the last exit ever: the host
// does not start a handler again that left with it, and 200 asks it to.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRestart = 200
)

const help = `aoc collects the audit trails of a Microsoft 365 tenant and shows who did what.

Usage:
  aoc local [--demo | --replay FILE] [--addr HOST:PORT] [--open]
                 run everything on this machine: collector, store, API and page
  aoc check      sign in, try every feed, and say what is missing
  aoc coverage   show of each feed and hour whether all of it is here
  aoc renormalize | dedupe | retention
                 look after what is stored (each takes --dry-run and --help)
  aoc            serve the Azure Functions host (it starts this; people do not)
  aoc version    say which version this is

A first look, with a made-up company and no account anywhere:
  aoc local --demo --open

Your own tenant: set TENANT_ID, CLIENT_ID and CLIENT_SECRET (or sign in with an
Azure identity), in the environment or in local.settings.json, then:
  aoc local

"aoc local --help" tells more. Settings are listed in README.md.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program, and returns its exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	var err error
	switch command {
	case "":
		return serve(ctx, getenv, stdout, stderr)
	case "local":
		err = local(ctx, args, getenv, stdout, stderr)
	case "version":
		v := versionOf()
		fmt.Fprintf(stdout, "aoc %s (commit %s, %s)\n", v.Version, v.Commit, v.Go)
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, help)
	default:
		for _, c := range upkeeps {
			if c.name == command {
				return exitCode(c.start(ctx, args, getenv, stdout, stderr), stderr)
			}
		}
		fmt.Fprintf(stderr, "aoc: there is no command %q\n\n%s", command, help)
		return exitUsage
	}
	return exitCode(err, stderr)
}

// exitCode tells of an error and returns the code for it.
func exitCode(err error, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, new(usageError)):
		fmt.Fprintln(stderr, "aoc:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "aoc:", err)
	return exitFailed
}

// usageError is a mistake in how the program was called or set up.
type usageError struct{ error }

func versionOf() api.Version {
	v := api.Version{Version: version, Commit: "unknown", Go: goVersion()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	return v
}

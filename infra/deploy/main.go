// Command deploy prepares AOC for Azure. It is plain Go with the standard library
// alone, so that it starts at once and runs alike on every OS; it must not import
// what the program itself is made of.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

const usage = `Usage: go run ./infra/deploy package [flags]

Makes, below dist:
  api/     what the Functions host wants: host.json, the linux/amd64 program, one
           <name>/function.json a function
  web/     the page, without its Go files
  aoc.zip  api/ zipped, the program executable whatever this computer is

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "deploy:", err)
		os.Exit(1)
	}
}

// run is the program; stdout gets its report, stderr the help.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var p packaging
	flags := flag.NewFlagSet("deploy package", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&p.root, "root", ".", "the repository's `folder`")
	flags.StringVar(&p.dist, "dist", "dist", "the `folder` to write to, below the repository's unless absolute")
	flags.StringVar(&p.version, "version", "dev", "the `version` that the program says of itself")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	if len(args) == 0 || args[0] != "package" {
		flags.Usage()
		if len(args) > 0 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help" || args[0] == "help") {
			return nil
		}
		return errors.New("expected the command package")
	}
	if err := flags.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return p.run(ctx, stdout)
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"aoc/internal/audit"
	"aoc/internal/ingest"
)

const upkeepHelp = `Usage: aoc %s [flags]

%s

  --demo        on the demo's store instead of your own tenant's
  --data DIR    where the stores are kept (default data)
%s
Settings are read as by "aoc local". It runs beside an AOC that is running.
`

// errCheckFailed ends a preflight that found something to be done.
var errCheckFailed = errors.New("collection cannot work as it is: see above")

// upkeep is a command over the store or the tenant, without a server.
type upkeep struct {
	name, about, flags string
	run                func(ctx context.Context, u *upkeepRun) error
}

// upkeepRun is one call of such a command.
type upkeepRun struct {
	*app
	config  Config
	options audit.JobOptions
	hours   int
	out     io.Writer
}

const jobFlags = `  --since TIME  only events at or after it (RFC 3339 or a date)
  --limit N     events at most
  --dry-run     say what would change, and change nothing
`

var upkeeps = []upkeep{
	{"check", "Sign in, try every feed, and say in plain words what is missing. Exit code 1 if\nsomething is.", "", runCheck},
	{"coverage", "Show of each feed and hour whether all of it is here.", "  --hours N     how far back (default 48, at most 744)\n", runCoverage},
	{"renormalize", "Run normalisation and names again over the raw records, after a change of\nmappings.yml or a new version. What differs is changed, nothing else.", jobFlags, runJob(ingest.KindRenormalize)},
	{"dedupe", "Find and merge events that are one record, keeping their tags.", jobFlags, runJob(ingest.KindDedupe)},
	{"retention", "Delete what is older than RETENTION_DAYS, or than --since.", jobFlags, runJob(ingest.KindRetention)},
}

// start reads flags and settings, opens the store and runs the command.
func (c upkeep) start(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	u := &upkeepRun{out: stdout}
	var o localOptions
	var since string
	flags := flag.NewFlagSet("aoc "+c.name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintf(stderr, upkeepHelp, c.name, c.about, c.flags) }
	flags.BoolVar(&o.demo, "demo", false, "")
	flags.StringVar(&o.data, "data", "data", "")
	if strings.Contains(c.flags, "--dry-run") {
		flags.StringVar(&since, "since", "", "")
		flags.IntVar(&u.options.Limit, "limit", 0, "")
		flags.BoolVar(&u.options.DryRun, "dry-run", false, "")
	}
	if strings.Contains(c.flags, "--hours") {
		flags.IntVar(&u.hours, "hours", 48, "")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return usageError{err}
	}
	var err error
	switch {
	case flags.NArg() > 0:
		return usageError{fmt.Errorf("%s takes no %q", c.name, flags.Arg(0))}
	case u.options.Limit < 0:
		return usageError{fmt.Errorf("--limit: expected a whole number from 0, got %d", u.options.Limit)}
	case u.hours < 0 || u.hours > 744:
		return usageError{fmt.Errorf("--hours: expected 1 to 744, got %d", u.hours)}
	}
	if u.options.Since, err = flagTime(since); err != nil {
		return usageError{err}
	}
	if err := u.open(ctx, o, getenv, stderr); err != nil {
		return err
	}
	defer u.close()
	return c.run(ctx, u)
}

func flagTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("--since: expected a time such as 2026-03-31T08:00:00Z, or a date, got %q", text)
}

func (u *upkeepRun) open(ctx context.Context, o localOptions, getenv func(string) string, stderr io.Writer) error {
	o.people, o.beside = demoPeople, true
	env, err := o.environment(ctx, getenv, io.Discard)
	if err != nil {
		return err
	}
	delete(env.over, smallHostEnv)        // it is not alone: it runs beside
	env.fallback("AUTH_ENABLED", "false") // it serves nobody
	var mistakes error
	if u.config, mistakes = readConfig(env.get); mistakes != nil {
		return usageError{fmt.Errorf("the settings have mistakes:\n%w", mistakes)}
	}
	u.app, err = wire(u.config, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: max(u.config.LogLevel, slog.LevelWarn)})))
	return err
}

// runCheck prints the preflight.
func runCheck(ctx context.Context, u *upkeepRun) error {
	failed := false
	for _, c := range u.preflight(u.config).Check(ctx, u.config.Sources...) {
		fmt.Fprintf(u.out, "%-8s %s: %s\n", c.State, c.Name, c.Found)
		if c.Advice != "" {
			fmt.Fprintf(u.out, "         → %s\n", strings.ReplaceAll(c.Advice, "\n", "\n           "))
		}
		failed = failed || c.State == audit.CheckFailed
	}
	if failed {
		return errCheckFailed
	}
	return nil
}

// marks are the states of an hour in one letter, as the legend says.
var marks = map[audit.WindowState]string{audit.Settled: "#", audit.Kept: "#", audit.Listed: "~", audit.Fetched: "~", audit.Planned: ".", audit.Lost: "X"}

// runCoverage prints a row for each feed and day, a letter for each hour.
func runCoverage(ctx context.Context, u *upkeepRun) error {
	end := audit.WindowOf(time.Now()).Add(audit.WindowLength)
	start := end.Add(-time.Duration(max(u.hours, 1)) * time.Hour)
	rows, err := u.store.Windows(ctx, audit.LedgerQuery{Sources: u.config.Sources, Start: start, End: end, Limit: 744 * len(u.config.Sources)})
	if err != nil {
		return err
	}
	hours := map[audit.Source]map[time.Time]audit.Window{}
	for _, row := range rows {
		if hours[row.Source] == nil {
			hours[row.Source] = map[time.Time]audit.Window{}
		}
		hours[row.Source][row.Start] = row
	}
	fmt.Fprintln(u.out, "# complete   s stored, too old to settle   ~ being read   . planned   X lost   - never planned   (hours of UTC, 00 to 23)")
	table := tabwriter.NewWriter(u.out, 0, 4, 2, ' ', 0)
	for _, source := range u.config.Sources {
		for day := start.Truncate(24 * time.Hour); day.Before(end); day = day.Add(24 * time.Hour) {
			line, records := dayOf(hours[source], day, start, end)
			fmt.Fprintf(table, "%s\t%s\t%s\t%d records\n", source, day.Format(time.DateOnly), line, records)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, row := range rows {
		if row.State == audit.Lost {
			fmt.Fprintf(u.out, "lost: %s %s: %s\n", row.Source, row.Start.Format(time.RFC3339), row.Reason)
		}
	}
	return nil
}

func dayOf(hours map[time.Time]audit.Window, day, start, end time.Time) (line string, records int) {
	for at := day; at.Before(day.Add(24 * time.Hour)); at = at.Add(audit.WindowLength) {
		row, planned := hours[at]
		mark := marks[row.State]
		switch {
		case at.Before(start) || !at.Before(end):
			mark = " "
		case !planned:
			mark = "-"
		case row.State == audit.Kept && row.NextAt.IsZero():
			mark = "s"
		}
		line += mark
		records += row.Counts.Read - row.Counts.Quarantined
	}
	return line, records
}

// runJob runs a job here to its end, telling how it goes.
func runJob(kind string) func(ctx context.Context, u *upkeepRun) error {
	return func(ctx context.Context, u *upkeepRun) error {
		if kind == ingest.KindRetention && u.options.Since.IsZero() {
			if u.config.Retention == 0 {
				return usageError{errors.New("retention: set RETENTION_DAYS, or say --since")}
			}
			u.options.Since = time.Now().UTC().Add(-u.config.Retention)
		}
		job, err := u.planner.StartJob(ctx, kind, u.options)
		if err != nil {
			return usageError{err}
		}
		told := time.Now()
		done := make(chan error, 1)
		go func() { done <- u.worker.RunJob(ctx, job.ID) }()
		for {
			select {
			case <-time.After(200 * time.Millisecond):
			case err := <-done:
				if err != nil {
					return err
				}
				if job, err = u.store.Job(ctx, job.ID); err != nil {
					return err
				}
				if job.State == audit.JobRunning && job.Error == "" {
					go func() { // another AOC has it, or its time was up
						time.Sleep(500 * time.Millisecond)
						done <- u.worker.RunJob(ctx, job.ID)
					}()
					continue
				}
				return u.jobEnd(job)
			}
			if now, err := u.store.Job(ctx, job.ID); err == nil && time.Since(told) > 2*time.Second {
				told = time.Now()
				fmt.Fprintf(u.out, "%d looked at, %d changed …\n", now.Progress.Scanned, now.Progress.Changed)
			}
		}
	}
}

func (u *upkeepRun) jobEnd(job audit.Job) error {
	if job.Error != "" {
		return fmt.Errorf("%s stopped, and a running AOC goes on with it: %s", job.Kind, job.Error)
	}
	verb := "changed"
	if job.Options.DryRun {
		verb = "would be changed"
	}
	fmt.Fprintf(u.out, "%s: %d looked at, %d %s.\n", job.Kind, job.Progress.Scanned, job.Progress.Changed, verb)
	for _, note := range job.Notes {
		fmt.Fprintln(u.out, " ", note)
	}
	return nil
}

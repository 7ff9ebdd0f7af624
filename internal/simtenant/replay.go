package simtenant

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Bounds of a file to replay, in bytes.
const (
	maxReplayLine = 16 << 20
	maxReplay     = 1 << 30
)

// ReplayReport says what the lines of a file became.
type ReplayReport struct {
	Lines    int            // that were not empty
	Feeds    map[string]int // records by the feed that serves them
	Strays   int            // of Audit.General: objects that no feed knows, for whoever reads them to refuse
	Skipped  int            // lines that are no JSON object
	Reasons  []string       // why, for the first few of both
	Unplaced int            // of Audit.General: records of no content type that is known
	TooOld   int            // Graph records that retention hides
	Shifted  int            // days by which Graph records were moved
	Oldest   time.Time      // of the Graph records that can be read, after the move; zero: there are none
}

// maxReasons is how many reasons a report gives.
const maxReasons = 5

// String says it for people.
func (r ReplayReport) String() string {
	var parts []string
	for _, feed := range Feeds() {
		if n := r.Feeds[feed]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, feed))
		}
	}
	text := fmt.Sprintf("%d lines: %s", r.Lines, strings.Join(parts, ", "))
	if r.Unplaced > 0 {
		text += fmt.Sprintf("; %d of no known content type are in %s", r.Unplaced, AuditGeneral)
	}
	if r.TooOld > 0 {
		text += fmt.Sprintf("; %d are older than Graph keeps", r.TooOld)
	}
	if r.Strays > 0 {
		text += fmt.Sprintf("; %d are no records of a feed and in %s all the same", r.Strays, AuditGeneral)
	}
	if r.Skipped > 0 {
		text += fmt.Sprintf("; %d not served", r.Skipped)
	}
	if len(r.Reasons) > 0 {
		text += ": " + strings.Join(r.Reasons, "; ")
	}
	return text
}

// Replayed returns what the lines of the replayed file became; ok is false for
// a tenant with made records.
func (t *Tenant) Replayed() (report ReplayReport, ok bool) {
	if t.replay == nil {
		return ReplayReport{}, false
	}
	return t.replay.report, true
}

// replay is the records of a file as an archive.
type replay struct {
	report ReplayReport
	feeds  map[string][]record // as published
}

// openReplay reads a file of records. Records of the Management API are
// published two slots before now, so that a blob holds them at once; their
// bytes are untouched. Records of Graph are moved by whole days, to the last
// day on which none of them lies in the future.
func openReplay(path string, now time.Time, slot time.Duration, keeps func(feed string) time.Duration) (*replay, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	defer f.Close()
	p := &replay{report: ReplayReport{Feeds: map[string]int{}}, feeds: map[string][]record{}}
	published := now.Add(-2 * slot)
	if err := p.read(f, published); err != nil {
		return nil, fmt.Errorf("replay %s: %w", path, err)
	}
	if len(p.report.Feeds) == 0 {
		return nil, fmt.Errorf("replay %s: none of its %d lines is a record of a known feed: %s",
			path, p.report.Lines, strings.Join(p.report.Reasons, "; "))
	}
	p.shift(now, keeps)
	for _, list := range p.feeds {
		slices.SortStableFunc(list, func(a, b record) int { return a.Published.Compare(b.Published) })
	}
	return p, nil
}

// read takes every line of a file, packed or not.
func (p *replay) read(f io.Reader, published time.Time) error {
	in := bufio.NewReaderSize(f, 64<<10)
	if magic, err := in.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		zip, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		defer zip.Close()
		in = bufio.NewReaderSize(zip, 64<<10)
	}
	for number, total := 1, 0; ; number++ {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if total += len(line); total > maxReplay {
			return fmt.Errorf("line %d: the file is larger than %d MiB unpacked", number, maxReplay>>20)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 {
			p.take(number, text, published)
		}
		if err != nil {
			return nil
		}
	}
}

// readLine returns a line of its own memory, io.EOF with the last one.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxReplayLine {
			return nil, fmt.Errorf("longer than %d MiB", maxReplayLine>>20)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (p *replay) take(number int, line []byte, published time.Time) {
	p.report.Lines++
	r, placed, err := classify(line)
	if err != nil {
		if len(p.report.Reasons) < maxReasons {
			p.report.Reasons = append(p.report.Reasons, fmt.Sprintf("line %d: %v", number, err))
		}
		if r.Body == nil { // in a list of records it would break its neighbours
			p.report.Skipped++
			return
		}
		p.report.Strays++
	}
	if slices.Contains(contentTypes, r.Feed) {
		r.Published = published
	}
	if !placed && err == nil {
		p.report.Unplaced++
	}
	p.report.Feeds[r.Feed]++
	p.feeds[r.Feed] = append(p.feeds[r.Feed], r)
}

// shift moves the records of Graph by whole days to the present.
func (p *replay) shift(now time.Time, keeps func(feed string) time.Duration) {
	var newest time.Time
	for _, feed := range graphFeeds {
		for _, r := range p.feeds[feed] {
			newest = later(newest, r.At)
		}
	}
	if newest.IsZero() {
		return
	}
	const day = 24 * time.Hour
	days := int(now.Truncate(day).Sub(newest.Truncate(day)) / day)
	if newest.AddDate(0, 0, days).After(now) {
		days-- // it would lie in the future, where nobody looks for it
	}
	p.report.Shifted = days
	for _, feed := range graphFeeds {
		for i := range p.feeds[feed] {
			r := &p.feeds[feed][i]
			r.Body = shiftTimes(r.Body, days)
			r.At = r.At.AddDate(0, 0, days)
			r.Published = r.At
			switch {
			case feed != IntuneAudits && now.Sub(r.At) > keeps(feed):
				p.report.TooOld++
			case p.report.Oldest.IsZero() || r.At.Before(p.report.Oldest):
				p.report.Oldest = r.At
			}
		}
	}
}

func (p *replay) published(feed string, from, to time.Time) []record {
	list := p.feeds[feed]
	at := func(r record, when time.Time) int { return r.Published.Compare(when) }
	lo, _ := slices.BinarySearchFunc(list, from, at)
	hi, _ := slices.BinarySearchFunc(list, to, at)
	return slices.Clone(list[lo:max(lo, hi)])
}

// occurred needs no other order: records of Graph are published as they happen.
func (p *replay) occurred(feed string, from, to, now time.Time) []record {
	return p.published(feed, from, earlier(to, now.Add(1)))
}

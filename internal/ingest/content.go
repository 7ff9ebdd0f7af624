package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"aoc/internal/audit"
	"aoc/internal/normalize"
)

const (
	// fetchers read blobs at a time, so that latency does not bound throughput;
	// the feed's limiter does.
	fetchers = 8
	// keptFor is how long a blob can be read where the feed did not say: the
	// documentation's seven days.
	keptFor = 7 * 24 * time.Hour
	// saveRows is how many blobs' outcomes are written together.
	saveRows = 200
)

// content is one reading of the blobs that are due in a stretch of the ledger.
type content struct {
	*Worker
	feed  Feed
	lease audit.Lease
	rows  []audit.BlobRow
	batch *batch
	done  []int // rows read to their end, whose records are in the batch
	out   []int // rows whose outcome is to be written
	saved time.Time
}

// parcel is a part of a blob on its way from its fetcher to the store.
type parcel struct {
	row     int
	stored  []audit.Stored
	rejects []audit.Quarantined
	last    bool
	err     error // of the feed, with last
}

// fetchDue reads the blobs of the item that are due and writes each one's
// outcome once its records are durable. An error means that a store failed or
// that the run was broken off.
func (w *Worker) fetchDue(ctx context.Context, feed Feed, lease audit.Lease, rows []audit.BlobRow) error {
	hours := make([]time.Time, len(rows))
	for i := range rows {
		hours[i] = audit.WindowOf(rows[i].Created)
	}
	c := &content{Worker: w, feed: feed, lease: lease, rows: rows, batch: w.newBatch(feed.Source(), hours), saved: time.Now()}
	reading, stop := context.WithCancel(ctx)
	parcels, enough := c.fetchAll(reading)
	defer func() {
		stop()
		for range parcels { // let fetchers leave that stand at the channel
			continue
		}
	}()
	for p := range parcels {
		if stopped(ctx) {
			return ctx.Err()
		}
		if err := c.take(ctx, p); err != nil {
			return err
		}
		if _, told := retryTime(p.err); told {
			enough() // the API wants quiet; what was not begun stays due
		}
	}
	if stopped(ctx) {
		return ctx.Err()
	}
	return c.save(ctx)
}

// fetchAll reads the rows, several at a time, in their order, until all are
// read, enough is called or the run has taken its time.
func (c *content) fetchAll(ctx context.Context) (_ <-chan parcel, enough func()) {
	parcels, next := make(chan parcel), make(chan int)
	begin, enough := context.WithTimeout(ctx, softRunTime)
	go func() {
		defer enough()
		defer close(next)
		for i := range c.rows {
			select {
			case next <- i:
			case <-begin.Done():
				return
			}
		}
	}()
	var working sync.WaitGroup
	for range min(fetchers, len(c.rows)) {
		working.Go(func() {
			for i := range next {
				c.fetch(ctx, i, parcels)
			}
		})
	}
	go func() {
		working.Wait()
		close(parcels)
	}()
	return parcels, enough
}

// fetch reads one blob and hands it on in parcels of a batch's size.
func (c *content) fetch(ctx context.Context, row int, to chan<- parcel) {
	send := func(p parcel) bool {
		select {
		case to <- p:
			return true
		case <-ctx.Done():
			return false
		}
	}
	p, size := parcel{row: row}, 0
	for rec, err := range c.feed.Fetch(ctx, c.rows[row].Blob) {
		if err != nil {
			p.err = fmt.Errorf(blobFailure+"%s: %w", c.rows[row].ID, err)
			break
		}
		stored, err := c.Normalizer.Normalize(rec)
		if err != nil {
			p.rejects = append(p.rejects, normalize.Quarantine(rec, err, time.Now().UTC()))
		} else {
			p.stored = append(p.stored, stored)
		}
		if size += len(rec.Raw); len(p.stored)+len(p.rejects) >= batchRecords || size >= batchBytes {
			if !send(p) {
				return
			}
			p, size = parcel{row: row}, 0
		}
	}
	p.last = true
	send(p)
}

// take puts a parcel into the batch, and stores the batch when it is full.
func (c *content) take(ctx context.Context, p parcel) error {
	for _, s := range p.stored {
		c.batch.add(p.row, s)
	}
	for _, q := range p.rejects {
		c.batch.reject(p.row, q)
	}
	if p.last && p.err != nil {
		c.failed(p.row, p.err)
	} else if p.last {
		c.done = append(c.done, p.row)
	}
	if !c.batch.full() && len(c.done)+len(c.out) < saveRows && time.Since(c.saved) < saveEvery {
		return nil
	}
	return c.save(ctx)
}

// save makes the batch durable, and only then says so of its blobs.
func (c *content) save(ctx context.Context) error {
	if err := c.batch.flush(ctx); err != nil {
		return err
	}
	now := time.Now().UTC()
	for _, i := range c.done {
		row := &c.rows[i]
		row.State, row.Error, row.Attempts, row.StoredAt = audit.Kept, "", 0, now
		row.NextAt, row.HeldTill = time.Time{}, time.Time{}
		row.Counts, row.Lags = c.batch.owners[i].Counts, c.batch.owners[i].lags
		row.Counts.Blobs = 1
		c.out = append(c.out, i)
	}
	c.done, c.saved = nil, time.Now()
	if len(c.out) == 0 {
		return nil
	}
	rows := make([]audit.BlobRow, len(c.out))
	for i, n := range c.out {
		rows[i] = c.rows[n]
	}
	c.out = nil
	return c.Store.SaveBlobs(ctx, c.lease, rows)
}

// failed puts a blob's failure into its row: it is tried again by itself until
// the feed forgets it, and is a gap with a name then.
func (c *content) failed(i int, err error) {
	row, now := &c.rows[i], time.Now().UTC()
	row.Attempts++
	row.FailedAt, row.Error, row.HeldTill = now, words(err), time.Time{}
	expires := row.Expires
	if expires.IsZero() {
		expires = row.Created.Add(keptFor)
	}
	var gone interface{ Gone() bool }
	if !now.Before(expires) || errors.As(err, &gone) && gone.Gone() && row.Attempts >= goneAttempts {
		row.State, row.NextAt = audit.Lost, time.Time{}
		row.Reason = fmt.Sprintf("blob %s could not be read before the feed forgot it: %s", row.ID, err)
	} else {
		row.NextAt = earlier(comeBack(err, now, row.Attempts), expires)
	}
	c.out = append(c.out, i)
}

// blobFailure begins the words for a blob that could not be read.
const blobFailure = "read blob "

// goneAttempts is how often a feed must say that a blob is not there before it
// is believed: it is inconsistent in recent minutes.
const goneAttempts = 5

// account puts what is known of an hour's blobs into its window: counts, and
// whether any is still to be read or lost.
func account(row *audit.Window, blobs []audit.BlobRow) {
	if len(blobs) == 0 {
		return
	}
	var counts audit.Counts
	var lags audit.Lags
	late, lost := 0, ""
	var waiting *audit.BlobRow
	for i := range blobs {
		b := &blobs[i]
		counts, lags = counts.Add(b.Counts), lags.Plus(b.Lags)
		switch {
		case b.State == audit.Lost:
			lost = cmp.Or(lost, b.Reason)
		case b.State == audit.Listed && (waiting == nil || b.Attempts > waiting.Attempts):
			waiting = b
		case b.State == audit.Kept && b.Late:
			late += b.Counts.Read
		}
	}
	row.Counts, row.Lags, row.Late = counts, lags, late
	row.Counts.Blobs = len(blobs)
	stateOf(row, waiting, lost)
}

// stateOf settles what a listed window is while blobs of it are still to be
// read, or were lost.
func stateOf(row *audit.Window, waiting *audit.BlobRow, lost string) {
	// What a window says of a failure is of its listing, or of one of its blobs.
	listedWell := row.Attempts == 0 || strings.HasPrefix(row.Error, blobFailure)
	switch {
	case waiting != nil && (row.State == audit.Kept || row.State == audit.Settled):
		row.State = audit.Listed
	case waiting == nil && row.State == audit.Listed && row.NextAt.IsZero():
		row.State = audit.Settled
	case waiting == nil && row.State == audit.Listed:
		row.State = audit.Kept
	}
	if waiting == nil && lost != "" {
		row.State, row.Reason = audit.Lost, lost
	}
	if !listedWell {
		return
	}
	row.Attempts, row.Error = 0, ""
	if waiting != nil && waiting.Attempts > 0 {
		row.Attempts, row.Error, row.FailedAt = waiting.Attempts, waiting.Error, waiting.FailedAt
	}
}

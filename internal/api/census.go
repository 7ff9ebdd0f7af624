package api

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"aoc/internal/audit"
	"aoc/internal/auth"
)

const (
	scrapeTime  = 5 * time.Second  // for one scrape
	censusFresh = 10 * time.Second // scrapes within it share one look at the store
	instanceOld = 5 * time.Minute  // an instance that has not told for longer is gone
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// What the census tells, besides what this process counts.
var (
	feedLag       = describe("aoc_feed_lag_seconds", "Now less the end of the newest window that was read.", "source")
	feedSuccess   = describe("aoc_feed_last_success_timestamp_seconds", "When a window was last read well.", "source")
	feedRecords   = describe("aoc_feed_records_total", "New records stored.", "source")
	feedWindows   = describe("aoc_feed_windows", "Windows of the ledger by state.", "source", "state")
	buildInfo     = describe("aoc_build_info", "1, with the version that serves.", "version", "commit", "go")
	instances     = describe("aoc_instances", "Processes that told of themselves in the last five minutes.")
	instanceTold  = describe("aoc_instance_told_timestamp_seconds", "When a process that plans or collects last told of itself.", "instance")
	limiterCalls  = describe("aoc_limiter_calls_total", "Calls to an API that a process let begin.", "api", "instance")
	limiterWaited = describe("aoc_limiter_waited_seconds_total", "How long calls to an API were held back.", "api", "instance")
	limiterHits   = describe("aoc_limiter_throttles_total", "Refusals by an API for too many calls.", "api", "instance")
	limiterShare  = describe("aoc_limiter_share", "The part of an API's bound that a process uses now.", "api", "instance")
	limiterAlone  = describe("aoc_limiter_alone", "1 where a process does not share its bound with the others.", "api", "instance")
	signIns       = describe("aoc_sign_ins_accepted_total", "Tokens that were taken.")
	signInNo      = describe("aoc_sign_in_refusals_total", "Tokens that were not taken, by why.", "class")
	keyFetches    = describe("aoc_signing_key_fetches_total", "How often Microsoft's signing keys were asked for.")
	keyFailures   = describe("aoc_signing_key_failures_total", "How often that failed.")
	scrapeErrors  = describe("aoc_scrape_errors_total", "Looks at the store for the metrics that failed.")
)

var censusDescs = []*prometheus.Desc{
	feedLag, feedSuccess, feedRecords, feedWindows, buildInfo, instances, instanceTold, limiterCalls, limiterWaited, limiterHits,
	limiterShare, limiterAlone, signIns, signInNo, keyFetches, keyFailures, scrapeErrors,
}

// signInStats is what a Callers that counts tells.
type signInStats interface{ Stats() auth.Stats }

// census collects what the store knows of the feeds and of the processes that
// read them, which share no memory with this one. A store that cannot be read
// costs its series and no others.
type census struct {
	api *API

	last kept[sighting]
}

// sighting is what one look at the store found.
type sighting struct {
	feeds  []audit.FeedState
	told   []audit.Instance
	failed int // looks so far, of those that failed
}

// Describe implements prometheus.Collector.
func (c *census) Describe(out chan<- *prometheus.Desc) {
	for _, d := range censusDescs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *census) Collect(out chan<- prometheus.Metric) {
	seen := c.last.get(censusFresh, c.look)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	v := c.api.Version
	gauge(buildInfo, 1, v.Version, v.Commit, v.Go)
	counter(scrapeErrors, float64(seen.failed))
	now := time.Now()
	for _, f := range seen.feeds {
		name := string(f.Source)
		if !f.CaughtUpTo.IsZero() {
			gauge(feedLag, max(0, now.Sub(f.CaughtUpTo).Seconds()), name)
		}
		if !f.LastSuccess.IsZero() {
			gauge(feedSuccess, float64(f.LastSuccess.Unix()), name)
		}
		counter(feedRecords, float64(f.Counts.New), name)
		for state, n := range map[string]int{"total": f.Windows, "waiting": f.Waiting, "failing": f.Failing, "lost": f.Lost} {
			gauge(feedWindows, float64(n), name, state)
		}
	}
	gauge(instances, float64(len(seen.told)))
	for _, i := range seen.told {
		gauge(instanceTold, float64(i.At.Unix()), i.ID)
		for _, l := range i.Limiters {
			counter(limiterCalls, float64(l.Calls), l.Name, i.ID)
			counter(limiterWaited, l.Waited.Seconds(), l.Name, i.ID)
			counter(limiterHits, float64(l.Throttles), l.Name, i.ID)
			gauge(limiterShare, l.Share, l.Name, i.ID)
			gauge(limiterAlone, flag(l.Alone), l.Name, i.ID)
		}
	}
	if counts, ok := c.api.Callers.(signInStats); ok {
		s := counts.Stats()
		counter(signIns, float64(s.Accepted))
		for class, n := range s.Refused {
			counter(signInNo, float64(n), class)
		}
		counter(keyFetches, float64(s.KeyFetches))
		counter(keyFailures, float64(s.KeyFailures))
	}
}

func flag(set bool) float64 {
	if set {
		return 1
	}
	return 0
}

// look reads the store. What cannot be read is missing, and counted.
func (c *census) look() sighting {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime-time.Second)
	defer cancel()
	feeds, err := c.api.ledgerFeeds(ctx)
	told, toldErr := c.api.Instances.Instances(ctx, time.Now().UTC().Add(-instanceOld))
	seen := sighting{feeds: feeds, told: told, failed: c.last.found.failed}
	for _, e := range []error{err, toldErr} {
		if e != nil {
			seen.failed++
			c.api.Log.WarnContext(ctx, "the store cannot be read for the metrics", "error", e)
		}
	}
	return seen
}

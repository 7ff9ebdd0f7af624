package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"aoc/internal/audit"
)

// errMetrics answers addresses that METRICS_ALLOWED_IPS does not name.
var errMetrics = errors.New("this address may not read the metrics: name it in METRICS_ALLOWED_IPS")

// meters are what this process counts for /metrics. No label is a word of a
// caller or of a record: their number is bounded by the route table and the
// feeds.
type meters struct {
	registry  *prometheus.Registry
	handler   http.Handler
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	store     *prometheus.HistogramVec
	failures  *prometheus.CounterVec // of the store
	refused   *prometheus.CounterVec // by quota
	unlimited prometheus.Counter
	unlogged  prometheus.Counter
}

var seconds30 = []float64{.001, .005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// metrics returns the meters of this API, made at the first call.
func (a *API) metrics() *meters {
	a.once.Do(func() { a.meters = newMeters(a) })
	return a.meters
}

func newMeters(a *API) *meters {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &meters{
		registry:  prometheus.NewRegistry(),
		requests:  counter("aoc_requests_total", "Requests by route, method and status.", "route", "method", "status"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "aoc_request_seconds", Help: "How long answers took to make.", Buckets: seconds30}, []string{"route", "method"}),
		store:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "aoc_store_seconds", Help: "How long the store took, by operation, as the API sees it.", Buckets: seconds30}, []string{"operation"}),
		failures:  counter("aoc_store_failures_total", "Operations of the store that failed.", "operation"),
		refused:   counter("aoc_quota_refusals_total", "Requests refused because their caller had made too many.", "quota"),
		unlimited: prometheus.NewCounter(prometheus.CounterOpts{Name: "aoc_quota_failures_total", Help: "Requests refused because their quota could not be looked up."}),
		unlogged:  prometheus.NewCounter(prometheus.CounterOpts{Name: "aoc_own_log_failures_total", Help: "Acts that AOC's own audit log could not keep."}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.store, m.failures, m.refused, m.unlimited, m.unlogged,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &census{api: a})
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 2, Timeout: scrapeTime})
	return m
}

// served counts an answer. Routes are told by their patterns: paths would make
// as many series as there are events.
func (m *meters) served(route Route, status int, took time.Duration) {
	path, method := route.Path, route.Method
	if path == "" {
		path, method = "other", "other"
	}
	if status == 0 {
		status = http.StatusOK
	}
	m.requests.WithLabelValues(path, method, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(path, method).Observe(took.Seconds())
}

// timed measures one operation of the store.
func timed[T any](m *meters, operation string, do func() (T, error)) (T, error) {
	began := time.Now()
	v, err := do()
	m.store.WithLabelValues(operation).Observe(time.Since(began).Seconds())
	if err != nil && !errors.Is(err, audit.ErrNotFound) && !errors.Is(err, audit.ErrInvalid) && !errors.Is(err, context.Canceled) {
		m.failures.WithLabelValues(operation).Inc()
	}
	return v, err
}

// scrape answers Prometheus. It tells sums over all services, hidden ones too,
// to whoever may ask; that is decided by address, since scrapers have no token.
func (a *API) scrape(w http.ResponseWriter, r *http.Request) error {
	if _, err := params(r); err != nil {
		return err
	}
	if addr, known := a.clientAddr(r); !known || !inAny(a.MetricsAllowed, addr) {
		return errMetrics
	}
	a.metrics().handler.ServeHTTP(w, r)
	return nil
}

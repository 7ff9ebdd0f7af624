package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meters are what this process counts for /metrics.
type meters struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	unlimited prometheus.Counter
	unlogged  prometheus.Counter
}

// metrics returns the meters of this API, made at the first call.
func (a *API) metrics() *meters {
	a.once.Do(func() { a.meters = newMeters() })
	return a.meters
}

func newMeters() *meters {
	m := &meters{
		registry:  prometheus.NewRegistry(),
		requests:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "aoc_requests_total", Help: "Requests by route, method and status."}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "aoc_request_seconds", Help: "How long answers took to make.", Buckets: []float64{.005, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"route", "method"}),
		unlimited: prometheus.NewCounter(prometheus.CounterOpts{Name: "aoc_quota_failures_total", Help: "Requests refused because their quota could not be looked up."}),
		unlogged:  prometheus.NewCounter(prometheus.CounterOpts{Name: "aoc_own_log_failures_total", Help: "Acts that AOC's own audit log could not keep."}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.unlimited, m.unlogged)
	return m
}

// served counts an answer. Routes are told by their patterns: paths would make
// as many series as there are events.
func (m *meters) served(route Route, status int, took time.Duration) {
	path := route.Path
	if path == "" {
		path = "other"
	}
	if status == 0 {
		status = http.StatusOK
	}
	m.requests.WithLabelValues(path, route.Method, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(path, route.Method).Observe(took.Seconds())
}

package simtenant

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Limits are what the services let pass before they refuse. Zero fields do
// not limit.
type Limits struct {
	Reports    Rate // Graph's auditLogs, per app and tenant
	Risk       Rate // Graph's identityProtection, per tenant
	Intune     Rate // Graph's deviceManagement/auditEvents, per app and tenant
	Directory  Rate // Graph's getByIds and getMemberObjects, per app and tenant
	Management Rate // Management Activity API, per tenant
}

// Rate is so many requests in any span of a length.
type Rate struct {
	Requests int
	Per      time.Duration
}

// DocumentedLimits returns what Microsoft documents for one app in a small
// tenant: reports 5 in 10 s, identityProtection 1 in a second, Intune 1,000 in 20 s, getByIds 3 of 3,500 resource
// units in 10 s, Management Activity API 2,000 in a minute. [Graph
// throttling-limits; Office 365 Management Activity API reference]
func DocumentedLimits() Limits {
	return Limits{
		Reports:    Rate{5, 10 * time.Second},
		Risk:       Rate{1, time.Second},
		Intune:     Rate{1000, 20 * time.Second},
		Directory:  Rate{3500 / 3, 10 * time.Second},
		Management: Rate{2000, time.Minute},
	}
}

// SetLimits replaces the limits while the tenant runs and forgets what passed.
func (t *Tenant) SetLimits(l Limits) { t.throttles.set(l) }

type throttles struct {
	mu     sync.Mutex
	limits Limits
	passed map[string][]time.Time // by limit and app, of the last span only
}

func (l *throttles) set(limits Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits, l.passed = limits, map[string][]time.Time{}
}

// pass lets a request through, or says how long to wait.
func (l *throttles) pass(now time.Time, of func(Limits) Rate, key string) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rate := of(l.limits)
	if rate.Requests <= 0 {
		return 0, true
	}
	list := l.passed[key]
	for len(list) > 0 && now.Sub(list[0]) >= rate.Per {
		list = list[1:]
	}
	if len(list) >= rate.Requests {
		l.passed[key] = list
		return list[0].Add(rate.Per).Sub(now), false
	}
	l.passed[key] = append(list, now)
	return 0, true
}

// throttle refuses a request of Graph that comes too early.
func (t *Tenant) throttle(r *http.Request, scope string, of func(Limits) Rate, app string) error {
	wait, ok := t.throttles.pass(t.now(), of, scope+" "+app)
	if ok {
		return nil
	}
	no := t.graphThrottled(r)
	no.header.Set("x-ms-throttle-scope", "Tenant_Application/ReadWrite/"+app+"/"+t.TenantID())
	no.header.Set("x-ms-throttle-information", "ResourceUnitLimitExceeded")
	if scope != riskScope { // documented to answer without Retry-After
		t.sayWhen(no, wait)
	}
	return no
}

// riskScope is the limit that identityProtection has for itself.
const riskScope = "identityProtection"

// throttleManagement refuses a request of the Management API. The limit is the
// tenant's, whoever asks.
func (t *Tenant) throttleManagement(operation string, r *http.Request) error {
	wait, ok := t.throttles.pass(t.now(), func(l Limits) Rate { return l.Management }, "management")
	if ok {
		return nil
	}
	no := af("AF429", operation, publisher(r))
	no.throttled = true
	if t.onWire().ThrottleForbidden {
		no.status = http.StatusForbidden
	}
	t.sayWhen(no, wait)
	return no
}

func (t *Tenant) sayWhen(no *refusal, wait time.Duration) {
	if !t.onWire().NoRetryAfter {
		no.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
}

package simtenant

import (
	"slices"
	"sync"
	"time"
)

// livesBefore is how far back a tenant has a past when it is first looked at.
const livesBefore = 30 * 24 * time.Hour

// Longest times between a record's own time and its publication.
const (
	promptLag    = 2 * time.Hour
	stragglerLag = 50 * time.Hour
)

// history makes the records of a tenant. It is a pure function of seed, epoch
// and the number of people: hours are generated when they are asked for, each
// from a generator of its own, so neither order nor restarts matter. Safe for
// concurrent use.
type history struct {
	company *company
	epoch   time.Time
	start   time.Time // before it there is nothing
	stories []Story
	told    map[string][]record // feed → the stories' records, as published
	cache   *cache
}

// newHistory makes the tenant of a seed. epoch is the moment at which it was
// first looked at, which the attacks lead up to; people is how many work there.
func newHistory(seed uint64, epoch time.Time, people int) *history {
	epoch = epoch.UTC()
	h := &history{
		company: newCompany(seed, people),
		epoch:   epoch,
		start:   epoch.Add(-livesBefore).Truncate(time.Hour),
		cache:   newCache(cacheBytes(people)),
	}
	h.stories, h.told = tell(h.company, epoch)
	return h
}

func (h *history) tenantID() string { return h.company.tenant }

func (h *history) domain() string { return companyDomain }

// object returns a directory object by its id: kind is "user", "group",
// "servicePrincipal" or "device". The body is the caller's.
func (h *history) object(id string) (kind string, body map[string]any, ok bool) {
	o, ok := h.company.objects[id]
	if !ok {
		return "", nil, false
	}
	body = make(map[string]any, len(o.body))
	for k, v := range o.body {
		body[k] = v
	}
	return o.kind, body, true
}

// published returns the records of a feed with from <= Published < to, ordered
// by Published and id. Bodies are shared and must not be written to.
func (h *history) published(feed string, from, to time.Time) []record {
	return h.collect(feed, stragglerLag, from, to, func(r *record) bool {
		return !r.Published.Before(from) && r.Published.Before(to)
	})
}

// occurred returns the records of a feed with from <= At < to that are listed
// by now, in the order of published. Graph's collections are asked this way.
func (h *history) occurred(feed string, from, to, now time.Time) []record {
	return h.collect(feed, 0, from, to, func(r *record) bool {
		return !r.At.Before(from) && r.At.Before(to) && !r.Published.After(now)
	})
}

// collect goes through the hours in which records of a feed can lie that are
// wanted from one time to another, and keeps what is wanted. back is how much
// before from they can have happened, at most.
func (h *history) collect(feed string, back time.Duration, from, to time.Time, keep func(*record) bool) []record {
	var out []record
	take := func(list []record) {
		for i := range list {
			if keep(&list[i]) {
				out = append(out, list[i])
			}
		}
	}
	for _, w := range worksOf(feed) {
		hour := from.Add(-min(w.lag, back)).UTC().Truncate(time.Hour)
		if hour.Before(h.start) {
			hour = h.start
		}
		for ; hour.Before(to); hour = hour.Add(time.Hour) {
			take(h.batch(w, hour)[feed])
		}
	}
	take(h.told[feed])
	slices.SortFunc(out, record.compare)
	return out
}

// batch returns what one workload wrote in one hour, by feed.
func (h *history) batch(w *work, hour time.Time) batch {
	key := batchKey{w, hour.Unix()}
	if b, ok := h.cache.get(key); ok {
		return b
	}
	b := w.make(h.company, h.epoch, hour)
	h.cache.put(key, b)
	return b
}

// batch is the records of one hour by feed, each list as published.
type batch map[string][]record

type batchKey struct {
	work *work
	hour int64
}

// cacheBytes bounds the hours that are kept: some busy ones of every workload.
// Making one again costs milliseconds.
func cacheBytes(people int) int { return 16<<20 + people*24<<10 }

// cache keeps the hours that were asked for last.
type cache struct {
	mu    sync.Mutex
	limit int
	size  int
	clock int64
	hours map[batchKey]*cached
}

type cached struct {
	batch batch
	size  int
	used  int64
}

func newCache(limit int) *cache { return &cache{limit: limit, hours: map[batchKey]*cached{}} }

func (c *cache) get(k batchKey) (batch, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.hours[k]
	if !ok {
		return nil, false
	}
	c.clock++
	e.used = c.clock
	return e.batch, true
}

func (c *cache) put(k batchKey, b batch) {
	size := 256
	for _, list := range b {
		for i := range list {
			size += len(list[i].Body) + 256
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.hours[k]; ok {
		return
	}
	c.clock++
	c.hours[k] = &cached{b, size, c.clock}
	c.size += size
	if c.size > c.limit {
		c.evict()
	}
}

// evict drops the half of the cache that was not asked for lately, so that
// its cost is spread over many calls of put.
func (c *cache) evict() {
	keys := make([]batchKey, 0, len(c.hours))
	for k := range c.hours {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b batchKey) int { return int(c.hours[a].used - c.hours[b].used) })
	for _, k := range keys {
		if c.size <= c.limit/2 {
			return
		}
		c.size -= c.hours[k].size
		delete(c.hours, k)
	}
}

package simtenant

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// work is one workload of the tenant: what happens in an hour and in which
// feeds it is told.
type work struct {
	name  string
	feeds []string
	lag   time.Duration // the longest until publication
	run   func(m *maker, part float64)
}

// stragglerPart is how much of each workload is published late or twice.
const stragglerPart = 0.03

var (
	directoryWork  = &work{"directory", []string{DirectoryAudits, AuditAzureAD}, promptLag, (*maker).directory}
	signInWork     = &work{"signins", []string{SignIns, AuditAzureAD, RiskDetections}, promptLag, (*maker).signIns}
	intuneWork     = &work{"intune", []string{IntuneAudits}, promptLag, (*maker).intune}
	exchangeWork   = &work{"exchange", []string{AuditExchange}, promptLag, (*maker).exchange}
	sharePointWork = &work{"sharepoint", []string{AuditSharePoint}, promptLag, (*maker).sharePoint}
	generalWork    = &work{"general", []string{AuditGeneral}, promptLag, (*maker).general}
	dlpWork        = &work{"dlp", []string{DLPAll}, promptLag, (*maker).dlp}
	stragglers     = &work{"stragglers", []string{DirectoryAudits, SignIns, IntuneAudits, AuditAzureAD, AuditExchange, AuditSharePoint, AuditGeneral, DLPAll, RiskDetections}, stragglerLag, straggle}
)

// quietWork is the workloads of feeds that are read only where they are asked
// for. They are apart from promptWork because stragglers draws for all of that
// from one generator: what is added there changes every late record.
var quietWork = []*work{
	{"noninteractive", []string{NonInteractiveSignIns}, promptLag, (*maker).nonInteractive},
	{"principals", []string{ServicePrincipalSignIns}, promptLag, (*maker).principals},
	{"managed", []string{ManagedIdentitySignIns}, promptLag, (*maker).managed},
	{"provisioning", []string{Provisioning}, promptLag, (*maker).provision},
	{"risk", []string{RiskDetections}, promptLag, (*maker).risk},
}

// promptWork is the workloads whose records are published soon, and once.
var promptWork = []*work{directoryWork, signInWork, intuneWork, exchangeWork, sharePointWork, generalWork, dlpWork}

// worksOf returns the workloads that write to a feed.
func worksOf(feed string) []*work {
	var out []*work
	for _, w := range slices.Concat(promptWork, quietWork, []*work{stragglers}) {
		if slices.Contains(w.feeds, feed) {
			out = append(out, w)
		}
	}
	return out
}

// straggle is a small part of every workload; what it writes into the
// Management API's feeds is published late, or again.
func straggle(m *maker, part float64) {
	for _, w := range promptWork {
		w.run(m, part)
	}
	for i := range m.out {
		if strings.Contains(m.out[i].Feed, ".") {
			m.delay(i)
		}
	}
}

// delay makes a record late, by hours mostly and by two days at worst, or has
// it listed a second time with another order of its keys.
func (m *maker) delay(i int) {
	r := &m.out[i]
	switch roll := m.rng.IntN(20); {
	case roll < 9:
		r.Published = r.At.Add(m.between(time.Hour, 9*time.Hour))
	case roll < 11 || r.ID == "": // only its content names a record without id: listed once
		r.Published = r.At.Add(m.between(24*time.Hour, 48*time.Hour))
	default:
		m.repeats = append(m.repeats, repeat{i, r.Published.Add(m.between(20*time.Minute, 40*time.Hour))})
	}
}

// make runs a workload over one hour.
func (w *work) make(c *company, epoch, hour time.Time) batch {
	part := 1 - stragglerPart
	if w == stragglers {
		part = stragglerPart
	}
	m := newMaker(c, w.name, hour)
	m.epoch = epoch
	w.run(m, part)
	return m.batch()
}

// maker writes the records of one workload in one hour.
type maker struct {
	*company
	rng     *rand.Rand
	hour    time.Time
	epoch   time.Time
	w       writer
	out     []record
	repeats []repeat

	from int // where the record that is being written begins
	id   string
	at   time.Time
}

// repeat is a record that will be listed once more.
type repeat struct {
	record int
	again  time.Time
}

func newMaker(c *company, name string, hour time.Time) *maker {
	src := rand.NewPCG(c.seed^hash64(name), uint64(hour.Unix()))
	return &maker{company: c, rng: rand.New(src), hour: hour}
}

// times returns how often something happens in this hour that happens so
// often on a person's workday: a Poisson variable, or near it when large.
func (m *maker) times(perDay float64) int {
	mean := perDay * float64(len(m.staff)) * share(m.hour)
	if mean > 50 {
		return int(math.Round(mean + m.rng.NormFloat64()*math.Sqrt(mean)))
	}
	n, limit := 0, math.Exp(-mean)
	for p := m.rng.Float64(); p > limit; p *= m.rng.Float64() {
		n++
	}
	return n
}

// someone picks who does the next thing: anybody at work, at night mostly
// whoever is on call.
func (m *maker) someone() *person {
	if workday[local(m.hour).Hour()] < 0.004 && m.rng.IntN(3) > 0 {
		return m.onCall(m.hour)
	}
	for range 4 {
		p := m.staff[m.rng.IntN(len(m.staff))]
		if !m.presence(p, m.hour).away && !m.gone(p) {
			return p
		}
	}
	return m.onCall(m.hour)
}

// gone tells who does nothing any more: the engineer of the story of the
// leaver, whose account is closed the day before the tenant is looked at.
func (m *maker) gone(p *person) bool {
	return p == m.staff[engineer] && !m.hour.Before(leaverClosed(m.epoch))
}

// moment picks a time in this hour, to the step that Graph tells.
func (m *maker) moment() time.Time {
	return m.hour.Add(time.Duration(m.rng.Int64N(int64(time.Hour/100))) * 100)
}

// notLater keeps a time within the hour: what is asked for by its own time is
// looked for in the hour of that time alone.
func (m *maker) notLater(t time.Time) time.Time {
	if last := m.hour.Add(time.Hour - time.Second); t.After(last) {
		return last
	}
	return t
}

func (m *maker) between(low, high time.Duration) time.Duration {
	return low + time.Duration(m.rng.Int64N(int64((high-low)/time.Second)))*time.Second
}

func (m *maker) chance(oneIn int) bool { return m.rng.IntN(oneIn) == 0 }

func (m *maker) newID() string { return newID(m.rng) }

// begin starts a record.
func (m *maker) begin(id string, at time.Time) {
	m.from, m.id, m.at = len(m.w.b), id, at
	m.w.b = append(m.w.b, '{')
}

// end closes the record and lists it after a time.
func (m *maker) end(feed string, lag time.Duration) {
	m.w.b = append(m.w.b, '}')
	body := json.RawMessage(m.w.b[m.from:len(m.w.b):len(m.w.b)])
	m.out = append(m.out, record{Feed: feed, ID: m.id, At: m.at, Published: m.at.Add(lag), Body: body})
	m.w.b = m.w.b[len(m.w.b):] // a buffer that moves takes only the record in work along
	if cap(m.w.b) < 4096 {
		m.w.b = make([]byte, 0, 64<<10)
	}
}

// batch hands over what was written.
func (m *maker) batch() batch {
	for _, again := range m.repeats {
		r := m.out[again.record]
		r.Published, r.Body = again.again, reordered(r.Body)
		m.out = append(m.out, r)
	}
	out := batch{}
	slices.SortFunc(m.out, record.compare)
	for _, r := range m.out {
		out[r.Feed] = append(out[r.Feed], r)
	}
	return out
}

// Package normalize makes events of records: one parser a feed reads the few
// fields that an event needs out of the raw bytes in one pass, secrets are cut
// out before anything is kept, and mappings.yml turns the rest into a sentence.
// It is pure: it knows neither feeds' APIs nor stores, does no I/O and asks no
// clock, so the same record is the same event whenever it is read.
package normalize

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"aoc/internal/audit"
)

// maxPooledNodes keeps one huge record from holding its memory for ever.
const maxPooledNodes = 1 << 16

// desk is what reading one record takes, for one after the other.
type desk struct {
	tape    tape
	reading reading
}

var desks = sync.Pool{New: func() any { return &desk{tape: tape{nodes: make([]node, 0, 512)}} }}

// Normalizer turns records into events. It is safe for concurrent use.
type Normalizer struct {
	mappings *Mappings
}

// New returns a Normalizer that words its events by these mappings.
func New(mappings *Mappings) *Normalizer { return &Normalizer{mappings: mappings} }

// Normalize makes of a record what is stored of it. Names that the record does
// not say are left empty. Raw shares the record's bytes where there was nothing
// to cut out of them.
//
// An error says, for people and without any value of the record, why it is no
// event; such a record belongs in quarantine.
func (n *Normalizer) Normalize(rec audit.Record) (audit.Stored, error) {
	d := desks.Get().(*desk)
	defer d.release()
	raw, redactions, err := readRedacted(&d.tape, rec)
	if err != nil {
		return audit.Stored{}, err
	}
	s := audit.Stored{
		Event: audit.Event{
			TenantID:   strings.ToLower(strings.TrimSpace(rec.TenantID)),
			Source:     rec.Source,
			Redactions: redactions,
			Targets:    []audit.Target{},
			Changes:    []audit.Change{},
		},
		Raw: audit.NewRaw(raw),
	}
	r := d.open(&s.Event)
	if err := r.read(); err != nil {
		return audit.Stored{}, err
	}
	if err := r.finish(raw); err != nil {
		return audit.Stored{}, err
	}
	n.describe(&s, s.Event.Category)
	return s, nil
}

// open prepares the reading of the tape's record into the event.
func (d *desk) open(e *audit.Event) *reading {
	d.reading.event, d.reading.envelope = e, fields{}
	d.reading.record.open(d.tape.root())
	return &d.reading
}

// release gives the desk back, with nothing of the record on it.
func (d *desk) release() {
	d.tape.src, d.reading.event = nil, nil
	if cap(d.tape.nodes) <= maxPooledNodes {
		desks.Put(d)
	}
}

// readRedacted reads the record less its secrets: everything that is made of
// it comes from bytes that hold none.
func readRedacted(t *tape, rec audit.Record) (raw []byte, redactions []string, err error) {
	if err := t.read(rec.Raw); err != nil {
		return nil, nil, err
	}
	if t.root().kind() != object {
		return nil, nil, errors.New("the record is no JSON object")
	}
	raw, redactions = redact(t, hasSettings(rec.Source, t.root()))
	if len(raw) > 0 && len(rec.Raw) > 0 && &raw[0] != &rec.Raw[0] {
		if err := t.read(raw); err != nil {
			return nil, nil, fmt.Errorf("without its secrets %w", err)
		}
	}
	return raw, redactions, nil
}

// hasSettings reports whether the record's changed properties are settings of
// Intune, which hold keys and certificates as their content.
func hasSettings(source audit.Source, v value) bool {
	if source.Family() == audit.PurviewQuery.Family() {
		return strings.Contains(lower(v.str("Workload")), "intune")
	}
	return source == audit.IntuneAudit || v.get("properties").get("AuditEventId").kind() != absent
}

// reading is one record on its way to an event.
type reading struct {
	record   fields // the record proper
	envelope fields // Azure Monitor's around it; absent where there is none
	event    *audit.Event
}

// read hands the record to its feed's parser.
func (r *reading) read() error {
	source := r.event.Source
	if source.Family() == audit.PurviewQuery.Family() {
		return r.management()
	}
	if source == audit.AOC {
		return r.own()
	}
	if r.isEnvelope() {
		return r.monitor()
	}
	switch source {
	case audit.EntraDirectory:
		return r.directory()
	case audit.EntraSignIn, audit.EntraSignInNonInter, audit.EntraSignInPrincipal, audit.EntraSignInManaged:
		return r.signIn()
	case audit.EntraProvisioning:
		return r.provisioning()
	case audit.EntraRisk:
		return r.riskDetection()
	case audit.IntuneAudit:
		return r.intune()
	case audit.AzureMonitor:
		return errors.New("the record is not in Azure Monitor's envelope: it has no category, operationName and properties")
	}
	return fmt.Errorf("there is no reader for the feed %s", source)
}

// when sets the time from the first of the texts that is there.
func (r *reading) when(texts ...string) error {
	for _, s := range texts {
		if s == "" {
			continue
		}
		t, err := parseTime(s)
		r.event.Time = t
		return err
	}
	return errNoTime
}

// operation sets the operation; Entra's end with a dot or a space.
func (r *reading) operation(name string) error {
	r.event.Operation = clip(audit.OperationName(oneLine(name)), maxName)
	if r.event.Operation == "" {
		return errors.New("the record names no operation")
	}
	return nil
}

// target adds one thing that it was done to, if there is anything to say of it.
func (r *reading) target(id, name, typ string) {
	t := audit.Target{ID: clip(meaning(id), maxName), Name: clip(oneLine(meaning(name)), maxName), Type: clip(typ, maxName)}
	if t.ID == "" && t.Name == "" || len(r.event.Targets) >= maxTargets {
		return
	}
	for _, other := range r.event.Targets {
		if other == t {
			return
		}
	}
	r.event.Targets = append(r.event.Targets, t)
}

// change adds one property that was changed or one parameter that was given.
func (r *reading) change(name, before, after string) {
	if name == "" && before == "" && after == "" || len(r.event.Changes) >= maxChanges {
		return
	}
	r.event.Changes = append(r.event.Changes, audit.Change{
		Name: clip(name, maxName), Old: clip(before, maxValue), New: clip(after, maxValue),
	})
}

// expectChanges makes room for n more.
func (r *reading) expectChanges(n int) {
	r.event.Changes = slices.Grow(r.event.Changes, min(n, maxChanges))
}

// finish names the event and bounds what its parser took over.
func (r *reading) finish(raw []byte) (err error) {
	e := r.event
	e.RecordID = meaning(e.RecordID)
	if len(e.RecordID) > maxName {
		return fmt.Errorf("the record's id is longer than %d bytes", maxName)
	}
	if e.RecordID != "" {
		e.ID, err = audit.NewID(e.TenantID, e.Source, e.RecordID)
	} else {
		e.ID, err = audit.ContentID(e.TenantID, e.Source, raw)
	}
	if err != nil {
		return errors.New("the record has no id, and none can be made of its content")
	}
	if e.Result == "" {
		e.Result = audit.Unknown
	}
	if e.Actor.App == "" {
		e.Actor.App = e.Context.AppName
	}
	if e.Actor.App == "" {
		e.Actor.App = e.Context.AppID
	}
	for _, s := range r.texts() {
		*s = clip(*s, maxName)
	}
	return nil
}

func (r *reading) texts() []*string {
	e := r.event
	a, c := &e.Actor, &e.Context
	return []*string{
		&e.TenantID, &e.Service, &e.Category, &e.CorrelationID,
		&a.ID, &a.Name, &a.UPN, &a.Type, &a.IP, &a.App,
		&c.SessionID, &c.UserAgent, &c.DeviceID, &c.DeviceName, &c.AppID, &c.AppName, &c.Country, &c.City, &c.ErrorCode,
	}
}

// Quarantine sets a record aside that Normalize refused with reason. Its
// secrets are cut out like an event's; where that cannot be done because the
// bytes are no JSON, they are kept only of feeds that hold no secrets, and only
// if none of their words is a secret's name and none has a secret's form.
func Quarantine(rec audit.Record, reason error, at time.Time) audit.Quarantined {
	q := audit.Quarantined{
		TenantID: strings.ToLower(strings.TrimSpace(rec.TenantID)),
		Source:   rec.Source,
		Blob:     rec.Blob,
		Reason:   reason.Error(),
		At:       at,
		Raw:      keepable(rec),
	}
	kept := q.Raw
	if kept == nil {
		kept = rec.Raw
	}
	q.ID = audit.QuarantineID(q.TenantID, q.Source, kept)
	return q
}

func keepable(rec audit.Record) []byte {
	d := desks.Get().(*desk)
	defer d.release()
	if t := &d.tape; t.read(rec.Raw) == nil {
		raw, _ := redact(t, hasSettings(rec.Source, t.root()))
		return bytes.Clone(raw)
	}
	if len(rec.Raw) > maxRecordSize || mayHoldSecrets(rec.Source) || brokenHolds(rec.Raw) {
		return nil
	}
	return bytes.Clone(rec.Raw)
}

// brokenHolds reports whether bytes that are no JSON may hold a secret.
func brokenHolds(raw []byte) bool {
	s := string(raw)
	return namesSecret(s, true) || len(secretShapes(raw, allMarks)) > 0 || len(commandSecrets(s)) > 0 || tagsSecret(s, true)
}

// mayHoldSecrets lists the feeds whose records are known to hold secrets: DLP's
// detected values, Intune's settings, the parameters of Exchange's and Purview's
// cmdlets.
func mayHoldSecrets(source audit.Source) bool {
	switch source {
	case audit.M365SharePoint, audit.M365Entra, audit.EntraDirectory, audit.EntraSignIn, audit.EntraSignInNonInter,
		audit.EntraSignInPrincipal, audit.EntraSignInManaged, audit.EntraProvisioning, audit.EntraRisk:
		return false
	}
	return true
}

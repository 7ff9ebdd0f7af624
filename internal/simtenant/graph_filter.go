package simtenant

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// filter is an understood $filter.
type filter struct {
	from, to time.Time // from <= the record's time < to; zero is open
	tests    []test
}

// test is a condition on a property other than the time.
type test struct {
	path   []string
	prefix bool // startswith instead of eq
	any    bool // path leads to a list, of which one element must match
	inner  []string
	values []any // one of them
}

// filterable are the properties that the references list for each collection.
// [directoryaudit-list, signin-list, provisioningObjectSummary, riskdetection-list, intune-auditing-auditevent]
var filterable = map[string][]string{
	DirectoryAudits: {
		"id", "category", "correlationId", "result", "activityDisplayName", "loggedByService", "operationType",
		"initiatedBy/user/id", "initiatedBy/user/displayName", "initiatedBy/user/userPrincipalName",
		"initiatedBy/app/appId", "initiatedBy/app/displayName",
	},
	SignIns: {
		"id", "userDisplayName", "userPrincipalName", "userId", "appId", "appDisplayName", "ipAddress",
		"clientAppUsed", "conditionalAccessStatus", "correlationId", "isInteractive", "riskDetail", "riskState",
		"riskLevelAggregated", "riskLevelDuringSignIn", "resourceDisplayName", "resourceId",
		"status/errorCode", "location/city", "location/state", "location/countryOrRegion",
	},
	Provisioning: {
		"id", "jobId", "cycleId", "changeId", "initiatedBy/id", "initiatedBy/displayName", "servicePrincipal/id",
		"servicePrincipal/displayName", "sourceIdentity/id", "sourceIdentity/displayName", "targetIdentity/id",
		"targetIdentity/displayName", "provisioningStatusInfo/status",
	},
	RiskDetections: {
		"id", "riskEventType", "riskLevel", "riskState", "riskDetail", "detectionTimingType", "userId", "userDisplayName", "userPrincipalName",
	},
	IntuneAudits: {
		"id", "displayName", "componentName", "activity", "activityType", "activityOperationType", "activityResult",
		"category", "correlationId", "actor/userPrincipalName", "actor/userId", "actor/applicationId", "actor/applicationDisplayName",
	},
}

// lists are the properties that any() can be asked of; the second are beta's.
var (
	lists = map[string][]string{
		DirectoryAudits: {"targetResources/id", "targetResources/displayName"},
	}
	betaLists = map[string][]string{SignIns: {"signInEventTypes"}}
)

// filterParser reads a $filter: conditions joined by "and".
type filterParser struct {
	feed   string
	beta   bool
	tokens []filterToken
	out    filter
}

// parseFilter understands what the collection's reference lists and refuses
// the rest, as Graph does.
func parseFilter(feed string, beta bool, text string) (filter, error) {
	tokens, err := filterTokens(text)
	if err != nil {
		return filter{}, err
	}
	p := &filterParser{feed: feed, beta: beta, tokens: tokens}
	if err := p.conditions(0); err != nil {
		return filter{}, err
	}
	if len(p.tokens) > 0 {
		return filter{}, p.unexpected()
	}
	return p.out, nil
}

func (p *filterParser) unexpected() error {
	if len(p.tokens) == 0 {
		return fmt.Errorf("invalid filter clause: it ends too early")
	}
	return fmt.Errorf("invalid filter clause: '%s' is not supported here", p.tokens[0].text)
}

// take returns the next token if it is of a kind, and of a text if one is given.
func (p *filterParser) take(kind tokenKind, text string) (filterToken, bool) {
	if len(p.tokens) == 0 || p.tokens[0].kind != kind || text != "" && p.tokens[0].text != text {
		return filterToken{}, false
	}
	tok := p.tokens[0]
	p.tokens = p.tokens[1:]
	return tok, true
}

// maxDepth bounds parentheses.
const maxDepth = 20

func (p *filterParser) conditions(depth int) error {
	for {
		if err := p.condition(depth); err != nil {
			return err
		}
		if _, ok := p.take(tokenWord, "and"); !ok {
			return nil
		}
	}
}

func (p *filterParser) condition(depth int) error {
	if _, ok := p.take(tokenSign, "("); ok {
		if depth == maxDepth {
			return fmt.Errorf("invalid filter clause: too deep")
		}
		if err := p.conditions(depth + 1); err != nil {
			return err
		}
		return p.sign(")")
	}
	name, ok := p.take(tokenWord, "")
	switch {
	case !ok:
		return p.unexpected()
	case name.text == "startswith":
		return p.startsWith()
	case strings.HasSuffix(name.text, "/any"):
		return p.anyOf(strings.TrimSuffix(name.text, "/any"))
	case name.text == timeProperty(p.feed):
		return p.timeBound()
	}
	return p.equals(name.text)
}

func (p *filterParser) sign(s string) error {
	if _, ok := p.take(tokenSign, s); !ok {
		return p.unexpected()
	}
	return nil
}

// timeBound reads what follows the time's name. Conditions on the time narrow.
func (p *filterParser) timeBound() error {
	op, ok := p.take(tokenWord, "")
	if !ok {
		return p.unexpected()
	}
	lit, ok := p.take(tokenTime, "")
	if !ok {
		return p.unexpected()
	}
	at := lit.at.Truncate(tick)
	if !slices.Contains(timeOperators(p.feed), op.text) {
		return fmt.Errorf("invalid filter clause: operator '%s' is not supported on '%s'", op.text, timeProperty(p.feed))
	}
	switch op.text {
	case "ge":
		p.out.atLeast(at)
	case "gt":
		p.out.atLeast(at.Add(tick))
	case "lt":
		p.out.before(at)
	case "le":
		p.out.before(at.Add(tick))
	case "eq":
		p.out.atLeast(at)
		p.out.before(at.Add(tick))
	}
	return nil
}

// timeOperators are the comparisons with a time that a collection takes.
func timeOperators(feed string) []string {
	if feed == Provisioning { // [provisioningObjectSummary-list]
		return []string{"eq", "gt", "lt"}
	}
	return []string{"eq", "ge", "gt", "le", "lt"}
}

func (f *filter) atLeast(at time.Time) { f.from = later(f.from, at) }

func (f *filter) before(at time.Time) {
	if f.to.IsZero() || at.Before(f.to) {
		f.to = at
	}
}

func (p *filterParser) known(name string) error {
	if !slices.Contains(filterable[p.feed], name) {
		return fmt.Errorf("invalid filter clause: property '%s' cannot be filtered by", name)
	}
	return nil
}

func (p *filterParser) equals(name string) error {
	if err := p.known(name); err != nil {
		return err
	}
	v, err := p.eq()
	p.out.tests = append(p.out.tests, test{path: strings.Split(name, "/"), values: []any{v}})
	return err
}

// eq reads "eq" and a literal.
func (p *filterParser) eq() (any, error) {
	if _, ok := p.take(tokenWord, "eq"); !ok {
		return nil, p.unexpected()
	}
	return p.literal()
}

func (p *filterParser) literal() (any, error) {
	if s, ok := p.take(tokenText, ""); ok {
		return s.text, nil
	}
	if n, ok := p.take(tokenNumber, ""); ok {
		return json.Number(n.text), nil
	}
	if _, ok := p.take(tokenWord, "true"); ok {
		return true, nil
	}
	if _, ok := p.take(tokenWord, "false"); ok {
		return false, nil
	}
	if _, ok := p.take(tokenWord, "null"); ok {
		return nil, nil
	}
	return nil, p.unexpected()
}

// startsWith reads "(property,'text')".
func (p *filterParser) startsWith() error {
	if err := p.sign("("); err != nil {
		return err
	}
	name, ok := p.take(tokenWord, "")
	if !ok {
		return p.unexpected()
	}
	if err := p.known(name.text); err != nil {
		return err
	}
	if err := p.sign(","); err != nil {
		return err
	}
	v, ok := p.take(tokenText, "")
	if !ok {
		return p.unexpected()
	}
	p.out.tests = append(p.out.tests, test{path: strings.Split(name.text, "/"), prefix: true, values: []any{v.text}})
	return p.sign(")")
}

// anyOf reads "(x:x/inner eq 'a' or x/inner eq 'b')".
func (p *filterParser) anyOf(list string) error {
	allowed := lists[p.feed]
	if p.beta {
		allowed = slices.Concat(allowed, betaLists[p.feed])
	}
	if err := p.sign("("); err != nil {
		return err
	}
	v, ok := p.take(tokenWord, "")
	if !ok {
		return p.unexpected()
	}
	if err := p.sign(":"); err != nil {
		return err
	}
	t := test{path: strings.Split(list, "/"), any: true}
	for {
		name, ok := p.take(tokenWord, "")
		if !ok {
			return p.unexpected()
		}
		inner, found := strings.CutPrefix(name.text+"/", v.text+"/")
		full := strings.TrimSuffix(list+"/"+inner, "/")
		if !found || !slices.Contains(allowed, full) {
			return fmt.Errorf("invalid filter clause: property '%s' cannot be filtered by", full)
		}
		if inner = strings.TrimSuffix(inner, "/"); inner != "" {
			t.inner = strings.Split(inner, "/")
		}
		value, err := p.eq()
		if err != nil {
			return err
		}
		t.values = append(t.values, value)
		if _, more := p.take(tokenWord, "or"); !more {
			break
		}
	}
	p.out.tests = append(p.out.tests, t)
	return p.sign(")")
}

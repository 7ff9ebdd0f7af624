package simtenant

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"
)

// Names of the stories.
const (
	StorySpray      = "spray"      // guessed password, forwarding rule, mail read, files taken
	StoryConsent    = "consent"    // an application that was let in reads mailboxes
	StoryLeaver     = "leaver"     // an engineer takes drawings along
	StoryEscalation = "escalation" // the service desk's account at night
)

// Story is an attack that the tenant suffered, as far as its records tell it.
// All of it lies in the seven days before the epoch.
type Story struct {
	Name    string // one of the constants above
	Title   string
	Records []StoryRecord // in the order in which they happened
}

// StoryRecord points at a record of a story.
type StoryRecord struct {
	Feed, ID  string
	Operation string // as the record has it; "Sign-in" for a sign-in of Graph
	At        time.Time
}

// storyBook is the stories in the order of the table.
var storyBook = []struct {
	name, title string
	tell        func(*maker)
}{
	{StorySpray, "Password spray on everybody, one guess right: Tomas Brandt's mail is forwarded outside and finance files are taken", (*maker).tellSpray},
	{StoryConsent, "Ingrid Solheim lets Docu Sync Pro in, an administrator is talked into more, and it reads the finance chief's mail", (*maker).tellConsent},
	{StoryLeaver, "Pavel Novotny takes drawings along and shares them by open links before his last day", (*maker).tellLeaver},
	{StoryEscalation, "Lena Fischer's account becomes Global Administrator at night and turns the audit log off", (*maker).tellEscalation},
}

// tell writes the stories of a company, placed before epoch by the company's
// clock. It adds to the company what the attackers bring along.
func tell(c *company, epoch time.Time) ([]Story, map[string][]record) {
	var stories []Story
	told := map[string][]record{}
	for _, s := range storyBook {
		m := &maker{company: c, epoch: epoch, hour: epoch, rng: rand.New(rand.NewPCG(c.seed^hash64(s.name), uint64(epoch.Unix())))}
		s.tell(m)
		story := Story{Name: s.name, Title: s.title}
		for feed, list := range m.batch() {
			told[feed] = append(told[feed], list...)
			for _, r := range list {
				story.Records = append(story.Records, StoryRecord{feed, r.ID, operationOf(r), r.At})
			}
		}
		slices.SortFunc(story.Records, func(a, b StoryRecord) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Feed, b.Feed), cmp.Compare(a.ID, b.ID))
		})
		stories = append(stories, story)
	}
	for _, list := range told {
		slices.SortFunc(list, record.compare)
	}
	return stories, told
}

func operationOf(r record) string {
	var body struct {
		Operation           string
		ActivityDisplayName string `json:"activityDisplayName"`
		Activity            string `json:"activity"`
	}
	if json.Unmarshal(r.Body, &body) != nil {
		return ""
	}
	return cmp.Or(body.Operation, body.ActivityDisplayName, body.Activity, "Sign-in")
}

// on sets the maker's clock to a time of the company's day, days away from
// the day of the epoch, and returns the moment.
func (m *maker) on(days, hour, minute int) time.Time {
	at := onClock(m.epoch, days, time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute)
	m.hour = at.Truncate(time.Hour)
	return at.Add(time.Duration(m.rng.IntN(599_000_000)) * 100)
}

// lastWorkday returns which day at or before the one that is so many days away
// from the epoch's is no Saturday or Sunday, as days away.
func lastWorkday(epoch time.Time, days int) int {
	for {
		switch local(epoch).AddDate(0, 0, days).Weekday() {
		case time.Saturday, time.Sunday:
			days--
		default:
			return days
		}
	}
}

// leaverClosed is the hour in which the engineer who leaves loses the account.
func leaverClosed(epoch time.Time) time.Time {
	return onClock(epoch, lastWorkday(epoch, -1), 9*time.Hour).Truncate(time.Hour)
}

// attackerIP is where an attack comes from: an address that is nobody's.
func attackerIP(n int) string { return "203.0.113." + itoa(n) }

var (
	abroad      = place{"Ciudad de Panamá", "Panamá", "PA", 8.98, -79.52}
	scripted    = agent{"BAV2ROPC", "Rich Client 4.0.0.0", "Other", "", "Other"}
	attackAgent = agent{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", "Chrome 120.0.0", "Chrome", "Linux", "Linux"}
)

// foreignSignIn is a sign-in from where nobody works.
func (m *maker) foreignSignIn(at time.Time, who *person, ip, session string, code int) signIn {
	return signIn{
		at: at, who: who, app: m.app("OfficeHome"), ip: ip, place: abroad, agent: attackAgent,
		session: session, code: code, client: "Browser", risk: "medium",
	}
}

package simtenant

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The company of every simulated tenant. Its domain can never be anyone's
// (RFC 2606), and neither can its addresses (RFC 5737, RFC 3849).
const (
	companyName   = "Halden Instruments"
	companyDomain = "halden.example"
	initialDomain = "haldeninstruments.onmicrosoft.com"
	sharePoint    = "https://haldeninstruments.sharepoint.com"
	oneDrive      = "https://haldeninstruments-my.sharepoint.com"
	officeIP      = "192.0.2.10"
	officeIPv6    = "2001:db8:40:1::"
)

// Positions of the people who have a part in the stories or hold a role.
const (
	globalAdmin = iota
	exchangeAdmin
	helpdeskAdmin
	analyst
	endpointAdmin
	payableClerk
	marketer
	engineer
	financeChief
	personnelPartner
	complianceOfficer
	castSize
)

// person is somebody with an account. What records repeat about them is made
// once.
type person struct {
	id, name, given, alias, upn, puid, sid, mailbox string
	department, title                               string
	roles                                           []string
	home                                            string // address at home
	city                                            place
	agent                                           agent
	device                                          *device
	drive                                           site
	folder                                          string // middle of the ids of their mail folders
}

// device is a managed machine.
type device struct {
	id, deviceID, name, system, version, serial string
	owner                                       *person
}

// group is a group of the directory; the ones with a team have channels too.
type group struct {
	id, name, mail string
	unified        bool
	channels       []channel
}

type channel struct{ id, name string }

// app is an application as a service principal of the tenant.
type app struct{ id, appID, name string }

// site is a site collection or somebody's OneDrive.
type site struct{ id, web, list, url, title string }

// place is where an address is, as sign-ins tell it.
type place struct {
	city, state, country string
	lat, long            float64
}

// agent is a browser on a system.
type agent struct{ text, browser, short, system, stsSystem string }

// company is everything in the tenant that does not change.
type company struct {
	seed   uint64
	tenant string
	staff  []*person
	groups []group
	teams  []group // the groups that have one
	apps   []app
	// identities are not among apps, of which records draw by number.
	identities []service
	sites      []site
	// readers and rooms matter for signing in only; no record speaks of them.
	readers  group
	rooms    []group
	policies []pair // id and name of Conditional Access policies
	objects  map[string]object
}

type object struct {
	kind string
	body map[string]any
}

func newCompany(seed uint64, people int) *company {
	rng := rand.New(rand.NewPCG(seed, 0x636f6d70616e79))
	c := &company{seed: seed, tenant: newID(rng), objects: map[string]object{}}
	c.hire(rng, max(people, castSize+1))
	for _, name := range append(departments(), "Project Fjord", "Project Meridian", "All Company", "VPN Users", "Finance Approvers") {
		c.found(rng, name)
	}
	for _, known := range knownApps {
		c.install(rng, known.value, known.name)
	}
	for _, name := range []string{"Halden Expense Bot", "Backup for Microsoft 365", "HR Sync", "Meridian Portal"} {
		c.install(rng, newID(rng), name)
	}
	c.employ()
	c.assign()
	for _, name := range []string{"Require MFA for all users", "Block legacy authentication", "Require compliant device for finance"} {
		c.policies = append(c.policies, pair{newID(rng), name})
	}
	return c
}

func newID(rng *rand.Rand) string { return uuid(rng.Uint64(), rng.Uint64()) }

func (c *company) hire(rng *rand.Rand, people int) {
	taken := map[string]bool{}
	order := rng.Perm(len(givenNames) * len(familyNames))
	for i := range people {
		p := &person{}
		if i < castSize {
			*p = castOf(i)
		} else {
			k := order[i%len(order)]
			given, family := givenNames[k%len(givenNames)], familyNames[k/len(givenNames)]
			dept := staffing[rng.IntN(len(staffing))]
			*p = person{name: given + " " + family, department: dept.name, title: dept.value}
		}
		c.equip(rng, p, i, taken)
		c.staff = append(c.staff, p)
	}
}

// equip gives a person an account, a mailbox, a drive and a machine.
func (c *company) equip(rng *rand.Rand, p *person, n int, taken map[string]bool) {
	var family string
	p.given, family, _ = strings.Cut(p.name, " ")
	p.alias = strings.ToLower(p.given + "." + strings.ReplaceAll(family, " ", ""))
	if taken[p.alias] {
		p.alias += fmt.Sprint(n)
	}
	taken[p.alias] = true
	p.id, p.mailbox = newID(rng), newID(rng)
	p.upn = p.alias + "@" + companyDomain
	p.puid = fmt.Sprintf("1003%012X", rng.Uint64()>>16)
	p.sid = fmt.Sprintf("S-1-5-21-3841097622-1209553410-2077731849-%d", 21000000+n)
	p.folder = mailKey(rng, 22)
	p.home = fmt.Sprintf("198.51.100.%d", 1+rng.IntN(250))
	if rng.IntN(5) == 0 {
		p.home = fmt.Sprintf("2001:db8:%x:%x::%x", 0x100+rng.IntN(0x7f), rng.IntN(1<<16), 1+rng.IntN(1<<16))
	}
	p.city = homePlaces[rng.IntN(len(homePlaces))]
	p.agent = agents[rng.IntN(len(agents))]
	url := oneDrive + "/personal/" + strings.NewReplacer(".", "_", "@", "_").Replace(p.upn)
	p.drive = site{newID(rng), newID(rng), newID(rng), url, p.name}
	p.device = &device{
		id: newID(rng), deviceID: newID(rng), name: fmt.Sprintf("HAL-LT-%04d", n+1), system: "Windows",
		version: "10.0.22631.4317", serial: fmt.Sprintf("PF%06X", rng.IntN(1<<24)), owner: p,
	}
	c.know(p.id, "user", "displayName", p.name, "userPrincipalName", p.upn, "mail", p.upn, "jobTitle", p.title, "department", p.department)
	c.know(p.device.id, "device", "displayName", p.device.name, "deviceId", p.device.deviceID, "operatingSystem", p.device.system)
}

func (c *company) know(id, kind string, fields ...string) {
	body := map[string]any{"id": id}
	for i := 0; i < len(fields); i += 2 {
		body[fields[i]] = fields[i+1]
	}
	c.objects[id] = object{kind, body}
}

// found makes a group and, for most of them, its team and its site.
func (c *company) found(rng *rand.Rand, name string) {
	slug := strings.ReplaceAll(name, " ", "")
	g := group{id: newID(rng), name: name, mail: strings.ToLower(slug) + "@" + companyDomain, unified: name != "VPN Users" && name != "Finance Approvers"}
	c.know(g.id, "group", "displayName", name, "mail", g.mail)
	if g.unified {
		for _, ch := range []string{"General", "Planning", "Social"} {
			g.channels = append(g.channels, channel{"19:" + strings.ReplaceAll(newID(rng), "-", "") + "@thread.tacv2", ch})
		}
		c.teams = append(c.teams, g)
		c.sites = append(c.sites, site{newID(rng), newID(rng), newID(rng), sharePoint + "/sites/" + slug, name})
	}
	c.groups = append(c.groups, g)
}

func (c *company) install(rng *rand.Rand, appID, name string) {
	a := app{newID(rng), appID, name}
	c.know(a.id, "servicePrincipal", "displayName", name, "appId", appID)
	c.apps = append(c.apps, a)
}

// app returns the service principal of a name that newCompany installed.
func (c *company) app(name string) app {
	for _, a := range c.apps {
		if a.name == name {
			return a
		}
	}
	return app{name: name}
}

// site returns the site of a title that newCompany founded.
func (c *company) site(title string) site {
	for _, s := range c.sites {
		if s.title == title {
			return s
		}
	}
	return c.sites[0]
}

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// mailKey is part of the id of a mail item or folder.
func mailKey(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = base64Digits[rng.IntN(64)]
	}
	return string(b)
}

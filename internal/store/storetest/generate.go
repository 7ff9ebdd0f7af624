package storetest

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"aoc/internal/audit"
)

// Epoch is when the generated events begin.
var Epoch = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

// act is something that happens in the generated tenant.
type act struct {
	source             audit.Source
	service, operation string
	category, target   string
}

var acts = []act{
	{audit.EntraDirectory, audit.ServiceEntra, "Add member to role", "RoleManagement", "role"},
	{audit.EntraDirectory, audit.ServiceEntra, "Update user", "UserManagement", "user"},
	{audit.EntraDirectory, audit.ServiceEntra, "Consent to application", "ApplicationManagement", "app"},
	{audit.EntraSignIn, audit.ServiceEntra, "UserLoggedIn", "SignIn", "app"},
	{audit.EntraSignIn, audit.ServiceEntra, "UserLoginFailed", "SignIn", "app"},
	{audit.IntuneAudit, audit.ServiceIntune, "Patch DeviceManagementConfigurationPolicy", "Device configuration", "policy"},
	{audit.IntuneAudit, audit.ServiceIntune, "wipe ManagedDevice", "Device", "device"},
	{audit.M365Exchange, audit.ServiceExchange, "New-InboxRule", "Mailbox rules", "mailbox"},
	{audit.M365Exchange, audit.ServiceExchange, "MailItemsAccessed", "Mailbox", "mailbox"},
	{audit.M365SharePoint, audit.ServiceSharePoint, "FileDownloaded", "File and page", "file"},
	{audit.M365SharePoint, audit.ServiceOneDrive, "FileSyncUploadedFull", "Synchronization", "file"},
	{audit.M365SharePoint, audit.ServiceSharePoint, "SharingSet", "Sharing", "site"},
	{audit.M365General, audit.ServiceTeams, "MemberAdded", "Teams", "team"},
	{audit.M365General, audit.ServicePowerPlatform, "Launch_PowerApp", "App", "app"},
	{audit.M365DLP, audit.ServicePurview, "DlpRuleMatch", "DLP", "file"},
}

var (
	firstNames = []string{"Ana", "Bjørn", "Chloé", "Dmitri", "Élodie", "Fatima", "Grzegorz", "Hana", "Îlham", "Jürgen", "Kaja", "李娜", "Мария", "Nuno", "Ólafur", "Paulo"}
	lastNames  = []string{"Álvarez", "Brandt", "Çelik", "Dubois", "Eriksson", "Fischer", "García", "Hoffmann", "Ivanova", "Jansen", "Kowalski", "O'Brien", "Müller", "Nguyễn", "Okafor", "Strauß"}
	// Words that hold what query languages give a meaning to. They are data.
	thingNames = []string{
		"Q3 report (final).xlsx", "100%_off.docx", `He said "no".txt`, "a*b.csv", "O'Brien's notes", "NEAR/2 AND NOT x OR y", "col:umn^3",
		"C:\\temp\\x.ps1", "Budget-2026", "résumé.pdf", "Straße.one", "数据备份", "İstanbul", "{curly} [square] <angle>", "semi;colon -- drop table", "Global Administrator",
		"naïve café", "e\u0301tude", "ZERO\u200bWIDTH", "٣٤٥", "x²+y²", "🙂 smile.png", "$where: 1", "a.b.c_d-e+f",
	}
	countries = []string{"DE", "FR", "BR", "JP", "NO"}
	results   = []audit.Result{audit.Success, audit.Success, audit.Success, audit.Success, audit.Failure, audit.Partial, audit.Unknown}
)

const tenant = "7d3c1c9e-52a8-4f4b-9d0e-1b7d1c5a9f10"

// Event returns the i-th of an endless row of believable events: always the
// same for one i, about seven seconds apart, out of order by up to an hour, and
// every tenth at the very moment of another or one tick beside it.
func Event(i int) audit.Stored {
	r := rand.New(rand.NewPCG(2026, uint64(i)))
	a := acts[int(float64(len(acts))*r.Float64()*r.Float64())]
	actor := person(int(256 * r.Float64() * r.Float64()))
	thing := thingNames[r.IntN(len(thingNames))]
	e := audit.Event{
		RecordID: fmt.Sprintf("record-%08d", i), TenantID: tenant,
		Source: a.source, Service: a.service, Operation: a.operation, Category: a.category,
		Time: moment(r, i), Actor: actor, Result: results[r.IntN(len(results))],
		Targets: []audit.Target{{ID: fmt.Sprintf("t-%d", r.IntN(5000)), Name: thing, Type: a.target}},
		Changes: []audit.Change{},
		Context: audit.Context{Country: countries[r.IntN(len(countries))], DeviceName: fmt.Sprintf("PC-%04d", r.IntN(2000))},
		Summary: fmt.Sprintf("%s: %s by %s", a.operation, thing, actor.Name),
	}
	if r.IntN(3) == 0 {
		e.Changes = append(e.Changes, audit.Change{Name: "DisplayName", Old: "old " + thing, New: thing})
		e.CorrelationID = fmt.Sprintf("c-%d", r.IntN(1000))
	}
	return stored(e, fmt.Appendf(nil, `"Serial":%d`, r.Uint64()))
}

// Batch returns the events from..to-1.
func Batch(from, to int) []audit.Stored {
	batch := make([]audit.Stored, 0, to-from)
	for i := from; i < to; i++ {
		batch = append(batch, Event(i))
	}
	return batch
}

func person(n int) audit.Actor {
	first, last := firstNames[n%16], lastNames[n/16%16]
	return audit.Actor{
		ID: fmt.Sprintf("00000000-aaaa-4000-8000-%012d", n), Name: first + " " + last, Type: "user",
		UPN: fmt.Sprintf("%s.%s@contoso.example", first, last), IP: fmt.Sprintf("198.51.100.%d", n),
	}
}

func moment(r *rand.Rand, i int) time.Time {
	if i%10 == 9 { // beside the event before it
		prev := rand.New(rand.NewPCG(7, uint64(i-1)))
		return around(prev, i-1).Add(time.Duration(r.IntN(3)-1) * audit.TickLength)
	}
	return around(rand.New(rand.NewPCG(7, uint64(i))), i)
}

func around(r *rand.Rand, i int) time.Time {
	at := Epoch.Add(time.Duration(i)*7*time.Second - time.Duration(r.Int64N(int64(time.Hour))))
	return at.Truncate(audit.TickLength)
}

// stored completes an event with its id, evidence and tokens.
func stored(e audit.Event, more []byte) audit.Stored {
	id, err := audit.NewID(e.TenantID, e.Source, e.RecordID)
	if err != nil {
		panic(err) // an event of the suite without a record id is a mistake in the suite
	}
	e.ID = id
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and times always marshal
	}
	body = append(append(append(body[:len(body)-1], ','), more...), '}')
	return audit.Stored{Event: e, Raw: audit.NewRaw(body), Tokens: tokens(&e)}
}

func tokens(e *audit.Event) []string {
	return audit.Tokenize(e.Actor.Name, e.Actor.UPN, e.Operation, e.Targets[0].Name, e.Targets[0].ID, e.Actor.IP, e.Service, e.Context.DeviceName, e.Context.Country, e.RecordID)
}

// chunks is slices.Chunk for batches.
func chunks(events []audit.Stored, n int) iter.Seq[[]audit.Stored] { return slices.Chunk(events, n) }

package simtenant

import "slices"

// castOf returns who holds a position. Their names do not depend on the seed,
// so that a story is the same story in every tenant.
func castOf(n int) person {
	cast := [castSize]person{
		globalAdmin:       {name: "Marit Halvorsen", department: "IT", title: "Head of IT", roles: []string{"Global Administrator"}},
		exchangeAdmin:     {name: "Jonas Weidmann", department: "IT", title: "Messaging Engineer", roles: []string{"Exchange Administrator", "Teams Administrator"}},
		helpdeskAdmin:     {name: "Lena Fischer", department: "IT", title: "Service Desk Agent", roles: []string{"Helpdesk Administrator"}},
		analyst:           {name: "Samir Haddad", department: "IT", title: "Security Analyst", roles: []string{"Security Reader"}},
		endpointAdmin:     {name: "Aoife Brennan", department: "IT", title: "Endpoint Engineer", roles: []string{"Intune Administrator"}},
		payableClerk:      {name: "Tomas Brandt", department: "Finance", title: "Accounts Payable Clerk"},
		marketer:          {name: "Ingrid Solheim", department: "Marketing", title: "Campaign Lead"},
		engineer:          {name: "Pavel Novotny", department: "Research", title: "Senior Sensor Engineer"},
		financeChief:      {name: "Claire Dubois", department: "Finance", title: "Chief Financial Officer"},
		personnelPartner:  {name: "Hugo Almeida", department: "People", title: "People Partner"},
		complianceOfficer: {name: "Nadia Petrescu", department: "Legal", title: "Compliance Officer", roles: []string{"Compliance Administrator"}},
	}
	return cast[n]
}

// staffing is departments and what most of their people are called; a
// department stands as often as it is large.
var staffing = []pair{
	{"Production", "Assembly Technician"},
	{"Production", "Quality Inspector"},
	{"Production", "Line Planner"},
	{"Sales", "Account Manager"},
	{"Sales", "Inside Sales"},
	{"Research", "Sensor Engineer"},
	{"Research", "Firmware Developer"},
	{"Service", "Field Service Engineer"},
	{"Finance", "Controller"},
	{"Marketing", "Content Editor"},
	{"People", "Recruiter"},
	{"Legal", "Counsel"},
	{"IT", "Systems Engineer"},
}

func departments() []string {
	var out []string
	for _, d := range staffing {
		if !slices.Contains(out, d.name) {
			out = append(out, d.name)
		}
	}
	return out
}

// knownApps are Microsoft's own, by the names and application ids under which
// they stand in every tenant.
var knownApps = []pair{
	{"Office 365 Exchange Online", "00000002-0000-0ff1-ce00-000000000000"},
	{"Office 365 SharePoint Online", "00000003-0000-0ff1-ce00-000000000000"},
	{"Microsoft Graph", "00000003-0000-0000-c000-000000000000"},
	{"Microsoft Teams", "1fec8e78-bce4-4aaf-ab1b-5451cc387264"},
	{"Microsoft Office", "d3590ed6-52b3-4102-aeff-aad2292ab01c"},
	{"OfficeHome", "4765445b-32c6-49b0-83e6-1d93765276ca"},
	{"Outlook Mobile", "27922004-5251-4030-b22d-91ecd9a37ea4"},
	{"Azure Portal", "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"},
	{"Device Registration Service", "01cb2876-7ebd-4aa4-9cc9-d28bd4d359a9"},
	{"Microsoft Intune", "0000000a-0000-0000-c000-000000000000"},
}

var givenNames = []string{
	"Anna", "Bjorn", "Carla", "David", "Elif", "Fatima", "Georg", "Hanna", "Ivan", "Julia", "Karim", "Laura", "Mateo", "Nina", "Oskar",
	"Petra", "Quentin", "Rosa", "Stefan", "Tereza", "Ulrich", "Vera", "Wim", "Xenia", "Yusuf", "Zofia", "Arjun", "Beatriz", "Chen", "Daria",
	"Emil", "Freya", "Giulia", "Henrik", "Isabel", "Jakub", "Katrin", "Luca", "Mina", "Noah", "Olga", "Priya", "Rafael", "Sofia", "Thomas",
	"Una", "Viktor", "Wanda", "Yara", "Zeno", "Amir", "Birgit", "Cedric", "Dilan", "Erik", "Francesca", "Gustav", "Helena", "Ilse", "Jan",
}

var familyNames = []string{
	"Andersen", "Bauer", "Castro", "Demir", "Eriksson", "Farkas", "Garcia", "Hoffmann", "Ivanova", "Jensen", "Kowalski", "Larsen", "Meyer",
	"Nowak", "Olsen", "Pereira", "Quist", "Rossi", "Schmidt", "Toth", "Ueland", "Vogel", "Weber", "Yilmaz", "Zimmermann", "Aydin", "Berg",
	"Costa", "Dahl", "Engel", "Ferrari", "Graf", "Haugen", "Iversen", "Janssen", "Kaya", "Lund", "Moretti", "Nilsen", "Ortega", "Popescu",
	"Reyes", "Silva", "Tanaka", "Urban", "Vargas", "Wagner", "Young", "Zeller", "Ahmed", "Bianchi", "Cohen", "Dvorak", "Evans", "Fuchs",
	"Gruber", "Horvat", "Ibsen", "Jovanovic", "Keller", "Leclerc", "Marino", "Novak", "Okafor", "Patel", "Ruiz", "Sato", "Thorsen", "Varga", "Wolf",
}

var headOffice = place{"Hamburg", "Hamburg", "DE", 53.55, 9.99}

var homePlaces = []place{
	headOffice, headOffice, headOffice,
	{"Lübeck", "Schleswig-Holstein", "DE", 53.86, 10.68},
	{"Bremen", "Bremen", "DE", 53.07, 8.80},
	{"Lüneburg", "Lower Saxony", "DE", 53.24, 10.41},
	{"København", "Hovedstaden", "DK", 55.67, 12.56},
}

var agents = []agent{
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0", "Edge 131.0.0", "Edge", "Windows10", "Windows 10"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36", "Chrome 131.0.0", "Chrome", "Windows10", "Windows 10"},
	{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15", "Safari 18.1", "Safari", "MacOs", "MacOs"},
	{"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox 132.0", "Firefox", "Windows10", "Windows 10"},
}

// documents is stems and kinds of the files of the company.
var documents = []pair{
	{"Quarterly forecast", "xlsx"},
	{"Calibration protocol", "docx"},
	{"Supplier list", "xlsx"},
	{"Sensor head drawing", "pdf"},
	{"Customer visit notes", "docx"},
	{"Price list 2026", "xlsx"},
	{"Onboarding checklist", "docx"},
	{"Board pack", "pptx"},
	{"Test bench results", "csv"},
	{"Firmware release notes", "md"},
	{"Budget & headcount", "xlsx"},
	{"Müller GmbH – Angebot", "docx"},
	{"Service contract", "pdf"},
	{"Team photo", "jpg"},
}

var subjects = []string{
	"RE: delivery date of the spectrometer", "Agenda for Thursday", "Invoice 20418", "Fwd: calibration certificate", "Lunch?",
	"Travel to Aarhus", "AW: Angebot Müller GmbH", "Minutes of the line meeting", "Your parcel", "Re: Re: \"urgent\" change request",
}

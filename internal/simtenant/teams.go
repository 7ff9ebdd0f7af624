package simtenant

import "time"

// general is an hour of Audit.General: Teams mostly, and whatever has no
// content type of its own.
func (m *maker) general(part float64) {
	for range m.times(2.3 * part) {
		m.teamsEvent()
	}
	for range m.times(0.45 * part) {
		m.otherWorkload()
	}
}

// teamEvent is one operation in Teams.
type teamEvent struct {
	at        time.Time
	operation string
	who       *person
	ip        string
	team      group
	channel   channel
	members   []*person
	fields    []pair // further ones, as texts
}

func (m *maker) teamsEvent() {
	p := m.someone()
	here := m.presence(p, m.hour)
	e := teamEvent{at: m.moment(), who: p, ip: m.oddIP(here.ip), team: m.teams[m.rng.IntN(len(m.teams))]}
	e.channel = e.team.channels[m.rng.IntN(len(e.team.channels))]
	switch m.pick(30, 30, 12, 6, 3, 3, 1, 1) {
	case 0:
		e.operation, e.team, e.channel = "TeamsSessionStarted", group{}, channel{}
	case 1:
		e.operation, e.fields = "MessageSent", []pair{{"MessageId", m.messageTime(e.at)}, {"MessageVersion", m.messageTime(e.at)}}
	case 2:
		e.operation, e.team, e.channel, e.members = "ChatCreated", group{}, channel{}, []*person{p, m.someone()}
	case 3:
		e.operation, e.members, e.channel = "MemberAdded", []*person{m.someone(), m.someone()}, channel{}
	case 4:
		e.operation, e.fields = "ChannelAdded", []pair{{"ChannelType", "Standard"}}
	case 5:
		e.operation, e.fields = "TabAdded", []pair{{"TabType", "Planner"}, {"AddOnName", "Tasks"}, {"AddOnType", "2"}}
	case 6:
		e.operation, e.channel = "TeamSettingChanged", channel{}
		e.fields = []pair{{"Name", "Members can delete channels"}, {"OldValue", "True"}, {"NewValue", "False"}}
	case 7:
		e.operation, e.members, e.channel = "MemberRoleChanged", []*person{m.someone()}, channel{}
	}
	m.team(e)
}

// messageTime is how Teams names messages: milliseconds since 1970.
func (m *maker) messageTime(t time.Time) string { return itoa(int(t.UnixMilli())) }

// team writes the record. ResultStatus is never there.
func (m *maker) team(e teamEvent) {
	w := m.manage(m.newID(), e.at, head{operation: e.operation, kind: 25, userKey: e.who.id, workload: "MicrosoftTeams", ip: e.ip, user: e.who.upn})
	w.str("ItemName", e.team.name)
	w.open("ExtraProperties", '[')
	for _, p := range [...]pair{{"TimeZone", "Europe/Berlin"}, {"OsName", "windows"}, {"ClientName", "skypeteams"}, {"ClientVersion", "49/24102001316"}} {
		w.item()
		w.str("Key", p.name)
		w.str("Value", p.value)
		w.close('}')
	}
	w.close(']')
	if e.team.name != "" {
		w.str("TeamName", e.team.name)
		w.str("TeamGuid", e.team.id)
		w.str("AADGroupId", e.team.id)
	}
	if e.channel.name != "" {
		w.str("ChannelName", e.channel.name)
		w.str("ChannelGuid", e.channel.id)
	}
	if e.operation == "ChatCreated" {
		w.str("CommunicationType", "OneOnOne")
		w.str("ChatThreadId", "19:"+e.members[0].id+"_"+e.members[1].id+"@unq.gbl.spaces")
	}
	for _, p := range e.fields {
		w.str(p.name, p.value)
	}
	m.members(w, e)
	m.end(AuditGeneral, m.soon())
}

func (m *maker) members(w *writer, e teamEvent) {
	if len(e.members) == 0 {
		return
	}
	role := 1
	if e.operation == "MemberRoleChanged" {
		role = 2
	}
	w.open("Members", '[')
	for _, p := range e.members {
		w.item()
		w.str("DisplayName", p.name)
		w.num("Role", role)
		w.str("UPN", p.upn)
		w.close('}')
	}
	w.close(']')
}

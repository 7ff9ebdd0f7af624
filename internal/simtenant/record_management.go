package simtenant

import "time"

// head is what every record of the Management API begins with, in the order
// in which the services write it.
type head struct {
	operation string
	kind      int // RecordType
	result    string
	userKey   string
	userType  int
	workload  string
	ip        string // absent when "", see nullIP and emptyIP
	object    string
	user      string
}

// What stands in ClientIP besides addresses.
const (
	nullIP  = "null"
	emptyIP = "empty"
)

// manage begins a record of the Management API. Its times are whole seconds
// without a zone.
func (m *maker) manage(id string, at time.Time, h head) *writer {
	m.begin(id, at.Truncate(time.Second))
	w := &m.w
	w.key("CreationTime")
	w.b = append(at.AppendFormat(append(w.b, '"'), managementLayout), '"')
	if id != "" {
		w.str("Id", id)
	}
	w.str("Operation", h.operation)
	w.str("OrganizationId", m.tenant)
	w.num("RecordType", h.kind)
	if h.result != "" {
		w.str("ResultStatus", h.result)
	}
	w.str("UserKey", h.userKey)
	w.num("UserType", h.userType)
	w.num("Version", 1)
	w.str("Workload", h.workload)
	writeIP(w, h.ip)
	if h.object != "" {
		w.str("ObjectId", h.object)
	}
	w.str("UserId", h.user)
	return w
}

func writeIP(w *writer, ip string) {
	switch ip {
	case "":
	case nullIP:
		w.raw("ClientIP", "null")
	case emptyIP:
		w.str("ClientIP", "")
	default:
		w.str("ClientIP", ip)
	}
}

// withPort is how Exchange writes addresses of its administrators.
func (m *maker) withPort(ip string) string {
	port := 1024 + m.rng.IntN(64000)
	for i := range len(ip) {
		if ip[i] == ':' {
			return "[" + ip + "]:" + itoa(port)
		}
	}
	return ip + ":" + itoa(port)
}

// oddIP returns an address as it mostly is, sometimes in one of the other
// forms that services use.
func (m *maker) oddIP(ip string) string {
	switch m.rng.IntN(60) {
	case 0:
		return nullIP
	case 1:
		return emptyIP
	case 2, 3:
		return m.withPort(ip)
	}
	return ip
}

// soon is the time until a blob of the Management API holds a record.
func (m *maker) soon() time.Duration {
	if m.chance(25) {
		return m.between(25*time.Minute, 100*time.Minute)
	}
	return m.between(90*time.Second, 20*time.Minute)
}

// pick chooses by weight and returns the index.
func (m *maker) pick(weights ...int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	roll := m.rng.IntN(total)
	for i, w := range weights {
		if roll -= w; roll < 0 {
			return i
		}
	}
	return len(weights) - 1
}

package simtenant

import (
	"strings"
	"time"
)

// fileEvent is one operation in SharePoint or in somebody's OneDrive.
type fileEvent struct {
	at        time.Time
	operation string
	kind      int // 4 page, 6 file, 14 sharing, 36 list
	who       *person
	site      site
	folder    string
	name      string // with its extension
	ip        string
	session   string
	agent     string
	app       app
	eventData string
	target    pair // name and type of whom something is shared with
	bytes     int
}

// sharePoint is an hour of files.
func (m *maker) sharePoint(part float64) {
	for range m.times(9.0 * part) {
		m.ordinaryFile()
	}
}

func (m *maker) ordinaryFile() {
	p := m.someone()
	here := m.presence(p, m.hour)
	e := fileEvent{at: m.moment(), kind: 6, who: p, ip: m.oddIP(here.ip), session: here.session, agent: p.agent.text, folder: "Shared Documents/General"}
	e.site = m.sites[m.rng.IntN(len(m.sites))]
	if m.rng.IntN(5) < 2 {
		e.site, e.folder = p.drive, "Documents"
	}
	doc := documents[m.rng.IntN(len(documents))]
	e.name = doc.name + "." + doc.value
	switch m.pick(38, 17, 10, 12, 6, 3, 2, 4, 3, 2, 3) {
	case 0:
		e.operation = "FileAccessed"
	case 1:
		e.operation = "FileModified"
	case 2:
		e.operation = "FileDownloaded"
	case 3:
		e.operation, e.agent = "FileSyncDownloadedFull", "Microsoft SkyDriveSync 24.201.1006.0005 ship; Windows NT 10.0 (22631)"
	case 4:
		e.operation = "FileUploaded"
	case 5:
		e.operation = "FileRecycled"
	case 6:
		e.operation = "FileRenamed"
	case 7:
		e.operation, e.kind, e.name, e.folder = "PageViewed", 4, "Home.aspx", "SitePages"
	case 8:
		e.operation, e.kind, e.name, e.folder = "ListViewed", 36, "", ""
	case 9:
		e.operation, e.kind = "SharingSet", 14
		e.eventData, e.target = "<Permissions granted>Contribute</Permissions granted><MembersCanShareApplied>False</MembersCanShareApplied>", pair{m.someone().upn, "Member"}
	case 10:
		e.operation, e.kind = "CompanyLinkCreated", 14
	}
	m.file(e)
}

// workload is where a site is: drives are OneDrive's, with SharePoint's
// record types.
func (s site) workload() string {
	if strings.HasPrefix(s.url, oneDrive) {
		return "OneDrive"
	}
	return "SharePoint"
}

var itemTypes = map[int]string{4: "Page", 6: "File", 14: "File", 36: "List"}

// file writes the record.
func (m *maker) file(e fileEvent) {
	h := head{
		operation: e.operation, kind: e.kind, workload: e.site.workload(), ip: e.ip,
		userKey: "i:0h.f|membership|" + strings.ToLower(e.who.puid) + "@live.com", user: e.who.upn,
	}
	if e.who.puid == "" { // whoever comes by an open link
		h.userKey = e.who.upn
	}
	h.object = e.site.url
	if e.name != "" {
		h.object += "/" + e.folder + "/" + e.name
	}
	w := m.manage(m.newID(), e.at, h)
	w.open("AppAccessContext", '{')
	w.str("AADSessionId", e.session)
	w.str("CorrelationId", m.newID())
	w.str("UniqueTokenId", mailKey(m.rng, 22))
	w.close('}')
	w.str("AuthenticationType", "OAuth")
	w.str("CorrelationId", m.newID())
	w.str("EventSource", "SharePoint")
	w.flag("IsManagedDevice", e.who.device != nil && e.app.appID == "")
	w.str("ItemType", itemTypes[e.kind])
	w.str("ListId", e.site.list)
	if e.name != "" {
		w.str("ListItemUniqueId", m.newID())
	}
	w.str("Site", e.site.id)
	w.str("UserAgent", e.agent)
	w.str("WebId", e.site.web)
	if e.app.appID != "" {
		w.str("ApplicationId", e.app.appID)
		w.str("ApplicationDisplayName", e.app.name)
	}
	m.fileDetail(w, e)
	m.end(AuditSharePoint, m.soon())
}

func (m *maker) fileDetail(w *writer, e fileEvent) {
	if e.eventData != "" {
		w.str("EventData", e.eventData)
	}
	if e.kind == 36 {
		w.num("ItemCount", m.rng.IntN(400))
		w.str("ListBaseTemplateType", "101")
		w.str("ListBaseType", "DocumentLibrary")
		w.str("ListTitle", e.site.list)
		return
	}
	if e.bytes > 0 {
		w.num("FileSizeBytes", e.bytes)
	}
	if dot := strings.LastIndexByte(e.name, '.'); dot >= 0 {
		w.str("SourceFileExtension", e.name[dot+1:])
	}
	w.str("SiteUrl", e.site.url+"/")
	w.str("SourceFileName", e.name)
	w.str("SourceRelativeUrl", e.folder)
	if e.operation == "FileRenamed" {
		w.str("DestinationRelativeUrl", e.folder)
		w.str("DestinationFileName", "Copy of "+e.name)
	}
	if e.target.name != "" {
		w.str("TargetUserOrGroupName", e.target.name)
		w.str("TargetUserOrGroupType", e.target.value)
	}
	if e.operation == "AnonymousLinkCreated" || e.operation == "CompanyLinkCreated" {
		w.str("UniqueSharingId", m.newID())
	}
}

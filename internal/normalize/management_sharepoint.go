package normalize

import (
	"strings"

	"aoc/internal/audit"
)

// sharePoint reads a record of SharePoint or OneDrive: the file, list or page,
// where it went, with whom it was shared, and its site.
func (r *reading) sharePoint() {
	f := &r.record
	site := f.first("SiteUrl")
	if site == "" && f.get("ItemType").kind() == absent && f.get("SourceFileName").kind() == absent && f.get("WebId").kind() == absent {
		return
	}
	name := firstOf(f.first("SourceFileName"), listTitle(f.first("ListTitle", "ListName")), f.first("ListUrl"))
	if name == "" {
		name = lastSegment(f.first("ObjectId"))
	}
	r.target(f.str("ObjectId"), name, lower(f.first("ItemType")))
	r.sharedWith()
	r.destination(site)
	r.target(site, "", "site")
	r.eventData(f.str("EventData"))
}

// listTitle drops the id that stands in for the title of a list without one.
func listTitle(s string) string {
	if audit.IsGUID(s) {
		return ""
	}
	return s
}

func lastSegment(url string) string {
	url = strings.TrimRight(url, "/")
	return url[strings.LastIndexByte(url, '/')+1:]
}

func (r *reading) sharedWith() {
	f := &r.record
	r.target("", f.first("TargetUserOrGroupName"), firstOf(lower(f.first("TargetUserOrGroupType")), "recipient"))
	with := f.get("UserSharedWith")
	r.target("", with.String(), "recipient")
	for w := range with.elements() {
		r.target("", w.String(), "recipient")
	}
}

// destination reads where a file was moved, copied or renamed to.
func (r *reading) destination(site string) {
	f := &r.record
	name, dir := f.first("DestinationFileName"), f.first("DestinationRelativeUrl")
	if name == "" && dir == "" {
		return
	}
	id := strings.TrimRight(site, "/") + "/" + strings.Trim(dir, "/")
	if name != "" && !strings.HasSuffix(dir, name) {
		id = strings.TrimRight(id, "/") + "/" + name
	}
	r.target(id, name, "destination")
	if before := f.first("SourceFileName"); before != name {
		r.change("FileName", before, name)
	}
	if before := f.first("SourceRelativeUrl"); before != dir {
		r.change("RelativeUrl", before, dir)
	}
}

// eventData reads SharePoint's details, which look like XML and are not:
// <Permissions granted>Edit</Permissions granted><Group>Site Members</Group>.
func (r *reading) eventData(data string) {
	for data != "" {
		_, rest, found := strings.Cut(data, "<")
		if !found {
			return
		}
		name, rest, found := strings.Cut(rest, ">")
		if !found || strings.HasPrefix(name, "/") {
			data = rest
			continue
		}
		val, after, _ := strings.Cut(rest, "</"+name+">")
		data = after
		r.change(strings.TrimSpace(name), "", strings.TrimSpace(val))
		if strings.EqualFold(name, "Group") {
			r.target("", val, "group")
		}
	}
}

package simtenant

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// contentLayout is how the Management API writes the times of content.
const contentLayout = "2006-01-02T15:04:05.000Z"

// windowLayouts are the forms that startTime and endTime may have; a trailing
// Z is not documented and works. [REF; Wazuh]
var windowLayouts = []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04:05.999999999"}

func parseWindowTime(text string) (time.Time, error) {
	text = strings.TrimSuffix(text, "Z")
	for _, layout := range windowLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time", text)
}

// contentWindow is the span of contentCreated that is asked for, with the
// texts that a link to the next page repeats.
type contentWindow struct {
	from, to           time.Time
	startText, endText string
}

// maxWindow is the longest span that content is listed for.
const maxWindow = 24 * time.Hour

func (t *Tenant) window(r *http.Request) (contentWindow, error) {
	values := r.URL.Query()
	win := contentWindow{startText: values.Get("startTime"), endText: values.Get("endTime")}
	now, wire := t.now().UTC(), t.onWire()
	if win.startText == "" && win.endText == "" {
		return defaultWindow(now, wire), nil
	}
	if win.startText == "" || win.endText == "" {
		return win, af("AF20055")
	}
	var err error
	if win.from, err = parseWindowTime(win.startText); err != nil {
		return win, af("AF20002", "startTime", "datetime")
	}
	if win.to, err = parseWindowTime(win.endText); err != nil {
		return win, af("AF20002", "endTime", "datetime")
	}
	if wire.LongWindowPartial {
		win.to = earlier(win.to, win.from.Add(maxWindow))
	}
	if !win.from.Before(win.to) || win.to.Sub(win.from) > maxWindow || win.from.Before(now.Add(-wire.lookback())) {
		return win, af("AF20055")
	}
	return win, nil
}

// defaultWindow is what is listed when no window is given. It is cut to the
// millisecond: contentCreated has no more, and the link to the next page must
// mean the same window.
func defaultWindow(now time.Time, wire Wire) contentWindow {
	to := now.Truncate(time.Millisecond)
	win := contentWindow{from: to.Add(-maxWindow), to: to}
	if wire.DefaultFromMidnight {
		win.from = to.Truncate(24 * time.Hour)
	}
	const layout = "2006-01-02T15:04:05.000"
	win.startText, win.endText = win.from.Format(layout), win.to.Format(layout)
	return win
}

// listContent lists the blobs of a window. [REF "List available content"]
func (t *Tenant) listContent(w http.ResponseWriter, r *http.Request, g grant) error {
	feed, err := t.contentType(r, g)
	if err != nil {
		return err
	}
	s, err := t.subscribed(feed)
	if err != nil {
		return err
	}
	win, err := t.window(r)
	if err != nil {
		return err
	}
	list, err := t.after(r.URL.Query().Get("nextPage"), t.listed(feed, s, win))
	if err != nil {
		return err
	}
	if len(list) > t.pageSize {
		list = list[:t.pageSize]
		w.Header().Set("NextPageUri", t.nextPage(r, win, pageToken(list[len(list)-1])))
	}
	items := make([]map[string]any, len(list))
	for i, b := range list {
		items[i] = t.contentItem(origin(r), b)
	}
	return writeJSON(w, items)
}

// listed returns the blobs of a window that the client can see.
func (t *Tenant) listed(feed string, s subscription, win contentWindow) []blob {
	now, wire := t.now().UTC(), t.onWire()
	return slices.DeleteFunc(t.blobs(feed, win.from, win.to), func(b blob) bool {
		return !s.lists(b.created, now, wire) || t.faults.heldBack(b) || now.After(wire.expires(b.created))
	})
}

func (t *Tenant) contentItem(origin string, b blob) map[string]any {
	id := b.id()
	return map[string]any{
		"contentType": b.feed, "contentId": id,
		"contentUri":        origin + "/api/v1.0/" + t.TenantID() + "/activity/feed/audit/" + id,
		"contentCreated":    b.created.Format(contentLayout),
		"contentExpiration": t.onWire().expires(b.created).Format(contentLayout),
	}
}

// pageToken looks like 2015101900R022885001761 and says after which blob the
// page begins.
func pageToken(b blob) string {
	hour := b.created.Truncate(time.Hour)
	return fmt.Sprintf("%sR%07d%06d", hour.Format("2006010215"), b.created.Sub(hour).Milliseconds(), b.part)
}

// after drops the blobs of earlier pages.
func (t *Tenant) after(token string, list []blob) ([]blob, error) {
	if token == "" {
		return list, nil
	}
	hourText, rest, found := strings.Cut(token, "R")
	hour, err := time.Parse("2006010215", hourText)
	if !found || err != nil || len(rest) != 13 {
		return nil, af("AF20031", token)
	}
	ms, errMs := strconv.ParseUint(rest[:7], 10, 32)
	part, errPart := strconv.ParseUint(rest[7:], 10, 32)
	if errMs != nil || errPart != nil {
		return nil, af("AF20031", token)
	}
	last := blob{created: hour.Add(time.Duration(ms) * time.Millisecond), part: int(part)}
	i := slices.IndexFunc(list, func(b blob) bool { return b.compare(last) > 0 })
	if i < 0 {
		i = len(list)
	}
	return list[i:], nil
}

// nextPage is the address in the header NextPageUri: the window as it was
// asked for, with a token. The publisher's id is not in it. [REF "Pagination"]
func (t *Tenant) nextPage(r *http.Request, win contentWindow, token string) string {
	version := "/api/v1.0/"
	if t.onWire().OldNextPage {
		version = "/api/v1/"
	}
	operation := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	return origin(r) + version + t.TenantID() + "/activity/feed/subscriptions/" + operation +
		"?contentType=" + url.QueryEscape(r.URL.Query().Get("contentType")) +
		"&startTime=" + url.QueryEscape(win.startText) + "&endTime=" + url.QueryEscape(win.endText) +
		"&nextPage=" + token
}

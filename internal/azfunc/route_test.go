package azfunc

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTemplateMatch(t *testing.T) {
	tests := []struct {
		template, path string
		want           map[string]string // nil is no match
	}{
		{"/api/events", "/api/events", map[string]string{}},
		{"/api/events", "/API/Events/", map[string]string{}},
		{"/api/events", "/api/event", nil},
		{"/api/events", "/api", nil},
		{"/api/events/{id?}", "/api/events", map[string]string{}},
		{"/api/events/{id?}", "/api/events/x%2Fy", map[string]string{"id": "x%2Fy"}},
		{"/api/events/{id?}", "/api/events//", nil},
		{"/api/events/{id}", "/api/events", nil},
		{"/api/events/{id}", "/api/events/1/2", nil},
		{"/a/{n:int}", "/a/-7", map[string]string{"n": "-7"}},
		{"/a/{n:int}", "/a/99999999999", nil},
		{"/a/{n:long}", "/a/99999999999", map[string]string{"n": "99999999999"}},
		{"/a/{n:guid}", "/a/0af76519-16cd-43dd-8448-eb211c80319c", map[string]string{"n": "0af76519-16cd-43dd-8448-eb211c80319c"}},
		{"/a/{n:guid}", "/a/1", nil},
		{"/a/{n:alpha}", "/a/x1", nil},
		{"/a/{n:bool?}", "/a/True", map[string]string{"n": "True"}},
		{"/a/{n:bool?}", "/a/1", nil},
		{"/{*rest}", "/", map[string]string{"rest": ""}},
		{"/{*rest}", "/a/b", map[string]string{"rest": "a/b"}},
		{"/a/{**rest}", "/a/b/c/", map[string]string{"rest": "b/c"}},
		{"/a/{*rest}", "/b", nil},
		{"/", "/", map[string]string{}},
		{"/", "/a", nil},
	}
	for _, tt := range tests {
		parsed, err := parseTemplate(tt.template)
		require.NoError(t, err, tt.template)
		got, ok := parsed.match(tt.path)
		require.Equal(t, tt.want != nil, ok, "%s %s", tt.template, tt.path)
		if ok {
			require.Equal(t, tt.want, got, "%s %s", tt.template, tt.path)
		}
	}
}

func TestTemplateMistakes(t *testing.T) {
	for template, want := range map[string]string{
		"/a//b":        "empty segment",
		"/a{id}":       "not a whole segment",
		"/{id=1}":      "not a whole segment",
		"/{a?}/b":      "must be the last segment",
		"/{*a}/b":      "must be the last segment",
		"/{a}/{A}":     "is there twice",
		"/{a:date}":    `the constraint "date" is not one of`,
		"/admin/x":     "/admin is the host's own",
		"/Runtime":     "is the host's own",
		"/{a":          "not a whole segment",
		"/{a:int:min}": "not a whole segment",
	} {
		_, err := parseTemplate(template)
		require.ErrorContains(t, err, want, template)
	}
}

func TestTemplatePrecedence(t *testing.T) {
	app := open(t, plainHost, map[string][]string{
		"any":        {httpIn("a/{*rest}", "get"), httpOut2},
		"constraint": {httpIn("a/{id:int}", "get"), httpOut2},
		"literal":    {httpIn("a/new", "get"), httpOut2},
		"optional":   {httpIn("a/{id?}", "get"), httpOut2},
		"bare":       {httpIn("a", "get"), httpOut2},
		"posted":     {httpIn("a/new", "post"), httpOut2},
	})
	host, err := NewHost(app, HostOptions{Address: "x:1"})
	require.NoError(t, err)
	for target, want := range map[string]string{
		"GET /a": "bare", "GET /a/new": "literal", "GET /a/1": "constraint", "GET /a/x": "optional",
		"GET /a/x/y": "any", "POST /a/new": "posted", "POST /a/1": "", "GET /b": "",
	} {
		method, path, _ := cutTarget(target)
		f, _, known := host.route(method, path)
		require.Equal(t, path != "/b", known, target)
		if want == "" {
			require.Nil(t, f, target)
			continue
		}
		require.Equal(t, want, f.Name, target)
	}
}

func cutTarget(target string) (method, path string, ok bool) {
	for i, c := range target {
		if c == ' ' {
			return target[:i], target[i+1:], true
		}
	}
	return "", "", false
}

func TestResolvePath(t *testing.T) {
	tests := []struct{ target, path, escaped string }{
		{"/", "/", "/"},
		{"/a/./b", "/a/b", "/a/b"},
		{"/a/b/..", "/a/", "/a/"},
		{"/../../a", "/a", "/a"},
		{"/a%2Fb/../c", "/c", "/c"},
		{"/a%2fb", "/a%2Fb", "/a%2Fb"},
		{"/a/%2E%2e/b", "/b", "/b"},
		{"/a%252Fb", "/a%2Fb", "/a%2Fb"}, // which the host cannot tell from the line before
		{"/caf%C3%A9%20%3F", "/café ?", "/caf%C3%A9%20%3F"},
		{"//a", "//a", "//a"},
		{"/a%25", "/a%", "/a%25"},
	}
	for _, tt := range tests {
		u, err := url.ParseRequestURI(tt.target)
		require.NoError(t, err)
		path, escaped, err := resolvePath(u)
		require.NoError(t, err, tt.target)
		require.Equal(t, tt.path, path, tt.target)
		require.Equal(t, tt.escaped, escaped, tt.target)
	}
}

// FuzzResolvePath holds that no path keeps a segment that leads elsewhere and
// that what goes to the handler can be parsed.
func FuzzResolvePath(f *testing.F) {
	for _, seed := range []string{"/a/../b", "/%2e%2e/a", "/a%2F..%2F..", "/%zz", "/%25%32%65"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Opaque != "" {
			return
		}
		path, escaped, err := resolvePath(u)
		if err != nil {
			return
		}
		_, err = url.PathUnescape(escaped)
		require.NoError(t, err)
		for _, part := range splitPath(path) {
			require.NotContains(t, []string{".", ".."}, part)
		}
	})
}

func TestSchedule(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.DateTime, text)
		require.NoError(t, err)
		return parsed
	}
	for _, tt := range []struct{ schedule, from, next string }{
		{"*/30 * * * * *", "2026-01-01 00:00:00", "2026-01-01 00:00:30"},
		{"0 */5 * * * *", "2026-01-01 00:00:00", "2026-01-01 00:05:00"},
		{"*/5 * * * *", "2026-01-01 00:00:00", "2026-01-01 00:05:00"},
		{"0 30 9 * * 1-5", "2026-01-02 10:00:00", "2026-01-05 09:30:00"},
		{"0 0 0 13 * FRI", "2026-01-01 00:00:00", "2026-02-13 00:00:00"}, // both days, where cron takes either
		{"0 0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"},
	} {
		schedule, err := parseSchedule(tt.schedule)
		require.NoError(t, err, tt.schedule)
		require.Equal(t, at(tt.next), schedule.Next(at(tt.from)), tt.schedule)
	}
	daily, err := parseSchedule("0 0 0 * * *")
	require.NoError(t, err)
	elsewhere := at("2026-01-01 10:00:00").In(time.FixedZone("", 5*60*60))
	require.True(t, daily.Next(elsewhere).Equal(at("2026-01-02 00:00:00")), "midnight of UTC, wherever this computer is")
	for _, bad := range []string{"", "* * * *", "* * * * * * *", "61 * * * * *", "@hourly", "TZ=UTC * * * * * *", "%SCHEDULE%", "00:00:30", "0 0 0 31 2 *", "? * * * * *"} {
		_, err := parseSchedule(bad)
		require.Error(t, err, bad)
	}
	now := at("2026-01-01 00:00:00")
	for text, want := range map[string]bool{"*/30 * * * * *": true, "0,20 * * * * *": true, "0 * * * * *": false, "30 0 0 1 1 *": false} {
		schedule, err := parseSchedule(text)
		require.NoError(t, err)
		require.Equal(t, want, underMinute(schedule, now), text)
	}
}

package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aoc/internal/audit"

	"github.com/stretchr/testify/require"
)

const (
	hookTenant = "11111111-2222-3333-4444-555555555555"
	hookID     = "the-shared-word"
)

func hookAPI(t *testing.T) (*API, *planner) {
	a, _, p, _ := testAPI(t)
	a.WebhookAuthID, a.Features.TenantID = secretOf(hookID), hookTenant
	a.Features.Sources = []audit.Source{audit.EntraDirectory, audit.M365DLP, audit.M365Exchange, audit.M365SharePoint, audit.M365General, audit.M365Entra}
	return a, p
}

// notice is one blob of a notification, as the Management API sends it.
func notice(contentType, id string, more ...string) string {
	return fmt.Sprintf(`{"tenantId":%q,"clientId":"c","contentType":%q,"contentId":%q,"contentUri":"https://manage.office.com/%s","contentCreated":"2026-03-31T14:02:03.123+02:00","contentExpiration":"2026-04-07T12:02:03Z"%s}`,
		hookTenant, contentType, id, id, strings.Join(more, ""))
}

func notify(t *testing.T, a *API, body string) (int, map[string]any) {
	t.Helper()
	status, answer, _ := call(t, a, "POST", "/api/webhooks/o365", body, "Webhook-AuthID", hookID)
	return status, answer
}

func TestWebhookWithoutItsWord(t *testing.T) {
	body := "[" + notice("DLP.All", "b") + "]"
	a, p := hookAPI(t)
	a.WebhookAuthID = secretOf("")
	for _, headers := range [][]string{nil, {"Webhook-AuthID", ""}, {"Webhook-AuthID", hookID}, {"Webhook-ValidationCode", "v"}} {
		status, _, _ := call(t, a, "POST", "/api/webhooks/o365", body, headers...)
		require.Equal(t, 404, status, "there is no webhook: %v", headers)
	}
	a.WebhookAuthID = secretOf(hookID)
	for _, headers := range [][]string{
		nil,
		{"Webhook-AuthID", ""},
		{"Webhook-AuthID", "x"},
		{"Webhook-AuthID", hookID + "x"},
		{"Webhook-AuthID", hookID[:3]},
		{"Webhook-AuthID", strings.ToUpper(hookID)},
		{"Webhook-ValidationCode", "v"},
	} {
		status, answer, _ := call(t, a, "POST", "/api/webhooks/o365", body, headers...)
		require.Equal(t, 403, status, "%v", headers)
		code, message := told(t, answer)
		require.Equal(t, "forbidden", code)
		require.NotContains(t, message, hookID)
	}
	require.Empty(t, p.pushed)
	status, _, _ := call(t, a, "GET", "/api/webhooks/o365", "", "Webhook-AuthID", hookID)
	require.Equal(t, 404, status, "it takes a POST only")
}

func TestWebhookHandshake(t *testing.T) {
	a, p := hookAPI(t)
	status, _, _ := call(t, a, "POST", "/api/webhooks/o365", `{"validationCode":"v"}`, "Webhook-AuthID", hookID, "Webhook-ValidationCode", "v")
	require.Equal(t, 200, status)
	require.Empty(t, p.pushed)
}

func TestWebhookPushes(t *testing.T) {
	a, p := hookAPI(t)
	types := map[string]audit.Source{
		"Audit.AzureActiveDirectory": audit.M365Entra, "Audit.Exchange": audit.M365Exchange, "Audit.SharePoint": audit.M365SharePoint,
		"Audit.General": audit.M365General, "DLP.All": audit.M365DLP,
	}
	for name, source := range types {
		p.pushed = nil
		status, answer := notify(t, a, "["+notice(name, "b1")+","+notice(name, "b2", `,"grown":{"later":[1]}`)+"]")
		require.Equal(t, 200, status)
		require.EqualValues(t, 2, answer["blobs"])
		require.Len(t, p.pushed, 2)
		require.Equal(t, audit.Blob{
			Source: source, ID: "b1", URI: "https://manage.office.com/b1",
			Created: time.Date(2026, 3, 31, 12, 2, 3, 123e6, time.UTC), Expires: time.Date(2026, 4, 7, 12, 2, 3, 0, time.UTC),
		}, p.pushed[0])
		require.Equal(t, "b2", p.pushed[1].ID, "Microsoft's bodies may grow")
	}
	p.pushed = nil
	status, _ := notify(t, a, "["+strings.Replace(notice("DLP.All", "b"), hookTenant, strings.ToUpper(hookTenant), 1)+"]")
	require.Equal(t, 200, status, "an id is one in either case")
	require.Len(t, p.pushed, 1)
}

func TestWebhookIgnoresWhatIsNotRead(t *testing.T) {
	a, p := hookAPI(t)
	a.Features.Sources = []audit.Source{audit.M365DLP}
	status, answer := notify(t, a, "["+notice("Audit.Exchange", "off")+","+notice("DLP.All", "on")+","+notice("Audit.Tomorrow", "unknown")+"]")
	require.Equal(t, 200, status, "else Microsoft would send it again and again")
	require.EqualValues(t, 1, answer["blobs"])
	require.Len(t, p.pushed, 1)
	require.Equal(t, "on", p.pushed[0].ID)
	status, answer = notify(t, a, "[]")
	require.Equal(t, 200, status)
	require.EqualValues(t, 0, answer["blobs"])
}

func TestWebhookRefusesWhole(t *testing.T) {
	good := notice("DLP.All", "good")
	without := func(what string) string { return strings.Replace(good, `"`+what+`":`, `"x":`, 1) }
	foreign := strings.Replace(good, hookTenant, "99999999-2222-3333-4444-555555555555", 1)
	tests := map[string]struct {
		body   string
		status int
		says   string
	}{
		"of another tenant":         {"[" + good + "," + foreign + "]", 400, "[1].tenantId: "},
		"a foreign one, first":      {"[" + foreign + "," + good + "]", 400, "[0].tenantId: "},
		"a foreign one, not read":   {"[" + good + "," + strings.Replace(foreign, "DLP.All", "Audit.Tomorrow", 1) + "]", 400, "[1].tenantId: "},
		"of no tenant":              {"[" + good + "," + without("tenantId") + "]", 400, "[1].tenantId: "},
		"without id":                {"[" + good + "," + without("contentId") + "]", 400, "[1]: "},
		"without address":           {"[" + good + "," + without("contentUri") + "]", 400, "[1]: "},
		"without time":              {"[" + good + "," + without("contentCreated") + "]", 400, "[1]: "},
		"a bad time":                {"[" + strings.Replace(good, "2026-03-31T", "soon", 1) + "]", 400, "body: "},
		"a long id":                 {"[" + notice("DLP.All", strings.Repeat("x", 4097)) + "]", 400, "[0]: "},
		"too many":                  {"[" + strings.Repeat(`{},`, maxNotified) + "{}]", 400, fmt.Sprintf("body: expected at most %d blobs, got %d", maxNotified, maxNotified+1)},
		"too large":                 {"[" + good + strings.Repeat(" ", maxNotification) + "]", 413, "too large"},
		"too large, of many":        {"[" + strings.Repeat(good+",", 1+maxNotification/len(good)) + good + "]", 413, "too large"},
		"an object":                 {good, 400, "body: expected an array"},
		"nothing":                   {"", 400, "body: expected an array"},
		"half an array":             {"[" + good, 400, "body: expected an array"},
		"no objects":                {"[1,2]", 400, "body: expected an array"},
		"a page of another program": {"<html>", 400, "body: expected an array"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a, p := hookAPI(t)
			status, answer := notify(t, a, tt.body)
			require.Equal(t, tt.status, status)
			_, message := told(t, answer)
			require.Contains(t, message, tt.says)
			require.Empty(t, p.pushed)
		})
	}
}

func TestWebhookAnswersWellOnlyWhenItIsKept(t *testing.T) {
	a, p := hookAPI(t)
	p.failed = errors.New("dial mongodb://aoc:hunter2@db: refused")
	status, answer := notify(t, a, "["+notice("DLP.All", "b")+"]")
	require.Equal(t, 500, status)
	_, message := told(t, answer)
	require.Equal(t, "internal error", message)
	p.failed = audit.ErrBusy
	status, _ = notify(t, a, "["+notice("DLP.All", "b")+"]")
	require.Equal(t, 503, status)
	p.failed = nil
	status, _ = notify(t, a, "["+notice("DLP.All", "b")+"]")
	require.Equal(t, 200, status)
}

func secretOf(value string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return value, nil }
}

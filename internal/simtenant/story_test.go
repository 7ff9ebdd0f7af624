package simtenant

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// plots is what must be found in a story, in this order.
var plots = map[string][]string{
	StorySpray: {
		"UserLoginFailed", "UserLoggedIn", "New-InboxRule", "AlertTriggered", "MailItemsAccessed", "FileDownloaded", "Send", "HardDelete",
		"Reset user password", "Update StsRefreshTokenValidFrom Timestamp.", "Remove-InboxRule",
	},
	StoryConsent:    {"UserLoggedIn", "Add service principal.", "Add delegated permission grant", "Consent to application.", "Add app role assignment to service principal.", "MailItemsAccessed"},
	StoryLeaver:     {"FileDownloaded", "AnonymousLinkCreated", "AnonymousLinkUsed", "DlpRuleMatch", "Disable account.", "Remove member from group", "wipe ManagedDevice", "UserLoginFailed"},
	StoryEscalation: {"UserLoginFailed", "UserLoggedIn", "Add member to role completed (PIM activation).", "Add member to role.", "Reset user password.", "Update conditional access policy.", "Delete conditional access policy.", "Disable Strong Authentication.", "Set-AdminAuditLogConfig", "Remove member from role.", "Set-AdminAuditLogConfig"},
}

func epochs() map[string]time.Time {
	return map[string]time.Time{
		"evening":              testEpoch,
		"just after midnight":  time.Date(2026, 11, 23, 23, 0, 1, 0, time.UTC),
		"just before midnight": time.Date(2026, 11, 24, 22, 59, 59, 0, time.UTC),
		"Monday":               time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC),
		"Sunday":               time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		"clocks changed":       time.Date(2026, 10, 27, 8, 0, 0, 0, time.UTC),
		"new year":             time.Date(2027, 1, 2, 3, 0, 0, 0, time.UTC),
	}
}

func TestStoriesAreSeenInTheLastSevenDays(t *testing.T) {
	for name, epoch := range epochs() {
		t.Run(name, func(t *testing.T) {
			h := newHistory(31, epoch, 120)
			listed := map[string]bool{}
			for _, feed := range everyFeed {
				for _, r := range h.published(feed, epoch.Add(-7*24*time.Hour), epoch) {
					listed[feed+" "+r.ID] = true
				}
			}
			require.Len(t, h.stories, len(plots))
			for _, s := range h.stories {
				for _, r := range s.Records {
					require.NotEmpty(t, r.ID)
					require.True(t, listed[r.Feed+" "+r.ID], "%s: %s of %s", s.Name, r.Operation, r.At)
					require.True(t, r.At.Before(epoch))
				}
			}
		})
	}
}

func TestStoriesFollowTheirPlot(t *testing.T) {
	for name, epoch := range epochs() {
		for _, s := range newHistory(31, epoch, 120).stories {
			rest := plots[s.Name]
			require.NotEmpty(t, rest, s.Name)
			for _, r := range s.Records {
				if len(rest) > 0 && r.Operation == rest[0] {
					rest = rest[1:]
				}
			}
			require.Empty(t, rest, "%s, %s: stopped before", s.Name, name)
		}
	}
}

func TestTheLeaverIsNotSeenAgain(t *testing.T) {
	h := newHistory(31, testEpoch, 60)
	leaver := h.company.staff[engineer]
	told := map[string]bool{}
	for _, s := range h.stories {
		for _, r := range s.Records {
			told[r.ID] = true
		}
	}
	acts := func(from, to time.Time) (n int) {
		for _, feed := range []string{SignIns, AuditExchange, AuditSharePoint} {
			for _, r := range h.occurred(feed, from, to, testEpoch.Add(100*24*time.Hour)) {
				if !told[r.ID] && strings.Contains(string(r.Body), `"UserId":"`+leaver.upn) {
					n++
				}
			}
		}
		return n
	}
	closed := leaverClosed(testEpoch)
	require.Positive(t, acts(closed.Add(-10*24*time.Hour), closed))
	require.Zero(t, acts(closed, closed.Add(20*24*time.Hour)))
}

// TestSecretsAreCanaries: whatever looks for leaked secrets looks for this word.
func TestSecretsAreCanaries(t *testing.T) {
	h := newHistory(31, testEpoch, 600)
	for feed, kinds := range map[string][]string{
		AuditExchange: {"CANARY-PASSWORD-"},
		IntuneAudits:  {"CANARY-WIFI-", "CANARY-OMA-", "CANARY-SCRIPT-"},
		DLPAll:        {"CANARY-4111-"},
	} {
		var all strings.Builder
		for _, r := range weekOf(h, feed) {
			all.Write(r.Body)
		}
		for _, kind := range kinds {
			require.Contains(t, all.String(), kind)
		}
	}
}

package normalize

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

// FuzzNormalize: it never panics, reads nothing that encoding/json refuses, and
// what it accepts is whole, hashed as stored, and the same when read again.
func FuzzNormalize(f *testing.F) {
	feeds := []audit.Source{
		audit.M365General, audit.EntraDirectory, audit.EntraSignIn, audit.EntraSignInPrincipal, audit.IntuneAudit,
		audit.EntraSignInNonInter, audit.EntraSignInManaged, audit.EntraProvisioning, audit.EntraRisk,
		audit.AzureMonitor, audit.M365DLP, audit.PurviewQuery, audit.M365Exchange, audit.M365SharePoint, audit.M365Entra,
	}
	for _, rec := range fixtures(f) {
		for i, feed := range feeds {
			if feed == rec.Source {
				f.Add(i, []byte(rec.Raw))
			}
		}
	}
	f.Add(0, []byte(`{"Operation":"a","CreationTime":"2025-01-01T00:00:00","Parameters":"-Password \"x"}`))
	n := New(DefaultMappings())
	f.Fuzz(func(t *testing.T, feed int, raw []byte) {
		rec := audit.Record{Source: feeds[uint(feed)%uint(len(feeds))], TenantID: tenant, Raw: raw}
		s, err := n.Normalize(rec)
		if err != nil {
			require.NotEmpty(t, Quarantine(rec, err, s.Event.Time).ID)
			return
		}
		require.True(t, json.Valid(raw))
		requireStable(t, n, rec, s)
	})
}

// requireStable checks that what was stored reads as the same event again.
func requireStable(t *testing.T, n *Normalizer, rec audit.Record, s audit.Stored) {
	t.Helper()
	require.True(t, json.Valid(s.Raw.Bytes))
	requireWhole(t, s)
	again, err := n.Normalize(audit.Record{Source: rec.Source, TenantID: tenant, Raw: s.Raw.Bytes})
	require.NoError(t, err)
	require.Equal(t, s, again)
	n.Describe(&again)
	require.Equal(t, s, again)
}

// FuzzTexts puts a text where feeds have command lines, JSON and XML in texts,
// and a secret where it must not be found again.
func FuzzTexts(f *testing.F) {
	for _, s := range []string{`-Password "a b" -X`, `{"Password":"x"}`, `<a password='x'>`, `Password=x;B=c`, "-Password 'a`' \n -B", `["a",{"b":[1]}]`, `"\"\u0070"`} {
		f.Add(s, "hunter2!")
	}
	n := New(DefaultMappings())
	f.Fuzz(func(t *testing.T, text, secret string) {
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		secret = "s3cr3t" + strings.Map(func(r rune) rune {
			if r < ' ' || r == '\'' || r == '"' || r == '`' || r == '\\' {
				return -1
			}
			return r
		}, strings.ToValidUTF8(secret, ""))
		line, err := json.Marshal("-Identity x -Password '" + secret + "' -Force")
		require.NoError(t, err)
		pair, err := json.Marshal(map[string]string{"Name": "NewPassword", "Value": secret})
		require.NoError(t, err)
		rec := record(`,"Data":` + string(quoted) + `,"NonPIIParameters":` + string(quoted) + `,"EventData":` + string(quoted) +
			`,"UserId":` + string(quoted) + `,"ModifiedProperties":[{"Name":"N","NewValue":` + string(quoted) + `}],"Parameters":[` +
			string(pair) + `,{"Name":"Line","Value":` + string(line) + `},` + string(quoted) + `]`)
		s, err := n.Normalize(rec)
		require.NoError(t, err)
		require.NotContains(t, string(s.Raw.Bytes), "s3cr3t")
		requireStable(t, n, rec, s)
	})
}

// FuzzTape: it accepts what encoding/json accepts, but for depth.
func FuzzTape(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+3,true,null,"\u00e9\n"]}`, `[]`, ` "x" `, `{"a":}`, "\"\x01\"", `01`, `1.`, `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		doc := &tape{}
		err := doc.read(src)
		if err == nil {
			require.True(t, json.Valid(src))
			return
		}
		require.False(t, json.Valid(src) && len(src) < maxDepth, "%v", err)
	})
}

// FuzzParseMappings: it never panics, and what it accepts can word an event.
func FuzzParseMappings(f *testing.F) {
	f.Add(defaultYAML)
	f.Add([]byte("fallback: {summary: '{actor}[ {target.2}]', failure: '{error}'}"))
	f.Add([]byte("a: &x [*x]"))
	e := audit.Event{Operation: "Add user", Service: "Entra", Result: audit.Failure}
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := ParseMappings(file)
		if err != nil {
			require.Nil(t, m)
			return
		}
		require.NotEmpty(t, m.summary(m.ruleFor(&e), &e))
	})
}

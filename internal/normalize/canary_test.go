package normalize

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"aoc/internal/audit"
)

// canary stands for a secret; § is where it goes.
const canary = "Zq7Kx9Wv3Tn5Rb8Mc2Lp6Fd4Hs1Gj0Y"

// spot is a place where records of some kind hold a secret.
type spot struct {
	class    string
	members  string // of an object
	own      string // the canary, where it has a form of its own
	settings bool   // judged so among Intune's settings only
	strict   bool   // letters are part of its form, so their case stays
}

func (s spot) canary() string { return cmp.Or(s.own, canary) }

// secretNames are names of what must never be stored, by who writes them.
var secretNames = map[string]string{
	"Exchange parameters": `Password RoomMailboxPassword NewPassword Credential Credentials Pin IncomingPassword CSVData AdminPassword
		AzureSharedAccessSignatureToken SASToken SecurePassword PlainTextPassword ApplicationSecret MicrosoftOnlineServicesPassword`,
	"SharePoint, Teams":    `ClientSecret AppSecret AccessToken SharedSecret Passcode ConferencePin`,
	"Entra credentials":    `secretText passwordCredentials SecretToken OathSecretKey temporaryAccessPass passwordHint clientAssertion privateKey`,
	"Entra devices":        `recoveryKey LocalAdminPassword passwordBase64 ms-Mcs-AdmPwd msLAPS-Password msLAPS-EncryptedPassword DeviceToken`,
	"OAuth":                `access_token refresh_token id_token client_secret authorizationCode samlResponse Cookie Set-Cookie clientState`,
	"Power Platform":       `connectionString ConnectionStrings apiKey x-functions-key Ocp-Apim-Subscription-Key secureConfig accountKey primaryKey`,
	"Azure":                `storageAccountKey sharedAccessKey AccountKey SharedKey primaryMasterKey hostKey`,
	"recovery":             `recoveryCodes bypassCode activationLockBypassCode unlockCode backupCode verificationCode FileVault.PersonalRecoveryKey passphrase`,
	"Intune settings":      `preSharedKey WiFi.PSK VpnSharedSecret eapPassword vppToken depToken enrollmentToken encryptedPfxPassword`,
	"Intune settings only": `scepChallenge OmaSettings[0].Value omaSettings pfxBlob trustedRootCertificate ScriptContent detectionScriptContent qrCodeContent payload WifiKey certificate`,
	"DLP":                  `DetectedValues SensitiveInformationDetections detectedText MatchedContent surroundingText contentPreview evidencePreview Snippet`,
}

// secretTexts are texts that hold a secret, by its form.
var secretTexts = map[string][]string{
	"JWT":                 {"eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.§", "eyJhbGciOiJSUzI1NiJ9.eyJ§", "eyJhbGciOiJkaXIiLCJlbmMiOiJ4In0..§.§.tag"},
	"private key":         {"-----BEGIN PRIVATE KEY-----\nMII§\nabc=\n-----END PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----\r\n§", "-----BEGIN ENCRYPTED PRIVATE KEY-----§-----END ENCRYPTED PRIVATE KEY-----"},
	"SAS":                 {"https://a.blob.core.windows.net/c?sv=2022-11-02&se=2025-01-01&sig=§%2Bx%3D&sp=r", "?sig=§", "SAS token: ?sv=1&sr=c&sig=§; Expires", "https://h.azure.com/workflows/1/triggers/manual/paths/invoke?api-version=1&sp=%2F&sig=§"},
	"connection string":   {"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=§/x+y==;EndpointSuffix=core.windows.net", "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=§=", "Server=s; User ID=u; Password=a b §; Encrypt=true", "Server=s;Pwd='a;§';X=y", "BlobEndpoint=https://x/;SharedAccessSignature=sv=1&sig=§"},
	"function key":        {"https://x.azurewebsites.net/api/f?code=§==", "https://x.azurewebsites.net/api/f?a=b&code=§"},
	"OAuth in a URL":      {"https://x/cb?code=0.AX§&state=1", "https://x/cb#access_token=§&token_type=Bearer", "grant_type=refresh_token&client_secret=§&refresh_token=§", "https://x/?client_assertion=§", "https://x/redeem?tenant=1&user=2&ticket=§&ver=2.0", "https://x/?api_key=§", "https://x/?a=1&password=§"},
	"guest access":        {"https://contoso.sharepoint.com/_layouts/15/guestaccess.aspx?guestaccesstoken=§%3d&docid=1", "https://contoso.sharepoint.com/_layouts/15/download.aspx?UniqueId=1&tempauth=v1.§.x", "https://onedrive.live.com/?resid=1&authkey=!§"},
	"URL in a URL":        {"https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fx%2F%3Fa%3Db%26sig%3D§%26c%3Dd&data=05", "https://x/?u=https%253A%252F%252Fx%253Fsig%253D§%2526c"},
	"password in a URL":   {"https://user:§@host.example/x", "ftp://u:p@§@host/", "see mongodb+srv://admin:§@cluster.example/db?x=y"},
	"Authorization":       {"Authorization: Bearer §.x", "bearer §", "curl -H \"Authorization: Basic §==\" https://x", "authorization: SharedKey acct:§=", "x\nAuthorization: Bearer §\ny"},
	"cookie":              {"Cookie: a=b; ESTSAUTHPERSISTENT=§; c=d", "FedAuth=§; rtFa=§"},
	"client secret":       {"aB38Q~§xyz0123456", "secret is ~.-8Q~§~-._01234, see"},
	"webhook":             {"https://contoso.webhook.office.com/webhookb2/§@1/IncomingWebhook/§/§", "https://outlook.office.com/webhook/1/IncomingWebhook/§/2", "https://hooks.slack.com/services/T0/B0/§"},
	"JSON inside of text": {`Body: {"client_secret":"§"}`, `request = {"a":{"Password" : "§"}} sent`},
	"XML":                 {`<WLANProfile><sharedKey><keyMaterial>§</keyMaterial></sharedKey></WLANProfile>`, `<add key="x" password="§"/>`, `<a href="https://x/?y=1&amp;sig=§&amp;z=2">`},
}

// secretLines are command lines.
var secretLines = []string{
	`-Identity bob -Password §`, `-Password "§ x" -Force`, `-Password '§''x' -Force`, `-Password:§`, `-Password two §`, `Set-Mailbox bob -RoomMailboxPassword (ConvertTo-SecureString -String '§' -AsPlainText -Force)`,
	`$p = ConvertTo-SecureString "§" -AsPlainText -Force; Set-X -Y 1`, `ConvertTo-SecureString -String §`, `setup.exe /q PASSWORD=§ LICENSE=1`, `-Pin 12§`, `-ClientSecret:"§"`, "-A 1\r\n-AccessToken §\r\n-B 2", `-Uri https://x/?sig=§ -Password §`,
}

// oddSpots are objects of which one member tells what another is.
var oddSpots = []spot{
	{class: "DLP", members: `"SensitiveInformationDetectionsInfo":{"DetectedValues":[{"Name":"§","Value":"a § b"}],"Matches":["§"],"Count":1}`},
	{class: "DLP", members: `"PolicyDetails":[{"Rules":[{"ConditionsMatched":{"SensitiveInformation":[{"Count":1,"SensitiveInformationDetections":{"DetectedValues":[{"Name":"§"}],"ResultsTruncated":false}}]}}]}]`},
	{class: "Entra credentials", members: `"passwordCredentials":[{"keyId":"1","hint":"§","displayName":"x"}]`},
	{class: "Entra credentials", members: `"keyCredentials":[{"customKeyIdentifier":"1","keyId":"2","type":"X509CertAndPassword","usage":"Sign","key":"§"}]`},
	{class: "Entra credentials", members: `"secrets":[{"key":"SecretToken","value":"§"}]`},
	{class: "Power Platform", members: `"parameter":{"type":"securestring","value":"§"}`},
	{class: "Power Platform", members: `"parameters":{"p":{"type":"SecureObject","defaultValue":{"a":"§"}}}`},
	{class: "Power Platform", members: `"connectionParameters":{"server":"s","password":{"value":"§"}}`},
	{class: "Power Platform", members: `"authentication":{"type":"Basic","username":"u","password":"§"}`},
	{class: "Intune settings", members: `"settingValue":{"@odata.type":"#microsoft.graph.deviceManagementConfigurationSecretSettingValue","value":"§","valueState":"notEncrypted"}`},
	{class: "Intune settings", members: `"omaSettings":[{"@odata.type":"#microsoft.graph.omaSettingString","omaUri":"./Device/X","value":"§"}]`},
	{class: "Intune settings", members: `"modifiedProperties":[{"displayName":"x","newValue":"§","isSecret":"true"}]`},
	{class: "Intune settings", members: `"modifiedProperties":[{"displayName":"InstallCommandLine","newValue":"setup.exe /q PASSWORD=§"}]`},
	{class: "BitLocker", members: `"key":"739184-225511-330044-118899-556677-220011-443322-667788"`, own: "739184-225511-330044-118899-556677-220011-443322-667788"},
	{class: "BitLocker", members: `"Text":"the key 739184-225511-330044-118899-556677-220011-443322-667788 was read"`, own: "739184-225511-330044-118899-556677-220011-443322-667788"},
}

// quoted is s as JSON, with the escapes that Go's and .NET's encoders write.
func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// spots lists all places, in all the forms of names and values.
func spots() []spot {
	list := slices.Clone(oddSpots)
	for class, names := range secretNames {
		settings := class == "Intune settings only"
		for name := range strings.FieldsSeq(names) {
			q := quoted(name)
			forms := []string{
				`"Parameters":[{"Name":` + q + `,"Value":"§"}]`, `"ModifiedProperties":[{"Name":` + q + `,"OldValue":"§","NewValue":"x §"}]`,
				`"modifiedProperties":[{"displayName":` + q + `,"oldValue":null,"newValue":"\"§\""}]`, `"ExtendedProperties":[{"Key":` + q + `,"Value":["§",{"a":"§"}]}]`,
				`"P":{"propertyName":` + q + `,"Value":{"b":"§"}}`,
			}
			if !settings {
				forms = append(forms, q+`:"§"`, `"X":{`+q+`:["§","§"]}`, q+`:{"OldValue":"","NewValue":"§"}`)
			}
			for _, form := range forms {
				list = append(list, spot{class: class, members: form, settings: settings})
			}
		}
	}
	for class, texts := range secretTexts {
		for _, text := range texts {
			q := quoted(text)
			for _, form := range []string{
				`"ObjectId":` + q, `"Subject":` + quoted("see "+text+" there"), `"Parameters":[{"Name":"Url","Value":` + q + `}]`,
				`"ModifiedProperties":[{"Name":"Address","NewValue":` + q + `}]`, `"targetResources":[{"id":"1","displayName":` + q + `}]`, `"List":["a",` + q + `]`,
				`"UserAgent":` + q, `"resultReason":` + q,
			} {
				list = append(list, spot{class: class, members: form, strict: true})
			}
		}
	}
	for _, line := range secretLines {
		for _, form := range []string{`"Parameters":`, `"CmdletParameters":`, `"ProcessCommandLine":`, `"scriptBlock":`} {
			list = append(list, spot{class: "command line", members: form + quoted(line)})
		}
		list = append(list, spot{class: "command line", members: `"Parameters":[{"Name":"Arguments","Value":` + quoted(line) + `}]`})
	}
	list = append(list, spot{class: "command line", members: `"Parameters":["-Identity","bob","-Password","§"]`}, spot{class: "command line", members: `"Parameters":["Password=§","X: 1"]`})
	return list
}

// bases are the least that a record of each feed says.
var bases = func() map[audit.Source]string {
	const (
		management   = `"Id":"1","CreationTime":"2025-01-01T00:00:00","Operation":"Set-X","RecordType":1,"UserId":"a@b.example"`
		signIn       = `"id":"1","createdDateTime":"2025-01-01T00:00:00Z","appId":"x","userId":"u"`
		provisioning = `"id":"1","activityDateTime":"2025-01-01T00:00:00Z","provisioningAction":"create","sourceIdentity":{"id":"1"},"initiatedBy":{}`
	)
	return map[audit.Source]string{
		audit.M365Exchange: management, audit.M365SharePoint: management, audit.M365General: management, audit.M365DLP: management,
		audit.M365Entra: management, audit.PurviewQuery: management,
		audit.EntraDirectory: `"id":"1","activityDisplayName":"Update user","activityDateTime":"2025-01-01T00:00:00Z"`,
		audit.EntraSignIn:    signIn, audit.EntraSignInNonInter: signIn, audit.EntraSignInPrincipal: signIn, audit.EntraSignInManaged: signIn,
		audit.EntraProvisioning: provisioning,
		audit.EntraRisk:         `"id":"1","riskEventType":"x","riskLevel":"low","detectedDateTime":"2025-01-01T00:00:00Z","userId":"u"`,
		audit.IntuneAudit:       `"id":"1","activityType":"Patch","activityDateTime":"2025-01-01T00:00:00Z","actor":{},"resources":[]`,
		audit.AzureMonitor:      `"category":"AuditLogs","operationName":"Update user","time":"2025-01-01T00:00:00Z"`,
		audit.AOC:               `"id":"1","time":"2025-01-01T00:00:00Z","operation":"Search events","by":{"kind":"person"},"result":"success"`,
	}
}()

// documents are the ways in which a record can hold the members.
func documents(feed audit.Source, s spot) map[string]string {
	members, object := s.members, "{"+s.members+"}"
	folded := func(to func(string) string) string { // JSON's own words stay
		return strings.NewReplacer(to("false"), "false", to("null"), "null", to(`\u003c`), `\u003c`, to(`\u003e`), `\u003e`, to(`\u0026`), `\u0026`,
			to(`\n`), `\n`, to(`\r`), `\r`).Replace(to(object))
	}
	forms := map[string]string{
		"direct": members, "object": `"Data":` + object, "list": `"Data":[1,[` + object + `],` + object + `]`,
		"JSON in text": `"Data":` + quoted(object), "JSON in text in JSON": `"Data":` + quoted(`{"Inner":`+quoted(object)+`}`),
		"three deep": `"Data":` + quoted(`[`+quoted(`{"Inner":`+quoted(object)+`}`)+`]`),
	}
	if !s.strict {
		forms["UPPER CASE"], forms["lower case"] = `"Data":`+folded(strings.ToUpper), `"Data":`+folded(strings.ToLower)
	}
	for name, form := range forms {
		record := "{" + bases[feed] + "," + form + "}"
		if feed == audit.AzureMonitor {
			record = "{" + bases[feed] + `,"properties":{` + bases[audit.EntraDirectory] + `,"AuditEventId":"1","Actor":{},` + form + "}}"
		}
		forms[name] = strings.ReplaceAll(record, "§", s.canary())
	}
	return forms
}

// requireNoCanary looks for the canary, for its beginning and for its end, in
// whatever case.
func requireNoCanary(t testing.TB, s spot, what string, stored any) {
	t.Helper()
	b, err := json.Marshal(stored)
	require.NoError(t, err)
	text, secret := strings.ToLower(string(b)), strings.ToLower(s.canary())
	if strings.Contains(text, secret[:8]) || strings.Contains(text, secret[len(secret)-8:]) {
		require.FailNow(t, "the secret is there", "%s: %s\n%s\n%s", s.class, what, s.members, text)
	}
}

// plainStored is all that a store is given, to be looked at.
type plainStored struct {
	Event  audit.Event
	Raw    string
	Tokens []string
}

// requireCut normalizes a record and sets it aside, whole, without its time and
// broken off, and requires that the canary is in nothing that is kept.
func requireCut(t testing.TB, n *Normalizer, s spot, what string, feed audit.Source, raw string) {
	t.Helper()
	stored, err := n.Normalize(audit.Record{Source: feed, TenantID: tenant, Raw: []byte(raw)})
	require.NoError(t, err, "%s\n%s", what, raw)
	requireNoCanary(t, s, what, plainStored{stored.Event, string(stored.Raw.Bytes), stored.Tokens})
	require.NotEmpty(t, stored.Event.Redactions, raw)
	again, err := n.Normalize(audit.Record{Source: feed, TenantID: tenant, Raw: stored.Raw.Bytes})
	require.NoError(t, err)
	require.Equal(t, stored, again, what)
	for _, broken := range []string{strings.Replace(raw, "2025-01-01T", "yesterday ", 2), raw[:len(raw)-1], raw[:len(raw)-2]} {
		rec := audit.Record{Source: feed, TenantID: tenant, Blob: "b", Raw: []byte(broken)}
		_, err := n.Normalize(rec)
		if err == nil {
			err = errors.New("it was whole")
		}
		q := Quarantine(rec, err, time.Time{})
		requireNoCanary(t, s, what+", in quarantine", []string{q.Reason, string(q.Raw), q.ID, q.Blob})
	}
}

// TestCanaries puts a secret into every place, in every form and for every feed;
// of the forms that are not direct each feed gets a part, all of them together all.
func TestCanaries(t *testing.T) {
	n := New(DefaultMappings())
	counts := map[string]int{}
	feeds := slices.Sorted(maps.Keys(bases))
	for i, s := range spots() {
		for f, feed := range feeds {
			if s.settings && feed != audit.IntuneAudit && feed != audit.AzureMonitor {
				continue
			}
			forms := documents(feed, s)
			for k, name := range slices.Sorted(maps.Keys(forms)) {
				if name != "direct" && (i+f+k)%8 != 0 && !s.settings {
					continue
				}
				requireCut(t, n, s, string(feed)+", "+name, feed, forms[name])
				counts[s.class]++
			}
		}
	}
	all := 0
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%6d  %s", counts[class], class)
		all += counts[class]
	}
	t.Logf("%6d  records with a secret, each read, read again and set aside three times: the secret is in none of what is kept", all)
}

// FuzzCanaries: a document of whatever shape, with a secret in a known place,
// never keeps the secret, whatever stands before and after it.
func FuzzCanaries(f *testing.F) {
	list := spots()
	feeds := slices.Sorted(maps.Keys(bases))
	for i := range 40 {
		f.Add(i*37, i, i, []byte(`{"a":[1,{"Name":"x","Value":"\u003c<{"}],"b":"{\"c\":1}"}`), "Parameters", "see -A 1; x=")
	}
	n := New(DefaultMappings())
	f.Fuzz(func(t *testing.T, at, feedAt, formAt int, around []byte, name, text string) {
		s, feed := list[uint(at)%uint(len(list))], feeds[uint(feedAt)%uint(len(feeds))]
		if s.settings {
			feed = audit.IntuneAudit
		}
		if !json.Valid(around) || strings.Contains(strings.ToLower(string(around)+name+text), strings.ToLower(s.canary()[:8])) {
			return
		}
		forms := documents(feed, s)
		names := slices.Sorted(maps.Keys(forms))
		raw := forms[names[uint(formAt)%uint(len(names))]]
		head, tail := raw[:len(raw)-1], raw[len(raw)-1:]
		raw = head + `,"Around":{` + quoted(name+"~") + `:` + string(around) + `},"Text":` + quoted(text) + tail
		stored, err := n.Normalize(audit.Record{Source: feed, TenantID: tenant, Raw: []byte(raw)})
		if err != nil {
			requireNoCanary(t, s, "in quarantine", string(Quarantine(audit.Record{Source: feed, Raw: []byte(raw)}, err, time.Time{}).Raw))
			return
		}
		requireNoCanary(t, s, raw, plainStored{stored.Event, string(stored.Raw.Bytes), stored.Tokens})
		requireStable(t, n, audit.Record{Source: feed}, stored)
	})
}

// FuzzShapes: what stands around a secret in a text does not keep it, at any
// depth of JSON in text.
func FuzzShapes(f *testing.F) {
	var texts []string
	for _, class := range slices.Sorted(maps.Keys(secretTexts)) {
		texts = append(texts, secretTexts[class]...)
	}
	for i := range texts {
		f.Add(i, i%4, "see ", " there")
	}
	n := New(DefaultMappings())
	f.Fuzz(func(t *testing.T, at, deep int, before, after string) {
		text := texts[uint(at)%uint(len(texts))]
		before, after = strings.ToValidUTF8(before, ""), strings.ToValidUTF8(after, "")
		if strings.Contains(strings.ToLower(before+after), "zq7k") || strings.Contains(before, "<") {
			return
		}
		s := spot{class: "form", strict: true, members: text}
		text = before + " \n" + strings.ReplaceAll(text, "§", canary) + "\n " + after
		for range uint(deep) % 4 {
			text = `{"Inner":` + quoted(text) + `}`
		}
		rec := record(`,"Data":` + quoted(text))
		stored, err := n.Normalize(rec)
		require.NoError(t, err)
		requireNoCanary(t, s, text, plainStored{stored.Event, string(stored.Raw.Bytes), stored.Tokens})
		requireStable(t, n, rec, stored)
	})
}

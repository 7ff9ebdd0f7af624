package normalize

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func redacted(t *testing.T, raw string, setting bool) (string, []string) {
	t.Helper()
	doc := &tape{}
	require.NoError(t, doc.read([]byte(raw)))
	out, places := redact(doc, setting)
	require.True(t, json.Valid(out), string(out))
	return string(out), places
}

// Only the secret's own bytes change; white space, order and escapes stay.
func TestRedact(t *testing.T) {
	for _, c := range []struct{ raw, want, place string }{
		{`{ "Parameters" :[ {"Name":"Password","Value":"hunter2"} ] }`, `{ "Parameters" :[ {"Name":"Password","Value":"[redacted]"} ] }`, "/Parameters/0/Value"},
		{`{"P":[{"Value":12345,"NAME":"newPassword"}]}`, `{"P":[{"Value":"[redacted]","NAME":"newPassword"}]}`, "/P/0/Value"},
		{`{"a~b/c":{"clientSecret":"x"}}`, `{"a~b/c":{"clientSecret":"[redacted]"}}`, "/a~0b~1c/clientSecret"},
		{`{"pass\u0077ord":"x"}`, `{"pass\u0077ord":"[redacted]"}`, "/password"},
		{`{"DetectedValues":[{"Name":"4111","Value":"ctx"}]}`, `{"DetectedValues":"[redacted]"}`, "/DetectedValues"},
		{
			`{"X":{"SensitiveInformationDetectionsInfo":{"Matches":["4111"],"Text":"4111","ResultsTruncated":false,"Count":2}}}`,
			`{"X":{"SensitiveInformationDetectionsInfo":{"Matches":"[redacted]","Text":"[redacted]","ResultsTruncated":false,"Count":2}}}`, "/X/SensitiveInformationDetectionsInfo/Matches",
		},
		{
			`{"M":[{"Name":"PasswordCredentials","OldValue":"[]","NewValue":"[{\"secretText\":\"x\"}]"}]}`,
			`{"M":[{"Name":"PasswordCredentials","OldValue":"[]","NewValue":"[redacted]"}]}`, "/M/0/NewValue",
		},
		{`{"Data":"{\"a\":[{\"ApiKey\":\"x\"}]}"}`, `{"Data":"[redacted]"}`, "/Data"},
		{`{"Data":"\r\n {\"a\":{\"DetectedValues\":[1]}}"}`, `{"Data":"[redacted]"}`, "/Data"},
		{`{"Data":"\"{\\\"access_token\\\":\\\"x\\\"}\""}`, `{"Data":"[redacted]"}`, "/Data"},
		{`{"Data":"{\"Name\":\"Password\",\"Value\":\"hun"}`, `{"Data":"[redacted]"}`, "/Data"},
		{`{"Data":"<WLAN><sharedKey><keyMaterial>x</keyMaterial></sharedKey></WLAN>"}`, `{"Data":"[redacted]"}`, "/Data"},
		{`{"Data":"<add name=\"n\" password=\"x\" />"}`, `{"Data":"[redacted]"}`, "/Data"},
		{`{"Parameters":"-Identity bob -Password hunter2 -Force"}`, `{"Parameters":"-Identity bob -Password [redacted] -Force"}`, "/Parameters"},
		{`{"Parameters":"-Password:hunter2"}`, `{"Parameters":"-Password:[redacted]"}`, "/Parameters"},
		{`{"Parameters":"-Password 'a -b' -Identity bob"}`, `{"Parameters":"-Password [redacted] -Identity bob"}`, "/Parameters"},
		{`{"Parameters":"-Password two words -X"}`, `{"Parameters":"-Password [redacted]"}`, "/Parameters"},
		{`{"Parameters":"-Password (ConvertTo-SecureString 'x' -Force) -Y 1"}`, `{"Parameters":"-Password [redacted]"}`, "/Parameters"},
		{`{"Parameters":"-Password 'never closed -Y 1"}`, `{"Parameters":"-Password [redacted]"}`, "/Parameters"},
		{`{"Parameters":"-A 1\r\n-Password\thunter2\r\n-B 2"}`, `{"Parameters":"-A 1\r\n-Password\t[redacted]\r\n-B 2"}`, "/Parameters"},
		{`{"Parameters":["-Identity","bob","-Password","hunter2"]}`, `{"Parameters":["-Identity","bob","-Password","[redacted]"]}`, "/Parameters/3"},
		{`{"Parameters":["Password=hunter2 and more"]}`, `{"Parameters":["Password=[redacted]"]}`, "/Parameters/0"},
		{`{"Parameters":[{"Name":"Arguments","Value":"Server=s;Password=x;Db=d"}]}`, `{"Parameters":[{"Name":"Arguments","Value":"Server=s;Password=[redacted];Db=d"}]}`, "/Parameters/0/Value"},
		{`{"P":[{"Name":"Setting","NewValue":"x","isSecret":true}]}`, `{"P":[{"Name":"Setting","NewValue":"[redacted]","isSecret":true}]}`, "/P/0/NewValue"},
		{`{"P":[{"Name":"Credential","NewValue":"[{\"UserName\":\"a\",\"Password\":\"x\"}]"}]}`, `{"P":[{"Name":"Credential","NewValue":"[redacted]"}]}`, "/P/0/NewValue"},
	} {
		got, places := redacted(t, c.raw, false)
		require.Equal(t, c.want, got)
		require.Equal(t, c.place, places[0])
		again, placesAgain := redacted(t, got, false)
		require.Equal(t, got, again, "once more changes nothing")
		require.Equal(t, places, placesAgain, "and finds the same places")
	}
}

// A doubled or escaped quote in a value must not end it.
func TestRedactQuotesInValues(t *testing.T) {
	for _, raw := range []string{
		`{"Parameters":"-Password \"hun\"\"ter2\" -Identity bob"}`,
		"{\"Parameters\":\"-Password \\\"hun`\\\"ter2\\\" -Identity bob\"}",
		`{"Parameters":"-Password 'hun''ter2' -Identity bob"}`,
	} {
		got, _ := redacted(t, raw, false)
		require.Equal(t, `{"Parameters":"-Password [redacted] -Identity bob"}`, got)
	}
}

func TestRedactLeavesTheRest(t *testing.T) {
	for _, raw := range []string{
		`{"Parameters":[{"Name":"ForceChangePassword","Value":"True"},{"Name":"ResetPasswordOnNextLogon","Value":"False"},{"Name":"Password","Value":""}]}`,
		`{"M":[{"Name":"KeyDescription","NewValue":"[\"[KeyIdentifier=1,KeyType=Password,KeyUsage=Verify,DisplayName=x]\"]"}]}`,
		`{"M":[{"Name":"PasswordPolicies","NewValue":"DisablePasswordExpiration"},{"Name":"StsRefreshTokensValidFrom","NewValue":"2025"}]}`,
		`{"M":[{"Name":"Included Updated Properties","NewValue":"Password, Credential"}]}`,
		`{"M":[{"Name":"Credential","NewValue":"[\r\n {\"CredentialType\":2,\"KeyStoreId\":\"a\",\"KeyGroupId\":\"b\"}]"}]}`,
		`{"AppAccessContext":{"UniqueTokenId":"u"},"incomingTokenType":"none","clientCredentialType":"clientSecret","tokenIssuerType":"AzureAD"}`,
		`{"UserAgent":"Mozilla <x> -Password y","Subject":"Re: -Password reset","ExtendedProperties":[{"Name":"RequestType","Value":"Login:password"}]}`,
		`{"DetectedValues":[],"SensitiveInformationDetections":null}`,
		`{"authenticationDetails":[{"authenticationMethod":"Password"}],"federatedTokenId":"f","UserKey":"k"}`,
		`{"Parameters":"-Identity bob -PasswordPolicy strong -Force"}`,
	} {
		got, places := redacted(t, raw, false)
		require.Equal(t, raw, got)
		require.Empty(t, places)
	}
}

func TestSecretNames(t *testing.T) {
	for name, want := range map[string]struct{ any, setting bool }{
		"Password":               {true, true},
		"RoomMailboxPassword":    {true, true},
		"newpassword":            {true, true},
		"client_secret":          {true, true},
		"SecretText":             {true, true},
		"ApplicationKey":         {true, true},
		"AccessToken":            {true, true},
		"ConnectionString":       {true, true},
		"WiFi.PreSharedKey":      {true, true},
		"ScriptContent":          {false, true},
		"detectionScriptContent": {false, true},
		"OmaSettings[0].Secret":  {true, true},
		"PSK":                    {true, true},
		"DeviceLockPIN":          {true, true},
		"rootCertificate":        {false, true},
		"Key":                    {false, true},
		"KeyDescription":         {false, false},
		"PasswordMinimumLength":  {false, false},
		"CertificateThumbprint":  {false, false},
		"KeyCredentials":         {false, false},
		"Monkey":                 {false, false},
		"Shipping":               {false, false},
		"":                       {false, false},
	} {
		require.Equal(t, want.any, isSecretName(name, false), name)
		require.Equal(t, want.setting, isSecretName(name, true), name)
	}
}

// Intune's records come by way of the Management API too.
func TestSettingsOfIntuneByTheManagementAPI(t *testing.T) {
	for workload, want := range map[string]string{"MicrosoftIntune": "[redacted]", "Exchange": "x1"} {
		s, err := New(DefaultMappings()).Normalize(record(`,"Workload":"` + workload + `","ModifiedProperties":[{"Name":"WifiKey","NewValue":"x1"}]`))
		require.NoError(t, err)
		require.Equal(t, want, s.Event.Changes[0].New)
	}
}

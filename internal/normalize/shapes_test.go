package normalize

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Of a text only the secret itself goes, at whatever depth.
func TestSecretShapes(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.blob.core.windows.net/c?sv=1&sig=ab%2Bcd12345%3D&sp=r":              "https://a.blob.core.windows.net/c?sv=1&sig=[redacted]&sp=r",
		"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Ab/c+d==;Suffix=x":    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=[redacted];Suffix=x",
		"Server=s; Password=two words; Encrypt=true":                                   "Server=s; Password=[redacted]; Encrypt=true",
		"https://x/f?code=0123456789abcdef&a=b#c":                                      "https://x/f?code=[redacted]&a=b#c",
		"https://user:p@ss@host/x and https://user@host:443/y":                         "https://user:[redacted]@host/x and https://user@host:443/y",
		"a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b":      "a [redacted] b",
		"x eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln y":                                "x [redacted] y",
		"Authorization: Basic dXNlcjpwYXNz, Accept: x":                                 "Authorization: Basic [redacted] Accept: x", // over rather than under
		"Bearer abcdefgh12345678 and more":                                             "Bearer [redacted] and more",
		"https://s.example/?url=https%3A%2F%2Fx%3Fa%3Db%26sig%3Dabcdefgh12%26z&data=1": "https://s.example/?url=https%3A%2F%2Fx%3Fa%3Db%26sig%3D[redacted]%26z&data=1",
		"aB38Q~0123456789012345678901234567890 x":                                      "[redacted] x",
		"key 739184-225511-330044-118899-556677-220011-443322-667788.":                 "key [redacted].",
		"<a href='https://x/?y=1&amp;sig=abcdefgh&amp;z=2'>":                           "<a href='https://x/?y=1&amp;sig=[redacted]&amp;z=2'>",
	} {
		for depth := range 4 {
			in, out := text, want
			for range depth {
				in, out = `{"Inner":`+quoted(in)+`}`, `{"Inner":`+quoted(out)+`}`
			}
			got, places := redacted(t, `{"Data":`+quoted(in)+`}`, false)
			require.Equal(t, `{"Data":`+quoted(out)+`}`, got)
			require.Equal(t, []string{"/Data"}, places)
			again, placesAgain := redacted(t, got, false)
			require.Equal(t, got, again)
			require.Equal(t, places, placesAgain)
		}
	}
}

// Escapes are read, and are cut as they stand.
func TestSecretShapesInEscapes(t *testing.T) {
	for raw, want := range map[string]string{
		`{"U":"https:\/\/u:p12345\/@h"}`:                                      `{"U":"https:\/\/u:p12345\/@h"}`, // the slash ends the host
		`{"U":"https:\/\/u:p12345@h\/"}`:                                      `{"U":"https:\/\/u:[redacted]@h\/"}`,
		`{"U":"?a=1\u0026s\u0069g=ab\u002Bcd1234\u0026b=2"}`:                  `{"U":"?a=1\u0026s\u0069g=[redacted]\u0026b=2"}`,
		`{"U":"\u0065yJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln \ud83d\ude00"}`: `{"U":"[redacted] \ud83d\ude00"}`,
		`{"U":"\ud83d\ude00 AccountKey=ab\/cd\/\/=\u003B x"}`:                 `{"U":"\ud83d\ude00 AccountKey=[redacted]\u003B x"}`,
		`{"U":"Password=a\\b\"c;D=1"}`:                                        `{"U":"Password=[redacted]\"c;D=1"}`,
	} {
		got, _ := redacted(t, raw, false)
		require.Equal(t, want, got)
	}
}

func TestSecretShapesLeaveTheRest(t *testing.T) {
	for _, text := range []string{
		"https://login.microsoftonline.com/error?code=50126", "https://x/?code=en-US&culture=de", "country_code=DE;x=y", "https://graph.microsoft.com/v1.0/users?$skiptoken=RFNwdAIAAQ",
		"/o=ExchangeLabs/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)/cn=Recipients/cn=abc", "<CAJ+x=3D_abc@mail.example>", "https://contoso.sharepoint.com:443/sites/a@b/x.docx",
		"[KeyIdentifier=1,KeyType=Password,KeyUsage=Verify,DisplayName=x]", "eyJhbGciOiJSUzI1NiJ9 is how they begin", "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
		"-----BEGIN PUBLIC KEY-----x", "Bearer authentication was used by the whole company", "Authorization: was denied for this request", "CN=x,OU=y,DC=z", "0123-4567", "a~b Q~c 1Q~short",
		"739184-225511-330044-118899-556677-220011-443322-66778", "11111111-2222-3333-4444-555555555555 11111111-2222-3333-4444-555555555555", "https://x/incomingwebhook/", "search: password=",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv=1)", "sig=1", "https://x/?tokenType=Bearer&passwordPolicy=strong&key=1",
	} {
		raw := `{"Data":` + quoted(text) + `,"Inner":` + quoted(`{"a":`+quoted(text)+`}`) + `}`
		got, places := redacted(t, raw, false)
		require.Equal(t, raw, got)
		require.Empty(t, places)
	}
}

// A long text of nothing but beginnings must not take the square of its length.
func TestSecretShapesTakeTheirTime(t *testing.T) {
	for _, piece := range []string{"eyJ", "sig=", "https://a:", "@", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "Authorization: ", `\"Password='`, "Password=", "Q~", "%3D", "-", `\\`, "Bearer ", "/webhookb2/", "<a b=", "-Password '", `{"`} {
		text := strings.Repeat(piece, (1<<20)/len(piece))
		start := time.Now()
		_, _ = redacted(t, `{"Parameters":`+quoted(text)+`}`, true)
		require.Less(t, time.Since(start), 2*time.Second, piece)
	}
}

package auth

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf16"
)

// jsonAttacks are claims and headers that are no clean JSON object.
func jsonAttacks(a *attacks) {
	good := person().json()
	a.payloads("claims that are no object", classMalformed, map[string]string{
		"list": "[" + good + "]", "text": `"x"`, "number": "1", "null": "null", "true": "true", "two": good + good, "trailing comma": strings.TrimSuffix(good, "}") + ",}", "comment": good + "//x",
		"trailing text": good + "x", "null byte after": good + "\x00", "null byte in it": strings.Replace(good, "Ada", "A\x00a", 1), "byte order mark": "\ufeff" + good, "unclosed": strings.TrimSuffix(good, "}"), "single quotes": strings.ReplaceAll(good, `"`, "'"),
		"bad UTF-8": strings.Replace(good, "Ada", "A\xff\xfea", 1), "overlong UTF-8": strings.Replace(good, "Ada", "A\xc0\xafa", 1), "a surrogate in UTF-8": strings.Replace(good, "Ada", "A\xed\xa0\x80a", 1), "UTF-16": wide(good), "UTF-32 mark": "\xff\xfe\x00\x00" + good,
		"line end in a text": strings.Replace(good, "Ada", "A\na", 1), "bad escape": strings.Replace(good, "Ada", `A\xa`, 1), "form": "tid=" + tenantID, "XML": "<claims/>", "unquoted": `{tid:1}`, "number as name": `{1:1}`, "space": " ",
	})
	deep := func(n int, open, end string) string {
		return strings.Replace(good, "{", `{"x":`+strings.Repeat(open, n)+"1"+strings.Repeat(end, n)+",", 1)
	}
	a.payloads("nested deep", classMalformed, map[string]string{
		"17 lists": deep(17, "[", "]"), "100 lists": deep(100, "[", "]"), "9,000 lists": deep(9000, "[", "]"), "17 objects": deep(17, `{"x":`, "}"), "2,000 objects": deep(2000, `{"x":`, "}"), "11,000 lists": deep(11000, "[", "]"),
	})
	huge := map[string]string{"32 KiB of name": strings.Repeat("a", 32<<10), "a megabyte": strings.Repeat("a", 1<<20)}
	for name, text := range huge {
		a.payloads("huge", classMalformed, map[string]string{name: person().with(fields{"name": text}).json()})
	}
	many := fields{}
	for i := range 5000 {
		many[fmt.Sprint("claim", i)] = i
	}
	a.payloads("huge", classMalformed, map[string]string{"5,000 claims": person().with(many).json()})
	a.add("huge", classMalformed, map[string]string{"16 MiB of dots": strings.Repeat(".", 16<<20), "32 KiB of signature": mint(person()) + strings.Repeat("A", 32<<10), "a long header": sign(goodHeader().with(fields{"x5t": strings.Repeat("a", 30<<10)}).json(), good, material()[0])})
	heads := map[string]string{}
	for name, h := range map[string]string{"list": "[]", "text": `"RS256"`, "null": "null", "empty": " ", "two": goodHeader().json() + "{}", "null byte": goodHeader().json() + "\x00", "bad UTF-8": "{\"alg\":\"RS256\xff\"}", "nested deep": `{"alg":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + "}"} {
		heads[name] = sign(h, good, material()[0])
	}
	a.add("header that is no object", classMalformed, heads)
}

func wide(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

// formAttacks are not three parts in strict base64url.
func formAttacks(a *attacks) {
	token := mint(person())
	p := strings.Split(token, ".")
	std := func(s string) string {
		b, _ := base64.RawURLEncoding.DecodeString(s)
		return base64.StdEncoding.EncodeToString(b)
	}
	a.add("not three parts", classMalformed, map[string]string{
		"nothing": "", "one": p[0], "two": p[0] + "." + p[1], "four": token + "." + p[2], "five, as JWE": token + "." + p[1] + "." + p[2], "five, JWE of dir": b64(`{"alg":"dir","enc":"A256GCM"}`) + "..AAAA.AAAA.AAAA", "dots": "..", "one dot": ".", "dot in front": "." + token, "dot behind": token + ".",
		"detached": p[0] + ".." + p[2], "no header": "." + p[1] + "." + p[2], "header twice": p[0] + "." + token, "100 parts": strings.Repeat("A.", 99) + "A",
		"JSON serialisation": `{"payload":"` + p[1] + `","signatures":[{"protected":"` + p[0] + `","signature":"` + p[2] + `"}]}`, "flattened JSON": `{"payload":"` + p[1] + `","protected":"` + p[0] + `","signature":"` + p[2] + `"}`,
	})
	odd := map[string]string{
		"padding": pad(p[0]) + "." + pad(p[1]) + "." + pad(p[2]), "padding of the signature": p[0] + "." + p[1] + "." + p[2] + "==", "standard alphabet": std(p[0]) + "." + std(p[1]) + "." + std(p[2]), "plus and slash": p[0] + "." + p[1] + "." + "+/" + p[2][2:],
		"line end within": p[0] + "." + p[1][:20] + "\n" + p[1][20:] + "." + p[2], "CRLF within": p[0] + "." + p[1] + "." + p[2][:9] + "\r\n" + p[2][9:], "line end behind": token + "\n", "space behind": token + " ", "tab in front": "\t" + token, "two spaces": " " + token,
		"null byte": p[0] + ".\x00" + p[1] + "." + p[2], "null byte behind": token + "\x00", "percent": strings.Replace(token, ".", "%2E", 1), "unicode dots": strings.ReplaceAll(token, ".", "．"), "full width": strings.Replace(token, "e", "ｅ", 1), "quoted": `"` + token + `"`, "comma": token + "," + token, "second token": token + ", Bearer " + token,
		"hex": hex.EncodeToString([]byte(token)), "one letter too many": p[0] + "A." + p[1] + "." + p[2], "invalid UTF-8": token[:50] + "\xff" + token[50:], "equals in between": p[0] + "=." + p[1] + "." + p[2], "semicolon": token + ";x=1",
	}
	a.add("not base64url", classMalformed, odd)
	a.add("base64url that is not canonical", classMalformed, map[string]string{"signature": p[0] + "." + p[1] + "." + loose(p[2]), "header": loose(b64(spaced(goodHeader().json()))) + "." + p[1] + "." + p[2], "claims": p[0] + "." + loose(b64(`{"a":1}`)) + "." + p[2]})
	sig, _ := base64.RawURLEncoding.DecodeString(p[2])
	cut := map[string]string{}
	for _, n := range []int{1, 2, 4, 128, 255} {
		cut[fmt.Sprint(n, " of the signature's bytes")] = p[0] + "." + p[1] + "." + b64(string(sig[n:]))
	}
	a.add("cut off", classSignature, cut)
	a.add("cut off", classMalformed, map[string]string{"in the claims": token[:len(p[0])+40], "in the header": token[:10], "all but a letter": p[0] + "." + p[1] + "." + p[2][:1]})
}

func pad(s string) string { return s + strings.Repeat("=", (4-len(s)%4)%4) }

// spaced has spaces behind it so that its base64 has bits that mean nothing.
func spaced(s string) string {
	for len(s)%3 != 1 {
		s += " "
	}
	return s
}

// loose sets the bits of the last letter that mean nothing: the bytes are the same.
func loose(s string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return s[:len(s)-1] + string(letters[strings.IndexByte(letters, s[len(s)-1])|1])
}

func signatureAttacks(a *attacks) {
	p := strings.Split(mint(person()), ".")
	sig, _ := base64.RawURLEncoding.DecodeString(p[2])
	flip := func(i int) string {
		b := append([]byte(nil), sig...)
		b[i] ^= 1
		return p[0] + "." + p[1] + "." + b64(string(b))
	}
	other := strings.Split(mint(person().with(fields{"oid": otherID})), ".")
	a.add("signature that does not fit", classSignature, map[string]string{
		"first bit": flip(0), "last bit": flip(255), "middle": flip(128), "zeros": p[0] + "." + p[1] + "." + b64(strings.Repeat("\x00", 256)), "ones": p[0] + "." + p[1] + "." + b64(strings.Repeat("\xff", 256)), "one byte": p[0] + "." + p[1] + "." + b64("\x01"),
		"of other claims": p[0] + "." + other[1] + "." + p[2], "of another token": p[0] + "." + p[1] + "." + other[2], "twice as long": p[0] + "." + p[1] + "." + b64(string(sig)+string(sig)), "with a byte behind": p[0] + "." + p[1] + "." + b64(string(sig)+"\x00"), "with a byte in front": p[0] + "." + p[1] + "." + b64("\x00"+string(sig)),
		"key of the same size": sign(goodHeader().json(), person().json(), material()[1]), "claims made admin": p[0] + "." + b64(person().with(fields{"roles": []string{"Admin"}}).json()) + "." + p[2], "other header": b64(goodHeader().with(fields{"typ": leave}).json()) + "." + p[1] + "." + p[2],
		"space in the header": b64(strings.Replace(goodHeader().json(), "{", "{ ", 1)) + "." + p[1] + "." + p[2],
	})
}

// keyAttacks are truly signed, with keys that do not sign for this tenant.
func keyAttacks(a *attacks) {
	a.add("key of another issuer", classKeyIssuer, map[string]string{
		"of personal accounts": mintKid("personal", 1, person()), "of a lookalike": mintKid("lookalike", 1, person()), "of personal accounts, v1.0": mintKid("personal", 1, person1()), "app": mintKid("personal", 1, robot()),
	})
	a.add("key that is none of theirs", classUnknownKey, map[string]string{"retired": mintKid("retired", 2, person()), "retired, v1.0": mintKid("retired", 2, person1()), "for encryption": mintKid("for-encryption", 1, person()), "for PSS": mintKid("for-pss", 1, person()), "symmetric": mintKid("secret", 1, person())})
	a.add("key under another's name", classSignature, map[string]string{"kid of the first": mintKid("first", 1, person()), "own": mintKid("first", 3, person1())})
	a.add("another tenant, same key", classTenant, map[string]string{
		"v2.0": mint(person().with(fields{"tid": otherID, "iss": origin1 + "/" + otherID + "/v2.0"})), "v1.0": mint(person1().with(fields{"tid": otherID, "iss": "https://sts.windows.net/" + otherID + "/"})),
	})
	a.add("another tenant, same key", classIssuer, map[string]string{"only iss": mint(person().with(fields{"iss": origin1 + "/" + otherID + "/v2.0"}))})
}

func kindAttacks(a *attacks) {
	a.claims("no access token", classKind, person, map[string]fields{
		"ID token": {"scp": leave, "azp": leave, "nonce": "n"}, "ID token with roles": {"scp": leave, "azp": leave, "roles": []string{"Admin"}}, "ID token with a client": {"scp": leave, "nonce": "n", "roles": []string{"Admin"}}, "at_hash": {"scp": leave, "at_hash": "x", "roles": []string{"Admin"}}, "c_hash": {"scp": leave, "c_hash": "x", "roles": []string{"Admin"}},
		"person without scopes": {"scp": leave, "idtyp": "user", "roles": []string{"Admin"}}, "empty scope": {"scp": "", "azp": leave}, "blank scope": {"scp": "  ", "azp": leave}, "an app with scopes": {"idtyp": "app"}, "SCP": {"scp": leave, "azp": leave, "SCP": "access_as_user"},
	})
	a.claims("no access token", classKind, person1, map[string]fields{"ID token, v1.0": {"scp": leave, "appid": leave, "roles": []string{"Admin"}}})
	for name, change := range map[string]fields{"without roles": {"roles": leave}, "with an empty list": {"roles": []string{}}, "idtyp app": {"roles": leave, "idtyp": "app"}, "with groups": {"roles": leave, "groups": []string{otherID}}, "with directory roles": {"roles": leave, "wids": []string{otherID}}} {
		*a = append(*a, hostile{"app without a role", name, []string{"Bearer " + mint(robot().with(change))}, ErrForbidden, classForbidden})
	}
}

func requestAttacks(a *attacks) {
	token := mint(person())
	for name, h := range map[string]hostile{
		"no header":        {authorization: nil, want: ErrNoToken, class: classNoToken},
		"empty header":     {authorization: []string{""}, want: ErrNoToken, class: classNoToken},
		"Basic":            {authorization: []string{"Basic " + token}, want: ErrNoToken, class: classNoToken},
		"Negotiate":        {authorization: []string{"Negotiate " + token}, want: ErrNoToken, class: classNoToken},
		"DPoP":             {authorization: []string{"DPoP " + token}, want: ErrNoToken, class: classNoToken},
		"PoP":              {authorization: []string{"PoP " + token}, want: ErrNoToken, class: classNoToken},
		"no scheme":        {authorization: []string{token}, want: ErrNoToken, class: classNoToken},
		"Bearer and colon": {authorization: []string{"Bearer: " + token}, want: ErrNoToken, class: classNoToken},
		"Bearer and tab":   {authorization: []string{"Bearer\t" + token}, want: ErrNoToken, class: classNoToken},
		"space in front":   {authorization: []string{" Bearer " + token}, want: ErrNoToken, class: classNoToken},
		"Bearer alone":     {authorization: []string{"Bearer"}, want: ErrBadToken, class: classMalformed},
		"Bearer and space": {authorization: []string{"Bearer "}, want: ErrBadToken, class: classMalformed},
		"Bearer twice":     {authorization: []string{"Bearer Bearer " + token}, want: ErrBadToken, class: classMalformed},
		"two headers":      {authorization: []string{"Bearer " + token, "Bearer " + token}, want: ErrBadToken, class: classRequest},
		"Basic first":      {authorization: []string{"Basic YTpi", "Bearer " + token}, want: ErrBadToken, class: classRequest},
		"an empty second":  {authorization: []string{"Bearer " + token, ""}, want: ErrBadToken, class: classRequest},
		"joined":           {authorization: []string{"Bearer " + token + ", Basic YTpi"}, want: ErrBadToken, class: classMalformed},
	} {
		h.group, h.name = "the header", name
		*a = append(*a, h)
	}
}

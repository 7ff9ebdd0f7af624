package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"hash"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// algorithmAttacks are tokens without a signature, or with one of another kind.
func algorithmAttacks(a *attacks) {
	unsigned := map[string]string{}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "none ", " none", "null", "", "RS256 ", "rs256", "Rs256", "RS 256", "RS256\x00", "ＲＳ２５６", "noneRS256", "RS256,none"} {
		header := goodHeader().with(fields{"alg": alg}).json()
		unsigned[strconv.Quote(alg)+" with a signature"] = sign(header, person().json(), material()[0])
		unsigned[strconv.Quote(alg)+" with some bytes"] = b64(header) + "." + b64(person().json()) + "." + b64("sig")
	}
	a.add("alg none and other spellings", classHeader, unsigned)
	a.add("alg none and other spellings", classMalformed, map[string]string{
		"none with nothing":          b64(goodHeader().with(fields{"alg": "none"}).json()) + "." + b64(person().json()) + ".",
		"RS256 with nothing":         b64(goodHeader().json()) + "." + b64(person().json()) + ".",
		"none and no dot at the end": b64(goodHeader().with(fields{"alg": "none"}).json()) + "." + b64(person().json()),
	})
	a.headers("alg of another type", classHeader, map[string]fields{
		"missing": {"alg": leave}, "null": {"alg": nil}, "number": {"alg": 256}, "true": {"alg": true}, "list": {"alg": []string{"RS256"}},
		"object": {"alg": fields{"name": "RS256"}}, "in upper case": {"alg": leave, "ALG": "RS256"},
	})
	others := map[string]fields{}
	for _, alg := range []string{"RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512", "RS1", "RSA-OAEP", "dir", "A256GCM", "ES256K"} {
		others[alg] = fields{"alg": alg}
	}
	a.headers("alg other than RS256", classHeader, others)
	truly := map[string]string{}
	for _, m := range []jwt.SigningMethod{jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512} {
		truly[m.Alg()] = truth(m, material()[0])
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	truly["ES256"] = truth(jwt.SigningMethodES256, ec)
	a.add("truly signed with another algorithm", classHeader, truly)
	pss := strings.Split(truth(jwt.SigningMethodPS256, material()[0]), ".")
	a.add("truly signed with another algorithm", classSignature, map[string]string{
		"PSS, called RS256": b64(goodHeader().json()) + "." + pss[1] + "." + pss[2],
	})
}

// truth is a token as golang-jwt signs it.
func truth(m jwt.SigningMethod, key any) string {
	token := jwt.NewWithClaims(m, jwt.MapClaims(person()))
	token.Header["kid"] = "first"
	signed, err := token.SignedString(key)
	if err != nil {
		panic(err)
	}
	return signed
}

// confusionAttacks sign with HMAC, the public key being the secret.
func confusionAttacks(a *attacks) {
	public := &material()[0].PublicKey
	pkix, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(public)
	key := published{kid: "first", key: public}
	jwk, _ := json.Marshal(key.json())
	set, _ := json.Marshal(map[string]any{"keys": []any{key.json()}})
	secrets := map[string][]byte{
		"PKIX in PEM":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}),
		"PKIX in DER":  pkix,
		"PKCS1 in PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"PKCS1 in DER": pkcs1,
		"PEM, trimmed": []byte(strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})))),
		"JWK":          jwk, "JWKS": set, "modulus": public.N.Bytes(), "n": []byte(base64.RawURLEncoding.EncodeToString(public.N.Bytes())),
		"kid": []byte("first"), "nothing": nil, "client id": []byte(clientID),
	}
	as, called := map[string]string{}, map[string]string{}
	for name, secret := range secrets {
		as[name] = hs("HS256", sha256.New, secret)
		called[name] = hs("RS256", sha256.New, secret)
	}
	as["PKIX in PEM, HS512"] = hs("HS512", sha512.New, secrets["PKIX in PEM"])
	as["PKIX in PEM, HS384"] = hs("HS384", sha512.New384, secrets["PKIX in PEM"])
	a.add("HMAC with the public key", classHeader, as)
	a.add("HMAC with the public key, called RS256", classSignature, called)
}

func hs(alg string, of func() hash.Hash, secret []byte) string {
	input := b64(goodHeader().with(fields{"alg": alg}).json()) + "." + b64(person().json())
	mac := hmac.New(of, secret)
	mac.Write([]byte(input))
	return input + "." + b64(string(mac.Sum(nil)))
}

// kidAttacks name keys that lead elsewhere when a kid is put into something.
func kidAttacks(a *attacks) {
	odd := map[string]fields{"missing": {"kid": leave}, "null": {"kid": nil}, "number": {"kid": 1}, "list": {"kid": []string{"first"}}, "object": {"kid": fields{"$ne": ""}}}
	for _, kid := range []string{
		"", "../../../../etc/passwd", "/dev/null", "..\\..\\windows\\win.ini", "file:///proc/self/environ", "C:\\key.pem", "%2e%2e%2fkeys",
		"x' UNION SELECT 'secret' -- ", "first' OR '1'='1", "1; DROP TABLE keys", "first\"; --", "{\"$gt\":\"\"}", "$where",
		"https://evil.example/keys", "http://169.254.169.254/metadata", "//evil.example", "first@evil.example", "first?x=1", "first#x", "ldap://evil.example/x", "${jndi:ldap://evil.example/x}",
		"first\x00", "\x00", "first\n", "first\r\nX-Evil: 1", " first", "first ", "fi rst", "ｆｉｒｓｔ", "fi\u200brst", "first\u202e", "|id", "`id`", "$(id)", "<script>", "*", "first,second", strings.Repeat("a", 129), strings.Repeat("a", 5000),
	} {
		odd[strconv.Quote(kid[:min(len(kid), 40)])+strconv.Itoa(len(kid))] = fields{"kid": kid}
	}
	a.headers("kid with a path, SQL, a URL", classHeader, odd)
	unknown := map[string]fields{}
	for _, kid := range []string{"second", "First", "FIRST", "first.", "first=", "first.pem", "..", ".", "etc.passwd", strings.Repeat("a", 128), "__proto__", "constructor", "null", "0", "for-encryption", "for-pss", "secret"} {
		unknown["kid "+kid] = fields{"kid": kid}
	}
	a.headers("kid of no key", classUnknownKey, unknown)
}

// headerAttacks bring a key, or the address of one, or another meaning.
func headerAttacks(a *attacks) {
	jwk := published{kid: "first", key: &material()[2].PublicKey}.json()
	group := func(name string, members map[string]any) {
		for what, value := range members {
			h := goodHeader().with(fields{strings.TrimSpace(name): value}).json()
			// Signed with the key that the header brings, and with the true one.
			a.add(name, classHeader, map[string]string{
				what + ", own key": sign(h, person().json(), material()[2]), what + ", true key": sign(h, person().json(), material()[0]),
			})
		}
	}
	group("jku", map[string]any{"elsewhere": "https://evil.example/keys", "here": origin1 + keysPath(v2), "empty": "", "user part": origin1 + "@evil.example/", "null": nil})
	group("x5u", map[string]any{"elsewhere": "https://evil.example/cert.pem", "local": "http://127.0.0.1/cert", "metadata": "http://169.254.169.254/"})
	group("x5c", map[string]any{"list": []string{"MIIB"}, "empty": []string{}, "text": "MIIB"})
	group("jwk", map[string]any{"key": jwk, "null": nil, "text": "{}"})
	group("crit", map[string]any{"exp": []string{"exp"}, "empty": []string{}, "unknown": []string{"x"}, "alg": []string{"alg"}})
	group("b64", map[string]any{"false": false, "true": true})
	group("zip", map[string]any{"DEF": "DEF"})
	group("nonce", map[string]any{"of Graph": "AQABAAAAAAD"})
	group("enc", map[string]any{"A256GCM": "A256GCM"})
	group("cty", map[string]any{"nested": "JWT"})
	group("other members", map[string]any{"object": fields{}})
	a.headers("other members", classHeader, map[string]fields{
		"x5t is a number": {"x5t": 5}, "x5t is long": {"x5t": strings.Repeat("a", 129)}, "Kid besides": {"Kid": "second"}, "empty name": {"": ""}, "x5t#s256": {"x5t#s256": "a"},
		"apu": {"apu": "a"}, "iss": {"iss": issuer2}, "ppt": {"ppt": "shaken"}, "svt": {"svt": []string{}}, "url": {"url": "https://evil.example"}, "__proto__": {"__proto__": fields{"alg": "none"}},
	})
}

func typeAttacks(a *attacks) {
	odd := map[string]fields{"null": {"typ": nil}, "number": {"typ": 1}, "list": {"typ": []string{"JWT"}}}
	for _, typ := range []string{"", "jwt", "JWE", "JOSE", "JWT ", "application/jwt", "dpop+jwt", "id_token+jwt", "logout+jwt", "secevent+jwt", "AT+JWT\x00", "JOSE+JSON", "SAML", "pop"} {
		odd[strconv.Quote(typ)] = fields{"typ": typ}
	}
	a.headers("typ", classHeader, odd)
}

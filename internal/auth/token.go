package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// maxToken is the longest token that is looked at, in bytes. Entra's stay below
// a tenth of it, for it leaves out groups that would make them longer.
const maxToken = 32 << 10

// maxNesting is how deep the JSON of a token may be nested. Entra's is three deep.
const maxNesting = 16

// token is a JWT whose form is sound. Nothing in it is proven.
type token struct {
	raw     string
	kid     string
	payload []byte // what claims are read from
	edition edition
	claims  claims
}

// bearer returns the token of the one Authorization header. (RFC 6750, section
// 2.1; the scheme's case does not count, RFC 9110, section 11.1.)
func bearer(authorization []string) (string, error) {
	switch {
	case len(authorization) == 0:
		return "", ErrNoToken
	case len(authorization) > 1:
		return "", bad(classRequest, "more than one Authorization header")
	}
	scheme, raw, _ := strings.Cut(authorization[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken
	}
	return raw, nil
}

// parse takes a token in compact form apart and reads its header. It is stricter
// than JWT libraries are, so that no two readers can understand one token
// differently.
func parse(raw string) (*token, error) {
	if len(raw) > maxToken {
		return nil, bad(classMalformed, "the token is too long")
	}
	// Checked here because base64 decoders skip line ends.
	if strings.ContainsFunc(raw, func(r rune) bool { return !base64url(r) && r != '.' }) {
		return nil, bad(classMalformed, "the token has characters that no token has")
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return nil, bad(classMalformed, "the token does not have three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(b) == 0 {
			return nil, bad(classMalformed, "a part of the token is empty or not base64url")
		}
		decoded[i] = b
	}
	h, err := object(decoded[0])
	if err != nil {
		return nil, bad(classMalformed, "the token's header is not one clean JSON object")
	}
	kid, err := checkHeader(h)
	if err != nil {
		return nil, err
	}
	return &token{raw: raw, kid: kid, payload: decoded[1]}, nil
}

// understand reads the claims.
func (t *token) understand() error {
	c, err := object(t.payload)
	if err != nil {
		return bad(classMalformed, "the token's claims are not one clean JSON object")
	}
	t.claims = c
	t.edition, err = t.claims.check()
	return err
}

// looksLike is the edition that a token seems to be of before its claims are
// read: good enough to refuse an unknown key by, and for nothing else.
func (t *token) looksLike() edition {
	if bytes.Contains(t.payload, []byte(`"ver":"2.0"`)) {
		return v2
	}
	return v1
}

func base64url(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

// checkHeader lets through only what Entra writes, and returns the key's id.
func checkHeader(h map[string]any) (kid string, err error) {
	for name, value := range h {
		text, ok := value.(string)
		switch name {
		case "alg", "kid", "typ", "x5t", "x5t#S256":
			if !ok || len(text) > 128 {
				return "", bad(classHeader, "the token's header has a member of a wrong form")
			}
		case "nonce":
			return "", bad(classHeader, "the token is for Microsoft Graph")
		default: // crit, jku, jwk, x5u, x5c, zip, b64 and whatever is invented next
			return "", bad(classHeader, "the token's header has a member that is not allowed")
		}
	}
	if h["alg"] != "RS256" {
		return "", bad(classHeader, "the token is not signed with RS256")
	}
	if typ, said := h["typ"]; said && typ != "JWT" && typ != "at+jwt" {
		return "", bad(classHeader, "the token is not of type JWT")
	}
	kid, _ = h["kid"].(string)
	if kid == "" || strings.ContainsFunc(kid, func(r rune) bool { return !base64url(r) && r != '.' && r != '=' }) {
		return "", bad(classHeader, "the token does not name its key")
	}
	return kid, nil
}

var errNotClean = errors.New("not one clean JSON object")

// object reads one JSON object in which, at any depth, no name comes twice.
// Names are compared as they are meant, not as they are escaped.
func object(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errNotClean
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := value(d, 0)
	if err != nil {
		return nil, err
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, errNotClean
	}
	return o, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth == maxNesting {
		return nil, errNotClean
	}
	switch t {
	case json.Delim('{'):
		return members(d, depth)
	case json.Delim('['):
		return elements(d, depth)
	}
	return t, nil
}

func members(d *json.Decoder, depth int) (map[string]any, error) {
	o := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if _, twice := o[name]; twice || !ok {
			return nil, errNotClean
		}
		if o[name], err = value(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return o, err
}

func elements(d *json.Decoder, depth int) ([]any, error) {
	list := []any{}
	for d.More() {
		v, err := value(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

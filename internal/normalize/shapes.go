package normalize

import (
	"bytes"
	"cmp"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// Some secrets are known by their form, wherever they stand: tokens, private
// keys, keys and signatures in URLs and connection strings. They are looked for
// in every text as it is escaped, because text of one level may hold JSON of the
// next, whose escapes are then part of it; so each form ends at a quote with any
// number of backslashes before it.

// span is a stretch of a text.
type span struct{ from, to int }

// mark says which bytes a text has that a form needs, so that most texts are
// never looked at for it. The tape makes them as it goes over the bytes anyway.
type mark uint16

const (
	markEquals  mark = 1 << iota // name=value
	markPercent                  // name%3Dvalue
	markTilde                    // client secrets of Entra
	markAt                       // https://user:password@host
	markJ                        // eyJ
	markV                        // PRIVATE KEY
	markBracket                  // [redacted]
	markBrace                    // JSON that begins inside of a text
	markZ                        // Authorization: …
	markSpace                    // Bearer …
	markK                        // webhooks
	quoteByte
	escapeByte
	controlByte

	allMarks = quoteByte - 1
)

// byteMarks is what each byte means to the tape; 0 is a byte like any other.
var byteMarks = func() (marks [256]mark) {
	for c := range ' ' {
		marks[c] = controlByte
	}
	for c, m := range map[byte]mark{
		'"': quoteByte, '\\': escapeByte, '=': markEquals, '%': markPercent, '~': markTilde, '@': markAt,
		'J': markJ, 'V': markV, '[': markBracket, '{': markBrace,
		'z': markZ, 'Z': markZ, ' ': markSpace, 'k': markK,
	} {
		marks[c] = m
	}
	return marks
}()

// recoveryLength is the length of a recovery password of BitLocker.
const recoveryLength = 8*6 + 7

// secretShapes returns the stretches of b that are secrets by their form, in
// order and apart. Redacting them once more finds none.
func secretShapes(b []byte, marks mark) []span {
	var found []span
	if marks&(markEquals|markPercent) != 0 {
		found = assignedSecrets(b, marks&markPercent != 0, found)
	}
	if marks&markJ != 0 {
		found = tokens(b, found)
	}
	if marks&markV != 0 {
		found = privateKeys(b, found)
	}
	if marks&markTilde != 0 {
		found = clientSecrets(b, found)
	}
	if marks&markAt != 0 {
		found = urlPasswords(b, found)
	}
	if len(b) >= recoveryLength {
		found = recoveryPasswords(b, found)
	}
	if mayAuthorize(b, marks) {
		found = headers(b, found)
	}
	if marks&markK != 0 && len(b) >= 40 && bytes.Contains(b, []byte("hook")) {
		found = webhooks(b, found)
	}
	return apart(found)
}

// mayAuthorize is a quick look for the names of headers.
func mayAuthorize(b []byte, marks mark) bool {
	if len(b) < 22 || marks&(markZ|markSpace|markPercent) == 0 {
		return false
	}
	return marks&markZ != 0 && (bytes.Contains(b, []byte("horiz")) || bytes.Contains(b, []byte("HORIZ"))) ||
		bytes.Contains(b, []byte("earer")) || bytes.Contains(b, []byte("EARER"))
}

// apart sorts stretches and joins those that overlap.
func apart(spans []span) []span {
	if len(spans) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	kept := spans[:1]
	for _, s := range spans[1:] {
		if l := &kept[len(kept)-1]; s.from <= l.to {
			l.to = max(l.to, s.to)
		} else {
			kept = append(kept, s)
		}
	}
	return kept
}

// run returns where the bytes that satisfy is end.
func run(b []byte, i int, is func(byte) bool) int {
	for i < len(b) && is(b[i]) {
		i++
	}
	return i
}

func isLetterOrDigit(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' }

// isTokenByte knows the bytes of base64url and the dots of a JWT.
func isTokenByte(c byte) bool { return isLetterOrDigit(c) || c == '-' || c == '_' || c == '.' }

// minToken is the length of the shortest token that a JWT can be.
const minToken = 36

// tokens finds JWTs, signed (three parts), encrypted (five) or with their end
// cut off: a header in base64url begins with eyJ, which is {".
func tokens(b []byte, found []span) []span {
	for i := 0; ; {
		at := bytes.Index(b[i:], []byte("eyJ"))
		if at < 0 {
			return found
		}
		from := i + at
		i = run(b, from, isTokenByte)
		token := b[from:i]
		header, payload, parts := bytes.Cut(token, []byte("."))
		whole := bytes.IndexByte(payload, '.') >= 0 || bytes.HasPrefix(payload, []byte("eyJ"))
		if parts && whole && len(header) >= 12 && len(token) >= minToken {
			found = append(found, span{from, i})
		}
	}
}

// privateKeys finds private keys in PEM, to the end of the text where theirs is
// missing.
func privateKeys(b []byte, found []span) []span {
	const begin, end = "-----BEGIN ", "-----END "
	for i := 0; ; {
		at := bytes.Index(b[i:], []byte(begin))
		if at < 0 {
			return found
		}
		from := i + at
		i = from + len(begin)
		label, rest, ok := bytes.Cut(b[i:], []byte("-----"))
		if !ok || !bytes.Contains(label, []byte("PRIVATE KEY")) {
			continue
		}
		stop := len(b)
		if q := bytes.IndexByte(rest, '"'); q >= 0 {
			stop = len(b) - len(rest) + q
			for b[stop-1] == '\\' {
				stop--
			}
		}
		if e := bytes.Index(rest, []byte(end)); e >= 0 {
			last := len(b) - len(rest) + e + len(end)
			if close := bytes.Index(b[last:], []byte("-----")); close >= 0 {
				stop = min(stop, last+close+5)
			}
		}
		found = append(found, span{from, stop})
		i = stop
	}
}

// clientSecrets finds secrets of Entra's apps: three bytes, a digit, Q~ and
// thirty-one or more (learn.microsoft.com/purview/sit-defn-client-secret-api-key).
func clientSecrets(b []byte, found []span) []span {
	for i := range b {
		if b[i] != '~' || i < 5 || b[i-1] != 'Q' || !isDigit(b[i-2]) {
			continue
		}
		to := run(b, i, func(c byte) bool { return isTokenByte(c) || c == '~' })
		from := i - 5
		for k := from; k < i-2; k++ {
			if c := b[k]; !isTokenByte(c) && c != '~' {
				from = k + 1
			}
		}
		if to-i > 30 {
			found = append(found, span{from, to})
		}
	}
	return found
}

// urlPasswords finds the password of https://user:password@host.
func urlPasswords(b []byte, found []span) []span {
	for i := 0; ; {
		at := bytes.IndexByte(b[i:], ':')
		if at < 0 {
			return found
		}
		i += at + 1
		from := run(b, i, func(c byte) bool { return c == '/' || c == '\\' })
		if bytes.Count(b[i:from], []byte("/")) != 2 {
			continue
		}
		i = run(b, from, func(c byte) bool { return c > ' ' && bytes.IndexByte([]byte(`/"'<>\`), c) < 0 })
		user, rest, _ := bytes.Cut(b[from:i], []byte(":"))
		password := rest[:max(0, bytes.LastIndexByte(rest, '@'))]
		if start := from + len(user) + 1; len(password) > 0 && string(password) != marker {
			found = append(found, span{start, start + len(password)})
		}
	}
}

// recoveryPasswords finds recovery passwords of BitLocker: eight groups of six
// digits.
func recoveryPasswords(b []byte, found []span) []span {
	for i := 6; i+recoveryLength-6 <= len(b); {
		at := bytes.IndexByte(b[i:], '-')
		if at < 0 {
			break
		}
		i += at
		if from := i - 6; isRecovery(b[from:]) {
			found = append(found, span{from, from + recoveryLength})
			i = from + recoveryLength
		}
		i++
	}
	return found
}

func isRecovery(b []byte) bool {
	if len(b) < recoveryLength || b[13] != '-' { // most texts with a dash end here
		return false
	}
	for i, c := range b[:recoveryLength] {
		if i%7 == 6 && c != '-' || i%7 != 6 && !isDigit(c) {
			return false
		}
	}
	return true
}

// schemes are how a request's Authorization header begins.
var schemes = wordSet("bearer basic digest negotiate ntlm sharedkey sharedkeylite sharedaccesssignature token apikey key aws4-hmac-sha256")

// headers finds what authorises a request: "Authorization: Basic …" and, with or
// without the header's name, "Bearer …".
func headers(b []byte, found []span) []span {
	for i := 0; i < len(b); {
		i = run(b, i, func(c byte) bool { return !isLetterOrDigit(c) })
		end := run(b, i, func(c byte) bool { return isTokenByte(c) && c != '.' })
		word := b[i:end]
		for len(word) > 6 && i > 0 && b[i-1] == '\\' && bytes.IndexByte([]byte("nrt"), word[0]) >= 0 { // \n and the like
			i, word = i+1, word[1:]
		}
		switch {
		case len(word) == len("bearer") && bytes.EqualFold(word, []byte("bearer")):
			if s := tokenAfter(b, end); s.to-s.from >= 16 && bytes.ContainsAny(b[s.from:s.to], "0123456789") {
				found = append(found, s)
			}
		case len(word) >= len("authorization") && bytes.EqualFold(word[len(word)-13:], []byte("authorization")):
			from := run(b, end, func(c byte) bool { return bytes.IndexByte([]byte(`:= '"\`), c) >= 0 })
			end = run(b, from, func(c byte) bool { return isLetterOrDigit(c) || c == '-' })
			if s := tokenAfter(b, end); schemes[lower(string(b[from:end]))] && s.to > s.from {
				found = append(found, s)
			}
		}
		i = max(end, i+1)
	}
	return found
}

// tokenAfter is the word that follows white space at i.
func tokenAfter(b []byte, i int) span {
	from := i
	for from < len(b) && (b[from] == ' ' || b[from] == '+') {
		from++
	}
	if n := bytes.HasPrefix(b[from:], []byte("%20")); from == i && n {
		from += 3
	}
	if from == i || bytes.HasPrefix(b[from:], []byte(marker)) {
		return span{i, i}
	}
	return span{from, valueEnd(b, from, queryValue)}
}

// hooks are URLs of which the rest is the secret.
var hooks = [][]byte{[]byte("/IncomingWebhook/"), []byte("/webhookb2/"), []byte("hooks.slack.com/services/"), []byte("/api/webhooks/")}

// webhooks finds the secret paths of webhooks, of Teams, Slack and Discord.
func webhooks(b []byte, found []span) []span {
	for _, hook := range hooks {
		for i := 0; ; {
			at := bytes.Index(b[i:], hook)
			if at < 0 {
				break
			}
			from := i + at + len(hook)
			i = valueEnd(b, from, queryValue)
			if i-from >= 16 {
				found = append(found, span{from, i})
			}
		}
	}
	return found
}

// unescapeAt decodes a text like unescape, and tells of each byte where in b it
// came from; one more for the end.
func unescapeAt(b []byte) (out []byte, from []int) {
	for i := 0; i < len(b); {
		n, r := 1, rune(-1)
		if b[i] == '\\' {
			n = escapeLength(b[i:])
			if r = rune(unescape(b[i : i+n])[0]); n == 6 {
				r = hex4(b[i+2:])
				if utf16.IsSurrogate(r) {
					r, _ = codepoint(b[i+2:])
					if r != utf8.RuneError {
						n = 12
					}
				}
			}
		}
		before := len(out)
		if r < 0 {
			out = append(out, b[i])
		} else {
			out = utf8.AppendRune(out, r)
		}
		for range len(out) - before {
			from = append(from, i)
		}
		i += n
	}
	return out, append(from, len(b))
}

package normalize

import (
	"slices"
	"strings"
	"unicode"
)

// A name is judged by its words: "wiFiPreSharedKey" is wi fi pre shared key.
// A name that holds a secret word names a secret, unless its last word says
// that it is only about one: "passwordMinimumLength", "UniqueTokenId".

// secretWords make a name secret, in any feed.
var secretWords = wordSet(`password passwords passwd pwd passphrase passphrases passcode passcodes
	secret secrets psk token tokens credential credentials apikey accesskey clientsecret sharedkey
	presharedkey privatekey connectionstring otp assertion`)

// settingWords do so too in the settings that Intune reports, where a key, a
// certificate or a PIN is its content.
var settingWords = wordSet(`key keys certificate certificates cert pin pfx p12 blob keymaterial challenge
	payload`)

// keyKinds make a secret of the word key that follows.
var keyKinds = wordSet(`access account api app application encryption function functions hmac host license
	management master network preshared primary private product recovery sas secondary secret shared signing
	storage subscription symmetric wep wpa`)

// codeKinds do so of the word code: a code that opens something.
var codeKinds = wordSet(`access activation authorization backup bypass challenge qr recovery reset unlock verification`)

// wholeNames are secrets by their whole name: a migration's list of people with
// their passwords, what a change notification is known by, a session.
var wholeNames = wordSet(`csvdata clientstate samlresponse cookie cookies setcookie secureconfig
	secureconfiguration securestring securedata`)

// aboutWords at a name's end say that the value is about the secret.
var aboutWords = wordSet(`age algorithm allowed attempts attribute attributes audience authority block blocked change changed
	changes complexity count create created creation date days description detail details disabled display drift
	enabled end expiration expires expiry expired format from history hours id identifier ids
	identities issuer issued length level lifetime location lockout logon login max maximum method methods min minimum
	minutes mode name names on period permission permissions policies policy protocol provider quality reason
	required requirement reset role roles san scale scheme scope scopes seconds sha1 sha256 size start
	state status storage store subject template thumbprint time timeout timestamp type types uri url
	usable usage uses valid validity version`)

// bareWords may be anything where they are all of a name.
var bareWords = wordSet(`name names description detail details subject`)

// publicNames hold a secret word and are none: keys and federations that
// everyone may know, and where a list goes on.
var publicNames = wordSet(`keycredential keycredentials federatedidentitycredential federatedidentitycredentials
	skiptoken pagetoken nexttoken nextpagetoken continuationtoken deltatoken synctoken`)

// revealingNames are where DLP puts what it found in a document, in clear text
// (Office 365 Management Activity API schema, SensitiveInformationDetections).
var revealingNames = wordSet(`detectedvalues detectedvalue detectedtext detectedcontent matchedvalues
	matchedvalue matchedtext matchedcontent surroundingtext contentpreview evidencepreview matchpreview
	textpreview snippet snippets`)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}

// isSecretName reports whether what goes by this name is a secret. Settings
// are judged more strictly than the rest.
func isSecretName(name string, setting bool) bool {
	if !mayBeSecret(name) || len(name) > 256 {
		return false
	}
	words := nameWords(name)
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	if aboutWords[last] {
		return strings.EqualFold(name, "clientState")
	}
	whole := strings.Join(words, "")
	if publicNames[whole] {
		return false
	}
	if wholeNames[whole] || last == "pin" || secretWords[words[0]] || setting && settingWords[words[0]] {
		return true
	}
	for i, w := range words[1:] {
		if secretWords[w] || secretWords[words[i]+w] || setting && settingWords[w] || isSecretCompound(words[i], w, setting) {
			return true
		}
	}
	return endsSecret(last, setting)
}

// isSecretCompound knows words that make a secret of the word after them.
func isSecretCompound(before, word string, setting bool) bool {
	switch word {
	case "key", "keys":
		return keyKinds[before]
	case "code", "codes":
		return codeKinds[before]
	case "string", "strings":
		return before == "connection"
	case "pass": // Entra's temporary access pass
		return before == "access"
	case "content": // scripts sign in to things
		return setting && before == "script"
	case "setting", "settings": // what it is, its name does not say
		return setting && before == "oma"
	}
	return false
}

// endings are what words that are written together end with: "newpassword".
var endings = strings.Fields(`password passwords passwd pwd secret secrets secrettext passphrase passcode token apikey credential
	credentials connectionstring connectionstrings assertion accesspass conferencepin leaderpin lockpin newpin userpin`)

// settingEndings are those of Intune's settings.
var settingEndings = strings.Fields(`wifikey vpnkey certificate certificates pfx blob keymaterial challenge payload
	omasetting omasettings scriptcontent qrcodecontent`)

// endsSecret judges a name that was written in one case, so that its words are one.
func endsSecret(word string, setting bool) bool {
	hasEnd := func(end string) bool { return strings.HasSuffix(word, end) }
	if slices.ContainsFunc(endings, hasEnd) || setting && slices.ContainsFunc(settingEndings, hasEnd) {
		return true
	}
	if before, ok := strings.CutSuffix(strings.TrimSuffix(word, "s"), "key"); ok && hasEnding(before, keyKinds) {
		return true
	}
	if before, ok := strings.CutSuffix(strings.TrimSuffix(word, "s"), "code"); ok && hasEnding(before, codeKinds) {
		return true
	}
	_, about, ok := strings.Cut(word, "password")
	return ok && !hasEnding(about, aboutWords)
}

// hasEnding reports whether a word ends with one of the set.
func hasEnding(word string, set map[string]bool) bool {
	for end := range set {
		if word != "" && strings.HasSuffix(word, end) {
			return true
		}
	}
	return false
}

// nameWords splits a name into its words, in lower case, and drops a list's
// index and the words Value and Text at its end.
func nameWords(name string) []string {
	var words []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			words, word = append(words, strings.ToLower(string(word))), nil
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && i > 0 && startsWord(runes, i):
			flush()
		}
		word = append(word, r)
	}
	flush()
	for len(words) > 1 && isTail(words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	return words
}

func isTail(word string) bool {
	return word == "value" || word == "values" || word == "text" || strings.Trim(word, "0123456789") == ""
}

// startsWord reports whether the capital at i begins a word: after a small
// letter, or before one at the end of an abbreviation as in APIVersion.
func startsWord(r []rune, i int) bool {
	return !unicode.IsUpper(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])
}

// isRoot marks the letters that a secret word begins with.
var isRoot = func() (set [256]bool) {
	for _, c := range "pstkcobPSTKCOB" {
		set[c] = true
	}
	return set
}()

// mayBeSecret is a quick look at a name or a text: it is false only where no
// word above can be. Most names end it at their first letters.
func mayBeSecret[T string | []byte](s T) bool {
	for i := 0; i+2 < len(s); i++ {
		if !isRoot[s[i]] {
			continue
		}
		b, c, d := s[i+1]|0x20, s[i+2]|0x20, byte(0)
		if i+3 < len(s) {
			d = s[i+3] | 0x20
		}
		found := false
		switch s[i] | 0x20 {
		case 'p': // pass, pwd, psk, pin, pfx, p12, payload
			found = b == 'a' && (c == 's' && d == 's' || c == 'y' && d == 'l') || b == 'w' && c == 'd' || b == 's' && c == 'k' ||
				b == 'i' && c == 'n' || b == 'f' && c == 'x' || b == '1' && c == '2'
		case 's': // secret, secure…, assertion, samlresponse
			found = b == 'e' && c == 'c' && (d == 'r' || d == 'u') || b == 's' && c == 'e' && d == 'r' || b == 'a' && c == 'm' && d == 'l'
		case 't': // token, clientstate
			found = b == 'o' && c == 'k' && d == 'e' || b == 's' && c == 't' && d == 'a'
		case 'k': // key
			found = b == 'e' && c == 'y'
		case 'c': // credential, certificate, connectionstring, script content, challenge, cookie, csv, code
			found = b == 'r' && c == 'e' && d == 'd' || b == 'e' && c == 'r' && d == 't' || b == 'o' && c == 'n' && (d == 'n' || d == 't') ||
				b == 'h' && c == 'a' && d == 'l' || b == 'o' && c == 'o' && d == 'k' || b == 's' && c == 'v' ||
				b == 'o' && c == 'd' && d == 'e' && mayOpen(s, i)
		case 'o': // otp, omasettings
			found = b == 't' && c == 'p' || b == 'm' && c == 'a' && d == 's'
		case 'b': // blob
			found = b == 'l' && c == 'o' && d == 'b'
		}
		if found {
			return true
		}
	}
	return false
}

// mayOpen is a quick look at what stands before the word code at i: not error,
// result, response or country.
func mayOpen[T string | []byte](s T, i int) bool {
	if i < 2 {
		return false
	}
	switch b, a := s[i-1]|0x20, s[i-2]|0x20; b {
	case 'n', 'k', 'p': // authorization, unlock, backup
		return true
	case 's': // bypass, not status
		return a != 'u'
	case 'e': // challenge, not response
		return a != 's'
	case 't': // reset
		return a == 'e'
	case 'r': // qr
		return a == 'q'
	case 'y': // recovery
		return i > 2 && a == 'r' && s[i-3]|0x20 == 'e'
	}
	return !isLetterOrDigit(s[i-1])
}

// mayReveal is the same quick look for the names of DLP.
func mayReveal[T string | []byte](s T) bool {
	if len(s) < len("snippet") {
		return false
	}
	for i := range len(s) - 4 {
		switch s[i] | 0x20 {
		case 'p': // …preview
			if s[i+1]|0x20 == 'r' && s[i+2]|0x20 == 'e' && s[i+3]|0x20 == 'v' && s[i+4]|0x20 == 'i' {
				return true
			}
		case 'd': // detected…
			if s[i+1]|0x20 == 'e' && s[i+2]|0x20 == 't' && s[i+3]|0x20 == 'e' {
				return true
			}
		case 'm': // matched…
			if s[i+1]|0x20 == 'a' && s[i+2]|0x20 == 't' && s[i+3]|0x20 == 'c' {
				return true
			}
		case 's': // surrounding…, snippet
			if s[i+1]|0x20 == 'u' && s[i+2]|0x20 == 'r' && s[i+3]|0x20 == 'r' || s[i+1]|0x20 == 'n' && s[i+2]|0x20 == 'i' && s[i+3]|0x20 == 'p' {
				return true
			}
		}
	}
	return false
}

// isRevealing reports whether DLP puts clear text under this name.
func isRevealing(name string) bool { return mayReveal(name) && revealingNames[strings.ToLower(name)] }

// isDetections reports whether the name's object holds what DLP detected.
func isDetections(name string) bool {
	return mayReveal(name) && strings.HasPrefix(strings.ToLower(name), "sensitiveinformationdetections")
}

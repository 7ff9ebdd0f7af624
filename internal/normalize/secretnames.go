package normalize

import (
	"strings"
	"unicode"
)

// A name is judged by its words: "wiFiPreSharedKey" is wi fi pre shared key.
// A name that holds a secret word names a secret, unless its last word says
// that it is only about one: "passwordMinimumLength", "UniqueTokenId".

// secretWords make a name secret, in any feed.
var secretWords = wordSet(`password passwords passwd pwd passphrase passphrases passcode passcodes
	secret secrets psk token tokens credential credentials apikey accesskey clientsecret sharedkey
	presharedkey privatekey connectionstring otp`)

// settingWords do so too in the settings that Intune reports, where a key, a
// certificate or a PIN is its content.
var settingWords = wordSet(`key keys certificate certificates cert pin pfx p12 blob keymaterial`)

// keyKinds make a secret of the word key that follows.
var keyKinds = wordSet(`access account api app application encryption function host master preshared
	primary private recovery secondary secret shared signing storage subscription symmetric`)

// aboutWords at a name's end say that the value is about the secret.
var aboutWords = wordSet(`age algorithm allowed attempts attribute attributes audience authority block blocked change changed
	changes complexity count create created creation date days description detail details disabled display
	enabled end expiration expires expiry expired format from hash hint history hours id identifier ids
	identities issuer issued length level lifetime location lockout logon login max maximum method methods min minimum
	minutes mode name names on period permission permissions policies policy protocol provider quality reason
	required requirement reset role roles san scale scheme scope scopes seconds sha1 sha256 size start
	state status storage store subject template thumbprint time timeout timestamp type types uri url
	usage uses valid validity version`)

// publicNames hold a secret word and are none: keys and federations that
// everyone may know.
var publicNames = wordSet(`keycredential keycredentials federatedidentitycredential federatedidentitycredentials`)

// revealingNames are where DLP puts what it found in a document, in clear text
// (Office 365 Management Activity API schema, SensitiveInformationDetections).
var revealingNames = wordSet(`detectedvalues detectedvalue detectedtext detectedcontent matchedvalues
	matchedvalue matchedtext matchedcontent surroundingtext`)

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
	if len(words) == 0 || publicNames[strings.Join(words, "")] || aboutWords[words[len(words)-1]] {
		return false
	}
	for i, w := range words {
		switch {
		case secretWords[w], setting && settingWords[w],
			w == "key" && i > 0 && keyKinds[words[i-1]],
			w == "string" && i > 0 && words[i-1] == "connection",
			setting && w == "content" && i > 0 && words[i-1] == "script": // scripts sign in to things
			return true
		case i > 0 && secretWords[words[i-1]+w]: // Pass Word, Api-Key
			return true
		}
	}
	return endsSecret(words[len(words)-1])
}

// endsSecret knows words that are written together: "newpassword".
func endsSecret(word string) bool {
	for _, end := range [...]string{"password", "passwd", "secret", "secrettext", "passphrase", "accesstoken", "refreshtoken", "idtoken", "apikey", "privatekey", "sharedkey", "credential", "credentials"} {
		if strings.HasSuffix(word, end) {
			return !publicNames[word]
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
		case 'p': // pass, pwd, psk, pin, pfx, p12
			found = b == 'a' && c == 's' && d == 's' || b == 'w' && c == 'd' || b == 's' && c == 'k' ||
				b == 'i' && c == 'n' || b == 'f' && c == 'x' || b == '1' && c == '2'
		case 's': // secret
			found = b == 'e' && c == 'c' && d == 'r'
		case 't': // token
			found = b == 'o' && c == 'k' && d == 'e'
		case 'k': // key
			found = b == 'e' && c == 'y'
		case 'c': // credential, certificate, connectionstring, script content
			found = b == 'r' && c == 'e' && d == 'd' || b == 'e' && c == 'r' && d == 't' || b == 'o' && c == 'n' && (d == 'n' || d == 't')
		case 'o': // otp
			found = b == 't' && c == 'p'
		case 'b': // blob
			found = b == 'l' && c == 'o' && d == 'b'
		}
		if found {
			return true
		}
	}
	return false
}

// mayReveal is the same quick look for the names of DLP.
func mayReveal[T string | []byte](s T) bool {
	if len(s) < len("matchedtext") {
		return false
	}
	for i := range len(s) - 4 {
		switch s[i] | 0x20 {
		case 'd': // detected…
			if s[i+1]|0x20 == 'e' && s[i+2]|0x20 == 't' && s[i+3]|0x20 == 'e' {
				return true
			}
		case 'm': // matched…
			if s[i+1]|0x20 == 'a' && s[i+2]|0x20 == 't' && s[i+3]|0x20 == 'c' {
				return true
			}
		case 's': // surrounding…, sensitiveinformationdetections
			if s[i+1]|0x20 == 'u' && s[i+2]|0x20 == 'r' && s[i+3]|0x20 == 'r' {
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

package normalize

import (
	"strings"
	"unicode"
)

// hidesSecret reports whether a text is JSON or XML that holds a secret. Such a
// text is cut out whole: cutting inside would make new text of its escapes.
func hidesSecret(s string, setting bool, nesting int) bool {
	s = strings.TrimSpace(s)
	if len(s) < 3 || !mayBeSecret(s) && !mayReveal(s) && !strings.Contains(s, `\u`) {
		return false
	}
	begins := s[0] == '"' || s[0] == '{' || s[0] == '['
	if begins && nesting < maxNesting {
		if v, ok := parseText(s); ok {
			inner := &cutter{setting: setting, nesting: nesting + 1}
			inner.value(v, context{})
			return len(inner.cuts) > 0
		}
	}
	return strings.Contains(s, "<") && tagsSecret(s, setting) || (begins || strings.Contains(s, "{")) && namesSecret(s, setting)
}

// namesSecret is for JSON that is broken off or nested beyond reason: it looks
// for quoted words that are the names of secrets.
func namesSecret(s string, setting bool) bool {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == '"' || r == '\\' || r == '\'' }) {
		if isNameLike(word) && (isSecretName(word, setting) || isRevealing(word) || isDetections(word) || tellsOfSecret(word)) {
			return true
		}
	}
	return false
}

// tellsOfSecret reports whether a word says of another that it is a secret.
func tellsOfSecret(word string) bool {
	switch roles[lower(word)] {
	case flagRole, omaRole, keyIDRole:
		return true
	}
	return isSecretKind(lower(word))
}

// isNameLike reports whether a quoted word can be a name: Entra describes an
// app's keys as [KeyIdentifier=…,KeyType=Password,…], which is none.
func isNameLike(word string) bool {
	return len(word) <= 100 && !strings.ContainsAny(word, "=,:;[](){}<>")
}

// tagsSecret looks for XML elements and attributes that name secrets and have
// content, as in the profile of a wireless network.
func tagsSecret(s string, setting bool) bool {
	_, tags, _ := strings.Cut(s, "<")
	for tag := range strings.SplitSeq(tags, "<") {
		inside, after, _ := strings.Cut(tag, ">")
		name, attributes, _ := strings.Cut(strings.TrimSpace(inside), " ")
		if isTagSecret(name, setting) && !isHarmlessText(strings.TrimSpace(after)) {
			return true
		}
		for attributes != "" {
			var attribute, rest string
			attribute, rest, _ = strings.Cut(attributes, "=")
			if words := strings.Fields(attribute); len(words) > 0 && isTagSecret(words[len(words)-1], setting) && !isHarmlessText(firstQuoted(rest)) {
				return true
			}
			_, attributes, _ = strings.Cut(rest, " ")
		}
	}
	return false
}

// isTagSecret drops a namespace and knows the key of a wireless profile.
func isTagSecret(name string, setting bool) bool {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	return strings.EqualFold(name, "keyMaterial") || isNameLike(name) && isSecretName(name, setting)
}

// firstQuoted is what stands in the quotes that s begins with.
func firstQuoted(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	inside, _, _ := strings.Cut(s[1:], s[:1])
	return inside
}

// holdsCommand reports whether texts under this name may be a command line:
// Parameters, CommandLine, CmdletParameters, ScriptBlock, Arguments.
func holdsCommand[T string | []byte](name T) bool {
	for i := 0; i+5 <= len(name); i++ {
		switch name[i] | 0x20 {
		case 'p', 'c', 's', 'a':
			switch word := [5]byte{name[i] | 0x20, name[i+1] | 0x20, name[i+2] | 0x20, name[i+3] | 0x20, name[i+4] | 0x20}; string(word[:]) {
			case "param", "comma", "cmdle", "scrip", "argum":
				return true
			}
		}
	}
	return false
}

// commandSecrets finds the values of secret parameters in a command line:
// `-Identity bob -Password "hunter2"`, and of assignments: `Password=hunter2`.
// It works on the text as escaped, so that everything else stays as it came.
// Where a value's end is in doubt, the rest of the line goes with it.
func commandSecrets(line string) (found []span) {
	for i := 0; i < len(line); {
		name, after, ok := secretParameter(line, i)
		if !ok {
			i++
			continue
		}
		from, to := commandValue(line, after, line[i] == '-' || name == "ConvertTo-SecureString")
		if v := line[from:to]; v != marker && !isHarmlessText(strings.ReplaceAll(v, `\"`, `"`)) {
			found = append(found, span{from, to})
		}
		i = max(to, i+len(name), i+1)
	}
	return found
}

// secretParameter reports whether a secret's parameter or assignment begins at
// i, and where its value is to be looked for.
func secretParameter(line string, i int) (name string, after int, ok bool) {
	if i > 0 && isNameByte(line[i-1]) && !endsEscape(line, i) {
		return "", 0, false
	}
	dashed := line[i] == '-'
	start := i
	if dashed {
		start++
	}
	end := start
	for end < len(line) && isNameByte(line[end]) {
		end++
	}
	name = line[start:end]
	if securing := "ConvertTo-SecureString"; strings.EqualFold(name, "ConvertTo") && hasFold([]byte(line[start:min(len(line), start+len(securing))]), securing) {
		after = skipBlank(line, start+len(securing))
		return securing, after, after < len(line)
	}
	if name == "" || !isSecretName(name, false) {
		return "", 0, false
	}
	after = skipBlank(line, end)
	assigned := after < len(line) && (line[after] == '=' || line[after] == ':')
	if assigned {
		after = skipBlank(line, after+1)
	}
	return name, after, (dashed || assigned) && after < len(line)
}

// endsEscape reports whether the byte before i is the letter of a JSON escape
// such as \n, which ends a word although it is a letter.
func endsEscape(line string, i int) bool {
	return i > 1 && line[i-2] == '\\' && strings.IndexByte("nrt", line[i-1]) >= 0
}

// commandValue returns the stretch that a parameter's value takes up.
func commandValue(line string, i int, dashed bool) (from, to int) {
	end := -1
	switch {
	case strings.HasPrefix(line[i:], marker):
		return i, i + len(marker)
	case strings.HasPrefix(line[i:], `\"`):
		end = closing(line, i+2, `\"`)
	case line[i] == '\'':
		end = closing(line, i+1, "'")
	case strings.IndexByte("({@$", line[i]) >= 0: // an expression
	default:
		for end = i; end < len(line) && blank(line, end) == 0 && line[end] != ';'; {
			end++
		}
	}
	if end < 0 || !startsParameter(line, end, dashed) {
		return i, len(line)
	}
	return i, end
}

// closing returns where the quote that closes ends, -1 if it is not there. A
// quote that is doubled or behind a backtick is part of the value.
func closing(line string, i int, quote string) int {
	for ; i < len(line); i++ {
		switch {
		case line[i] == '`':
			i++
		case strings.HasPrefix(line[i:], quote+quote):
			i += 2*len(quote) - 1
		case strings.HasPrefix(line[i:], quote):
			return i + len(quote)
		}
	}
	return -1
}

// startsParameter reports whether the line ends at i or goes on with another
// parameter, so that nothing of the value before can be left.
func startsParameter(line string, i int, dashed bool) bool {
	next := skipBlank(line, i)
	if next == len(line) {
		return true
	}
	if !dashed {
		return line[next] == ';'
	}
	return next > i && next+1 < len(line) && line[next] == '-' && unicode.IsLetter(rune(line[next+1]))
}

func skipBlank(line string, i int) int {
	for {
		n := blank(line, i)
		if n == 0 {
			return i
		}
		i += n
	}
}

// blank is the length of the white space at i, escaped or not.
func blank(line string, i int) int {
	switch {
	case i >= len(line):
		return 0
	case line[i] == ' ':
		return 1
	case line[i] == '\\' && i+1 < len(line) && strings.IndexByte("nrt", line[i+1]) >= 0:
		return 2
	}
	return 0
}

func isNameByte(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80
}

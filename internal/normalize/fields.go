package normalize

import "strings"

// slots is the size of a record's name table; records have up to about eighty
// names, so that most are found at the first look.
const slots = 256

// fields is a record's outermost object with a table of its names: a feed's
// parser asks for some hundred of them, most of which are not there.
type fields struct {
	value
	table [slots]int32 // the node of the name, 0 where there is none
	sized bool         // all names fit into the table
}

// open makes the table for the object v.
func (f *fields) open(v value) {
	f.value, f.table, f.sized = v, [slots]int32{}, true
	if v.kind() != object {
		return
	}
	count := 0
	for k, end := v.i+1, v.node().next; k < end; k = v.t.nodes[k+1].next {
		n := v.t.nodes[k]
		if count++; count > slots/2 || n.escaped {
			f.sized = false
			return
		}
		f.put(k, v.t.src[n.start+1:n.end-1])
	}
}

func (f *fields) put(k int32, name []byte) {
	at := slot(name)
	for ; f.table[at] != 0; at = (at + 1) % slots {
		if other := f.t.nodes[f.table[at]]; int(other.end-other.start)-2 == len(name) && f.t.isKey(f.table[at], string(name)) {
			break // the last of several counts
		}
	}
	f.table[at] = k
}

// get is value.get by way of the table.
func (f *fields) get(name string) value {
	if !f.sized {
		return f.value.get(name)
	}
	for at := slot(name); f.table[at] != 0; at = (at + 1) % slots {
		if f.t.isKey(f.table[at], name) {
			return value{f.t, f.table[at] + 1}
		}
	}
	return value{}
}

func (f *fields) str(name string) string { return f.get(name).String() }

func (f *fields) first(names ...string) string {
	for _, name := range names {
		if s := meaning(f.str(name)); s != "" {
			return s
		}
	}
	return ""
}

// slot is where a name stands if nothing is in its way; case does not count.
func slot[T string | []byte](name T) int {
	if len(name) == 0 {
		return 0
	}
	a, b, c := name[0]|0x20, name[len(name)/2]|0x20, name[len(name)-1]|0x20
	return (len(name)*31 + int(a)*7 + int(b)*13 + int(c)*29) % slots
}

// meaning is s unless it is one of the words by which Microsoft's services say
// that they have nothing to say.
func meaning(s string) string {
	if len(s) == 0 || len(s) > 36 {
		return s
	}
	switch s[0] {
	case '-', 'n', 'N', '<', '(', 'u', 'U':
		if saysNothing(strings.ToLower(s)) {
			return ""
		}
	case '0':
		if s == "00000000-0000-0000-0000-000000000000" {
			return ""
		}
	}
	return s
}

func saysNothing(word string) bool {
	switch word {
	case "-", "n/a", "null", "none", "<null>", "(null)", "unknown", "undefined", "not-found", "not available",
		"notavailable", "not-available", "not applicable":
		return true
	}
	return false
}

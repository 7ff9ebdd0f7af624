package normalize

import "strings"

// pair is what an object's members say of its values: the form of Parameters,
// ModifiedProperties and the like is a name and its values.
type pair struct {
	secret  bool // the values are a secret's
	reveals bool // the values are what DLP detected
	command bool // the values may be command lines
	keyed   bool // the member key is a key, for there is an id of it
}

func (p pair) marked() bool { return p.secret || p.reveals || p.command }

// pairOf looks whether v is a name and its values.
func (c *cutter) pairOf(v value) (p pair) {
	var name value
	values := false
	for k, end := v.i+1, v.node().next; k < end; k = v.t.nodes[k+1].next {
		val := value{v.t, k + 1}
		switch roleOf(v.t, k) {
		case valueRole:
			values = true
		case nameRole:
			if val.kind() == text {
				name = val
			}
		case flagRole:
			p.secret = p.secret || strings.EqualFold(val.String(), "true")
		case kindRole:
			p.secret = p.secret || isSecretKind(lower(val.String()))
		case omaRole:
			p.secret = true
		case keyIDRole:
			p.keyed = true
		}
	}
	if !values {
		return pair{keyed: p.keyed}
	}
	p.secret = p.secret || p.keyed
	if name.t != nil {
		c.judge(&p, name.node(), v.t.src)
	}
	return p
}

// judge adds what the name of a pair says of its values.
func (c *cutter) judge(p *pair, n node, src []byte) {
	raw := src[n.start+1 : n.end-1]
	p.command = holdsCommand(raw)
	if !n.escaped && !mayBeSecret(raw) && !mayReveal(raw) {
		return
	}
	name := content(raw, n.escaped)
	p.secret = p.secret || isSecretName(name, c.setting)
	p.reveals = isRevealing(name) || isDetections(name)
}

// isSecretKind reports whether a type's name says that the value beside it is a
// secret: of a parameter of a flow or a template, and of a setting of Intune's
// (learn.microsoft.com/graph/api/resources/intune-deviceconfigv2-devicemanagementconfigurationsecretsettingvalue).
func isSecretKind(kind string) bool {
	switch kind {
	case "securestring", "secureobject", "secret":
		return true
	}
	return strings.HasSuffix(kind, "secretsettingvalue")
}

// isKeyName reports whether a name is key and nothing else.
func isKeyName(name []byte) bool { return len(name) == 3 && equalFold(name, "key") }

// role is what a member's name says of it in a pair of name and values.
type role uint8

const (
	noRole role = iota
	nameRole
	valueRole
	flagRole
	kindRole  // the value's type
	omaRole   // what is set by a custom setting of Intune's, which may be anything
	keyIDRole // the id of an app's key
)

var roles = map[string]role{
	"name": nameRole, "key": nameRole, "displayname": nameRole, "propertyname": nameRole, "parametername": nameRole,
	"value": valueRole, "values": valueRole, "newvalue": valueRole, "oldvalue": valueRole, "new": valueRole, "old": valueRole,
	"defaultvalue": valueRole, "parametervalue": valueRole,
	"issecret": flagRole, "isencrypted": flagRole, "type": kindRole, "@odata.type": kindRole, "omauri": omaRole, "keyid": keyIDRole,
}

// roleOf looks the name of node k up, whatever its case.
func roleOf(t *tape, k int32) role {
	n := t.nodes[k]
	raw := t.src[n.start+1 : n.end-1]
	if n.escaped {
		return roles[lower(content(raw, true))]
	}
	if len(raw) < 3 || len(raw) > 14 || !mayHaveRole[raw[0]] {
		return noRole
	}
	var folded [14]byte
	for i, c := range raw {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		folded[i] = c
	}
	return roles[string(folded[:len(raw)])]
}

// mayHaveRole marks the letters that roles begin with.
var mayHaveRole = func() (set [256]bool) {
	for name := range roles {
		set[name[0]], set[strings.ToUpper(name)[0]] = true, true
	}
	return set
}()

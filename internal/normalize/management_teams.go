package normalize

import "strings"

// memberRoles are the roles of a team's members (Management API schema, MemberRoleType).
var memberRoles = map[string]string{"0": "Member", "1": "Owner", "2": "Guest"}

// teams reads whom a record of Teams is about, and what became of a setting.
// Teams and channels themselves are read by their names.
func (r *reading) teams() {
	f := &r.record
	actor := f.first("UserId")
	for _, own := range [...]bool{false, true} { // whom it was done to stands before who did it
		for m := range f.get("Members").elements() {
			if who := m.first("UPN", "DisplayName"); strings.EqualFold(who, actor) == own {
				r.member(m, who)
			}
		}
	}
	if f.get("NewValue").kind() != absent || f.get("OldValue").kind() != absent {
		r.change(firstOf(f.first("Name", "SettingName"), "Setting"), spellReadable(f.get("OldValue")), spellReadable(f.get("NewValue")))
	}
	r.target(f.first("MessageId"), "", "message")
}

func (r *reading) member(m value, who string) {
	r.target(m.first("Id", "ObjectId"), who, "member")
	if role := m.str("Role"); role != "" {
		r.change("Role of "+who, "", firstOf(memberRoles[role], role))
	}
}

func spellReadable(v value) string {
	if v.kind() == text {
		return readable(v.String())
	}
	return spell(v)
}

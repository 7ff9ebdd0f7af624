package normalize

import "strings"

// cmdlet reads the target of an administrator's command: the object that
// Exchange resolved, and whom it was given to.
func (r *reading) cmdlet() {
	f := &r.record
	parameters := f.get("Parameters")
	verb, noun, ok := strings.Cut(r.event.Operation, "-")
	if !ok || verb == "" || noun == "" || strings.Contains(noun, " ") || parameters.kind() == absent && f.get("CmdletVersion").kind() == absent {
		return
	}
	object := f.first("ObjectId")
	given := givenTo(parameters)
	r.target(object, firstOf(f.first("ModifiedObjectResolvedName"), given.name, leaf(object), leaf(given.identity)), noun)
	for _, to := range given.recipients {
		r.target("", leaf(to), "recipient")
	}
}

// given is what a cmdlet's parameters say of whom and what it was about.
type given struct {
	name, identity string
	recipients     []string
}

// naming, identifying and receiving are the parameters that say it.
var (
	naming      = []string{"Name", "DisplayName"}
	identifying = []string{"Identity", "Mailbox"}
	receiving   = []string{
		"User", "Trustee", "Member", "Members", "Delegate", "ForwardTo", "RedirectTo", "ForwardAsAttachmentTo",
		"ForwardingSmtpAddress", "ForwardingAddress", "GrantSendOnBehalfTo",
	}
)

func givenTo(parameters value) given {
	var g given
	for p := range parameters.elements() {
		name := p.get("Name")
		if name.kind() != text {
			continue
		}
		switch {
		case name.isAny(naming):
			g.name = firstOf(g.name, meaning(spell(p.get("Value"))))
		case name.isAny(identifying):
			g.identity = firstOf(g.identity, meaning(spell(p.get("Value"))))
		case name.isAny(receiving):
			g.recipients = append(g.recipients, meaning(spell(p.get("Value"))))
		}
	}
	return g
}

// leaf is the last part of an Exchange identity such as
// EURPR04A009.PROD.OUTLOOK.COM/Microsoft Exchange Hosted Organizations/contoso.onmicrosoft.com/alice.
func leaf(identity string) string {
	if strings.Contains(identity, "://") {
		return identity
	}
	if i := strings.LastIndexAny(identity, `/\`); i >= 0 && i < len(identity)-1 {
		return identity[i+1:]
	}
	return identity
}

// mailbox reads a mailbox audit record: whose mailbox, which folders, which
// messages.
func (r *reading) mailbox() {
	f := &r.record
	if f.get("MailboxGuid").kind() == absent && f.get("MailboxOwnerUPN").kind() == absent {
		return
	}
	r.target(f.str("MailboxGuid"), f.str("MailboxOwnerUPN"), "mailbox")
	for _, other := range [...]string{"SendAsUserSmtp", "SendOnBehalfOfUserSmtp", "DestMailboxOwnerUPN"} {
		r.target("", f.str(other), "mailbox")
	}
	item := f.get("Item")
	r.message(item)
	for e := range f.get("AffectedItems").elements() {
		r.message(e)
	}
	r.folder(item.get("ParentFolder"))
	r.folder(f.get("Folder"))
	r.folder(f.get("DestFolder"))
	for folder := range f.get("Folders").elements() {
		r.folder(folder)
		for m := range folder.get("FolderItems").elements() {
			r.message(m)
		}
	}
	r.folderRights(item.get("ParentFolder"))
}

// message names a message by its subject and by the id that the mail itself
// carries, which is the same in every mailbox.
func (r *reading) message(m value) {
	r.target(firstOf(m.first("InternetMessageId"), m.first("Id")), m.str("Subject"), "message")
	r.target("", m.first("Attachments"), "attachment")
}

func (r *reading) folder(f value) {
	r.target(f.str("Id"), f.first("Path", "Name"), "folder")
}

// folderRights reads whom a folder was opened to, and how far.
func (r *reading) folderRights(f value) {
	if member := f.first("MemberUpn"); member != "" {
		r.target(f.str("MemberSid"), member, "member")
		r.change("MemberRights", "", f.str("MemberRights"))
	}
}

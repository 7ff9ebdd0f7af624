package audit

// CheckState is how a check of the preflight came out.
type CheckState string

// The states of a check. A script that asks whether collection can begin looks
// for CheckFailed; a warning works now, or passes without anybody's doing.
const (
	CheckOK      CheckState = "ok"
	CheckWarning CheckState = "warning"
	CheckFailed  CheckState = "failed"  // somebody has to do what Advice says
	CheckSkipped CheckState = "skipped" // not tried, because of what Found says
)

// Check is one thing that the preflight looked at before, or while, records are
// collected. Its texts are for people and hold no token and no secret.
type Check struct {
	Name   string     `json:"name"`             // what was checked
	State  CheckState `json:"state"`            //
	Found  string     `json:"found"`            // what there is, in whole sentences
	Advice string     `json:"advice,omitempty"` // what to do, exactly; "" where nothing is to be done
	Source Source     `json:"source,omitempty"` // the feed that it is about; "": about all
}

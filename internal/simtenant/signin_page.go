package simtenant

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // of the pages and their style
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

// pageStyle is the style of all pages. It stands in the page, for a mounted
// handler cannot know where a file of its own would be.
//
//go:embed signin.css
var pageStyle string

//go:embed signin.html
var pageText string

var (
	pages         = template.Must(template.New("").Parse(pageText))
	peoplePage    = pages.Lookup("people")
	failedPage    = pages.Lookup("failed")
	signedOutPage = pages.Lookup("signed-out")
)

// pagePolicy lets a page be nothing but text and its style. No form-action is
// needed: people are chosen by links, for browsers apply form-action to the
// redirect that follows a form too.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// offer is one person on the page.
type offer struct {
	SignInPerson
	Link, Initials string
	Hinted         bool
}

// peoplePage shows who one can be. Somebody whom the application named comes
// first and has the focus.
func (t *Tenant) peoplePage(w http.ResponseWriter, begun string, ask signInAsk, hint string) error {
	link := func(person string) string { return "choose?begun=" + begun + "&person=" + person }
	var offers []offer
	for _, p := range t.SignInPeople() {
		o := offer{p, link(p.ObjectID), initials(p.Name), strings.EqualFold(hint, p.UPN)}
		if o.Hinted {
			offers = append([]offer{o}, offers...)
			continue
		}
		offers = append(offers, o)
	}
	back, _ := t.redirect(ask.redirect) // it was parsed when the request was checked
	return writeHTML(w, http.StatusOK, peoplePage, map[string]any{
		"Style": template.CSS(pageStyle), "Company": companyName, "App": clientName,
		"Back": back.Scheme + "://" + back.Host, "Offers": offers, "Cancel": link(cancelled),
	})
}

func initials(name string) string {
	var out strings.Builder
	for word := range strings.FieldsSeq(name) {
		out.WriteString(word[:1])
	}
	return out.String()
}

// errorPage is a refusal in Entra's words for the person in front of it.
func (t *Tenant) errorPage(number int, text string) error {
	var body bytes.Buffer
	err := failedPage.Execute(&body, map[string]any{
		"Style": template.CSS(pageStyle), "Text": fmt.Sprintf("AADSTS%d: %s", number, text),
		"Request": newRequestID(), "Correlation": newRequestID(), "Stamp": t.entraStamp(),
	})
	if err != nil {
		return fmt.Errorf("make the page of an error: %w", err)
	}
	no := &refusal{status: http.StatusBadRequest, header: http.Header{}, body: body.Bytes()}
	pageHeaders(no.header)
	return no
}

func writeHTML(w http.ResponseWriter, status int, page *template.Template, data map[string]any) error {
	if data == nil {
		data = map[string]any{"Style": template.CSS(pageStyle)}
	}
	var body bytes.Buffer
	if err := page.Execute(&body, data); err != nil {
		return fmt.Errorf("make a page: %w", err)
	}
	pageHeaders(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client may be gone
	return nil
}

func pageHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

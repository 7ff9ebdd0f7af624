package api

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"aoc/internal/audit"
)

// Bounds of one notification: the reference names none, and says that their
// length varies.
const (
	maxNotified     = 2000
	maxNotification = 2 << 20
)

// contentSources are the feeds by the Management API's names for them.
var contentSources = map[string]audit.Source{
	"Audit.AzureActiveDirectory": audit.M365Entra, "Audit.Exchange": audit.M365Exchange, "Audit.SharePoint": audit.M365SharePoint,
	"Audit.General": audit.M365General, "DLP.All": audit.M365DLP,
}

// notified is one content blob as a notification names it.
type notified struct {
	TenantID    string    `json:"tenantId" jsonschema:"Ours, or the whole notification is refused."`
	ContentType string    `json:"contentType" jsonschema:"Such as Audit.Exchange; one that is not collected is passed over."`
	ContentID   string    `json:"contentId" jsonschema:"The blob."`
	ContentURI  string    `json:"contentUri" jsonschema:"Where it lies."`
	Created     time.Time `json:"contentCreated" jsonschema:"When it came to be."`
	Expires     time.Time `json:"contentExpiration" jsonschema:"Until when it can be read."`
}

// validated is the body by which the Management API tries an address.
type validated struct {
	Code string `json:"validationCode" jsonschema:"As in the header."`
}

type validAnswer struct {
	Status string `json:"status" jsonschema:"ok."`
}

type pushedAnswer struct {
	Blobs int `json:"blobs" jsonschema:"Of feeds that are switched on; they are in the ledger now."`
}

// webhook takes the Management API's notifications. It answers 200, the one
// answer that counts there as received, only when the blobs named are in the
// ledger; where they lie is checked when they are read. Bodies may grow fields.
// (Office 365 Management Activity API reference, receiving notifications.)
func (a *API) webhook(w http.ResponseWriter, r *http.Request) error {
	if a.WebhookAuthID == nil {
		return audit.ErrNotFound
	}
	ours, err := a.WebhookAuthID(r.Context())
	if err != nil {
		return fmt.Errorf("%w: the webhook's secret: %w", audit.ErrBusy, err)
	}
	if ours == "" {
		return audit.ErrNotFound
	}
	// A constant time for any header: what is compared must not be guessed byte by byte.
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Webhook-AuthID")), []byte(ours)) != 1 {
		return errForbidden
	}
	if code := r.Header.Get("Webhook-ValidationCode"); code != "" {
		return writeJSON(w, http.StatusOK, validAnswer{"ok"})
	}
	var list []notified
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return errTooLarge
		}
		return audit.Invalid("body", "expected an array of content blobs")
	}
	if len(list) > maxNotified {
		return audit.Invalid("body", fmt.Sprintf("expected at most %d blobs, got %d", maxNotified, len(list)))
	}
	blobs, err := a.blobsOf(list)
	if err != nil {
		return err
	}
	if err := a.Push.Push(r.Context(), blobs); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, pushedAnswer{len(blobs)})
}

// blobsOf takes the blobs of feeds that are switched on. One of another tenant
// spoils the whole notification: it is no mistake that Microsoft makes.
func (a *API) blobsOf(list []notified) ([]audit.Blob, error) {
	var blobs []audit.Blob
	for i, n := range list {
		if !strings.EqualFold(n.TenantID, a.Features.TenantID) {
			return nil, audit.Invalid(fmt.Sprintf("[%d].tenantId", i), "expected this tenant's id")
		}
		if n.ContentID == "" || n.ContentURI == "" || n.Created.IsZero() || len(n.ContentID)+len(n.ContentURI) > 4096 {
			return nil, audit.Invalid(fmt.Sprintf("[%d]", i), "expected contentId, contentUri and contentCreated")
		}
		source, known := contentSources[n.ContentType]
		if !known || !slices.Contains(a.Features.Sources, source) {
			continue
		}
		blobs = append(blobs, audit.Blob{Source: source, ID: n.ContentID, URI: n.ContentURI, Created: n.Created.UTC(), Expires: n.Expires.UTC()})
	}
	return blobs, nil
}

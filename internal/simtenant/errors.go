package simtenant

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refusal is an answer that is not what was asked for, whole as it goes out.
type refusal struct {
	status    int
	header    http.Header
	body      []byte
	throttled bool
}

// Error implements error.
func (r *refusal) Error() string { return strconv.Itoa(r.status) + ": " + string(r.body) }

// throttledHeader carries the mark of a throttled answer from refusal to
// answer, which takes it off.
const throttledHeader = "X-Simtenant-Throttled"

func (r *refusal) write(w http.ResponseWriter) {
	for k, v := range r.header {
		w.Header()[k] = v
	}
	if r.throttled {
		w.Header().Set(throttledHeader, "1")
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // the client may be gone; there is no one else to tell
}

func refuseJSON(status int, body any) *refusal {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("simtenant: encode an error body: %v", err)) // all bodies are made here of texts and numbers
	}
	return &refusal{status: status, header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, body: b}
}

// newRequestID is a random GUID, as every answer of Microsoft's carries some.
func newRequestID() string { return uuid(rand.Uint64(), rand.Uint64()) }

// graphRefusal is an error of Graph.
// [learn.microsoft.com/graph/errors]
func (t *Tenant) graphRefusal(r *http.Request, status int, code, message string) *refusal {
	inner := map[string]string{
		"date":              t.now().UTC().Format("2006-01-02T15:04:05"),
		"request-id":        newRequestID(),
		"client-request-id": r.Header.Get("client-request-id"),
	}
	if inner["client-request-id"] == "" {
		inner["client-request-id"] = inner["request-id"]
	}
	no := refuseJSON(status, map[string]any{"error": map[string]any{"code": code, "message": message, "innerError": inner}})
	no.header.Set("request-id", inner["request-id"])
	no.header.Set("client-request-id", inner["client-request-id"])
	if status == http.StatusUnauthorized {
		no.header.Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`)
	}
	return no
}

// afTexts are the messages of the Management Activity API.
// [office-365-management-activity-api-reference, "Errors"; AF20024 and the
// statuses as seen on the wire, others by their kind]
var afTexts = map[string]struct {
	status int
	text   string
}{
	"AF10001": {http.StatusUnauthorized, "The permission set (%s) sent in the request did not include the expected permission %s."},
	"AF20001": {http.StatusBadRequest, "Missing parameter: %s."},
	"AF20002": {http.StatusBadRequest, "Invalid parameter type: %s. Expected type: %s"},
	"AF20003": {http.StatusBadRequest, "Expiration %s provided is set to past date and time."},
	"AF20010": {http.StatusBadRequest, "The tenant ID passed in the URL (%s) does not match the tenant ID passed in the access token (%s)."},
	"AF20011": {http.StatusBadRequest, "Specified tenant ID (%s) does not exist in the system or has been deleted."},
	"AF20012": {http.StatusBadRequest, "Specified tenant ID (%s) is incorrectly configured in the system."},
	"AF20013": {http.StatusBadRequest, "The tenant ID passed in the URL (%s) is not a valid GUID."},
	"AF20020": {http.StatusBadRequest, "The specified content type is not valid."},
	"AF20021": {http.StatusBadRequest, "The webhook endpoint (%s) could not be validated. %s"},
	"AF20022": {http.StatusBadRequest, "No subscription found for the specified content type."},
	"AF20023": {http.StatusBadRequest, "The subscription was disabled by %s."},
	"AF20024": {http.StatusBadRequest, "The subscription is already enabled. No property change."},
	"AF20031": {http.StatusBadRequest, "Invalid nextPage Input: %s."},
	"AF20050": {http.StatusNotFound, "The specified content (%s) does not exist."},
	"AF20051": {http.StatusBadRequest, "Content requested with the key %s has already expired. Content older than 7 days cannot be retrieved."},
	"AF20052": {http.StatusBadRequest, "Content ID %s in the URL is invalid."},
	"AF20053": {http.StatusBadRequest, "Only one language may be present in the Accept-Language header."},
	"AF20054": {http.StatusBadRequest, "Invalid syntax in Accept-Language header."},
	"AF20055": {http.StatusBadRequest, "Start time and end time must both be specified (or both omitted) and must be less than or equal to 24 hours apart, with the start time prior to end time and start time no more than 7 days in the past."},
	"AF429":   {http.StatusTooManyRequests, "Too many requests. Method=%s, PublisherId=%s"},
	"AF50000": {http.StatusInternalServerError, "An internal error occurred. Retry the request."},
}

// af is an error of the Management Activity API.
func af(code string, args ...any) *refusal {
	known := afTexts[code]
	text := known.text
	if len(args) > 0 {
		text = fmt.Sprintf(text, args...)
	}
	return refuseJSON(known.status, map[string]any{"error": map[string]string{"code": code, "message": text}})
}

// deniedManagement is how the Management API refuses a token: in another
// shape than its other errors. [microsoft/powerapps-tools#300]
func deniedManagement() *refusal {
	no := &refusal{
		status: http.StatusUnauthorized,
		header: http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Www-Authenticate": {"Bearer"}},
		body:   []byte(`{"Message":"Authorization has been denied for this request."}`),
	}
	return no
}

// entraRefusal is an error of the token endpoints.
// [entra-docs reference-error-codes; status 401 for invalid_client, else 400]
func (t *Tenant) entraRefusal(code string, number int, text string) *refusal {
	status := http.StatusBadRequest
	if code == "invalid_client" {
		status = http.StatusUnauthorized
	}
	trace, correlation := newRequestID(), newRequestID()
	stamp := t.entraStamp()
	return refuseJSON(status, map[string]any{
		"error": code, "error_description": entraText(number, text, trace, correlation, stamp),
		"error_codes": []int{number}, "timestamp": stamp, "trace_id": trace, "correlation_id": correlation,
		"error_uri": entraErrorURI(number),
	})
}

func (t *Tenant) entraStamp() string { return t.now().UTC().Format("2006-01-02 15:04:05Z") }

func entraText(number int, text, trace, correlation, stamp string) string {
	return fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s", number, text, trace, correlation, stamp)
}

func entraErrorURI(number int) string {
	return fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", number)
}

// plainRefusal is an API's error of a status that any request can meet.
func (t *Tenant) plainRefusal(of api, status int, r *http.Request) *refusal {
	switch of {
	case apiManagement:
		return plainManagement(status, r)
	case apiGraph:
		return t.plainGraph(status, r)
	case apiVault:
		return t.plainVault(status, r)
	}
	no := refuseJSON(status, map[string]any{"error": "temporarily_unavailable", "error_description": "AADSTS90033: A transient error has occurred. Please try again."})
	no.throttled = status == http.StatusTooManyRequests
	return no
}

func plainManagement(status int, r *http.Request) *refusal {
	switch status {
	case http.StatusUnauthorized:
		return deniedManagement()
	case http.StatusTooManyRequests, http.StatusForbidden:
		no := af("AF429", r.Method, publisher(r))
		no.status, no.throttled = status, true
		return no
	}
	no := af("AF50000")
	no.status = status
	return no
}

func (t *Tenant) plainGraph(status int, r *http.Request) *refusal {
	switch status {
	case http.StatusUnauthorized:
		return t.graphRefusal(r, status, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
	case http.StatusTooManyRequests:
		return t.graphThrottled(r)
	case http.StatusServiceUnavailable:
		return t.graphRefusal(r, status, "serviceNotAvailable", "The service is temporarily unavailable. Please try again later.")
	}
	code := strings.ReplaceAll(http.StatusText(status), " ", "")
	if status == http.StatusInternalServerError {
		code = "generalException"
	}
	return t.graphRefusal(r, status, code, "An error occurred while processing the request.")
}

// graphThrottled is one of the two bodies of 429. [concepts/throttling, and
// MicrosoftDocs/azure-docs#70953 for the audit logs' own]
func (t *Tenant) graphThrottled(r *http.Request) *refusal {
	id := newRequestID()
	body := map[string]any{"error": map[string]any{
		"code": "TooManyRequests", "message": "Please retry again later.",
		"innerError": map[string]string{
			"code": "429", "date": t.now().UTC().Format(time.RFC3339), "message": "Please retry after", "request-id": id, "status": "429",
		},
	}}
	if t.onWire().ReportsThrottleBody && strings.Contains(r.URL.Path, "/auditLogs/") {
		body = map[string]any{"error": map[string]any{
			"code":       "UnknownError",
			"message":    "This request is throttled. Please try again after the value specified in the Retry-After header. CorrelationId: " + id,
			"innerError": map[string]string{"date": t.now().UTC().Format("2006-01-02T15:04:05"), "request-id": id, "client-request-id": id},
		}}
	}
	no := refuseJSON(http.StatusTooManyRequests, body)
	no.throttled = true
	return no
}

// writeJSON answers 200 with a value made of things that can be encoded.
func writeJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(b) // the client may be gone
	return nil
}

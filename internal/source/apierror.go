package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
)

// ErrGone says that a content blob is not there any more: Microsoft keeps it
// for some days only. Asking again is of no use.
var ErrGone = errors.New("gone")

// APIError is an answer of one of Microsoft's APIs that is no success.
type APIError struct {
	API     API
	Op      string // what was tried
	Status  int    // HTTP status; 0 when there was no answer
	Code    string // the API's own, "" where it gave none
	Message string // the API's own words, cleaned and cut; never a token or secret
}

// Error reads "list Audit.Exchange: Office 365 Management API answered 400
// AF20055: …".
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Op, e.API)
	if e.Status != 0 {
		fmt.Fprintf(&b, " answered %d", e.Status)
	}
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// Is makes errors.Is(err, ErrGone) true for content that does not exist
// (AF20050) or has expired (AF20051).
func (e *APIError) Is(target error) bool {
	return target == ErrGone && (e.Code == "AF20050" || e.Code == "AF20051")
}

// Gone reports the same, for callers that must not know this package.
func (e *APIError) Gone() bool { return e.Is(ErrGone) }

// throttled reports whether the API wants fewer calls. The Management API says
// so with 403 AF429; Graph's audit logs with the code UnknownError.
func (e *APIError) throttled() bool {
	return e.Status == http.StatusTooManyRequests || e.Code == "AF429" || strings.Contains(e.Message, "request is throttled")
}

// passing reports whether the same call may well succeed a little later. The
// Management API's codes say more than its status: AF5… are internal errors
// (AF50000, AF50005, AF50006 were seen), all others answer what was asked.
func (e *APIError) passing() bool {
	if strings.HasPrefix(e.Code, "AF") {
		return strings.HasPrefix(e.Code, "AF5")
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// ThrottledError says that an API is to be left alone until a moment.
type ThrottledError struct {
	Until time.Time
	Err   error // the last answer
}

// Error reads as the last answer, with the moment.
func (e *ThrottledError) Error() string {
	return fmt.Sprintf("%v (to be left alone until %s)", e.Err, e.Until.UTC().Format(time.RFC3339))
}

// Unwrap returns the last answer.
func (e *ThrottledError) Unwrap() error { return e.Err }

// RetryAt returns the moment from which on the call may be tried again.
func (e *ThrottledError) RetryAt() time.Time { return e.Until }

// errorBody holds the shapes of Microsoft's error bodies. encoding/json matches
// names with any case, which covers innerError and innererror, Message and message.
type errorBody struct {
	Error       json.RawMessage `json:"error"`
	Description string          `json:"error_description"`
	Message     string          `json:"message"`
}

// errorDetail is the object form of errorBody.Error.
type errorDetail struct {
	Code    string
	Message string
	Inner   struct {
		Code    string
		Message string
	} `json:"innerError"`
}

// readError takes code and message out of an error's body, whatever its shape.
func readError(body []byte, contentType string, secrets ...string) (code, message string) {
	var b errorBody
	if json.Unmarshal(body, &b) != nil {
		return "", "the body is " + kind(contentType) + ", not a JSON object"
	}
	var detail errorDetail
	if json.Unmarshal(b.Error, &detail) == nil && (detail.Code != "" || detail.Message != "") {
		code, message = detail.Code, detail.Message
		if message == "" {
			message = detail.Inner.Message
		}
	} else if json.Unmarshal(b.Error, &code) == nil && code != "" {
		message = b.Description
	} else {
		message = b.Message
	}
	return cut(clean(code, secrets...), 80), clean(message, secrets...)
}

func kind(contentType string) string {
	if t, _, err := mime.ParseMediaType(contentType); err == nil {
		return t
	}
	return "of an unknown type"
}

const maxMessage = 400 // bytes of an API's own words that an error keeps

var bearer = regexp.MustCompile(`(?i)bearer\s+[\w.~+/=-]{8,}|eyJ[\w-]{8,}(\.[\w-]*){0,4}`)

// clean makes words from elsewhere fit for a log: one line, cut, and without
// what looks like a token or is one of the secrets.
func clean(s string, secrets ...string) string {
	s = cut(s, 64<<10)
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[secret]")
		}
	}
	s = bearer.ReplaceAllString(s, "[token]")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return cut(strings.Join(strings.Fields(s), " "), maxMessage)
}

// cut returns at most n bytes of s, and says when it cut.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

package azfunc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// callEnvelope serves an HTTP function with further outputs, or with forwarding
// off: the request goes in an envelope and the answer comes out of an output.
func (h *Host) callEnvelope(w http.ResponseWriter, r *http.Request, f *Function, params map[string]string) {
	err := h.answerEnvelope(w, r, f, params)
	if err != nil {
		h.log.ErrorContext(r.Context(), "invocation failed", "function", f.Name, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (h *Host) answerEnvelope(w http.ResponseWriter, r *http.Request, f *Function, params map[string]string) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	data, metadata := requestEnvelope(r, params, string(body))
	out, err := h.invoke(r.Context(), f, map[string]any{f.Binding: data}, metadata)
	if err != nil {
		return err
	}
	if err := h.deliver(f, out); err != nil {
		return err
	}
	for _, o := range f.Outputs {
		if o.Type == httpOutput {
			return writeOutput(w, out, o.Name)
		}
	}
	return writeOutput(w, outcome{}, "")
}

// nobody is the identity that the host sends where there is none.
var nobody = json.RawMessage(`[{"AuthenticationType":null,"IsAuthenticated":false,"Actor":null,"BootstrapContext":null,"Claims":[],"Label":null,"Name":null,` +
	`"NameClaimType":"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name","RoleClaimType":"http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}]`)

func requestEnvelope(r *http.Request, params map[string]string, body string) (data, metadata map[string]any) {
	joined, last := map[string]string{}, map[string]string{}
	metadata = map[string]any{}
	for name, values := range lenientQuery(r.URL.RawQuery) {
		joined[name] = strings.Join(values, ",")
		last[name] = values[len(values)-1]
		metadata[name] = quote(last[name])
	}
	for name, value := range params {
		metadata[name] = quote(value)
	}
	headers, first := map[string][]string{"Host": {r.Host}}, map[string]string{"Host": r.Host}
	for name, values := range r.Header {
		headers[name], first[name] = values, values[0]
	}
	metadata["Query"], metadata["Headers"] = last, first
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return map[string]any{
		"Url":        scheme + "://" + r.Host + r.URL.RequestURI(),
		"Method":     r.Method,
		"Query":      joined,
		"Headers":    headers,
		"Params":     params,
		"Identities": nobody,
		"Body":       body,
	}, metadata
}

// lenientQuery parses as ASP.NET does: what is not escaped rightly stays as it is.
func lenientQuery(raw string) url.Values {
	values := url.Values{}
	unescape := func(s string) string {
		if plain, err := url.QueryUnescape(s); err == nil {
			return plain
		}
		return s
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		values.Add(unescape(name), unescape(value))
	}
	return values
}

// httpOut is the value of an http output.
type httpOut struct {
	StatusCode json.RawMessage `json:"statusCode"`
	Status     json.RawMessage `json:"status"`
	Headers    map[string]any  `json:"headers"`
	Body       json.RawMessage `json:"body"`
}

// writeOutput answers the caller out of an http output. A named output that is
// not an object, and none at all, is 200 with {}. $return may be the body itself.
func writeOutput(w http.ResponseWriter, out outcome, name string) error {
	value := bytes.TrimSpace(out.output(name))
	if name == returnBinding && len(value) > 0 && !isResponse(value) {
		return writeBody(w, http.StatusOK, returned(value))
	}
	var o httpOut
	if len(value) == 0 || json.Unmarshal(value, &o) != nil {
		return writeBody(w, http.StatusOK, json.RawMessage("{}"))
	}
	status, err := o.code()
	if err != nil {
		return err
	}
	for header, value := range o.Headers {
		w.Header().Set(header, fmt.Sprint(value))
	}
	return writeBody(w, status, o.Body)
}

// isResponse tells an object that describes an answer from one that is its body.
func isResponse(value json.RawMessage) bool {
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) != nil {
		return false
	}
	for _, name := range []string{"statusCode", "status", "headers", "body"} {
		if _, given := object[name]; given {
			return true
		}
	}
	return false
}

// returned decodes a return value that happens to be valid base64.
func returned(value json.RawMessage) json.RawMessage {
	if value[0] != '"' {
		return value
	}
	decoded, err := base64.StdEncoding.DecodeString(string(unquote(value)))
	if err != nil {
		return value
	}
	return json.RawMessage(quote(string(decoded)))
}

// code reads statusCode, which may be a string.
func (o httpOut) code() (int, error) {
	text := string(unwrap(o.StatusCode))
	if text == "" {
		text = string(unwrap(o.Status))
	}
	if text == "" || text == "null" {
		return http.StatusOK, nil
	}
	code, err := strconv.Atoi(text)
	if err != nil || code < 100 || code > 999 {
		return 0, fmt.Errorf("statusCode: expected a number, got %s", text)
	}
	return code, nil
}

// writeBody sends text/plain where the output named no type, even for an object,
// which is indented; a string goes out as it is.
func writeBody(w http.ResponseWriter, status int, body json.RawMessage) error {
	body = bytes.TrimSpace(body)
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	w.WriteHeader(status)
	if len(body) > 0 && !bytes.Equal(body, []byte("null")) {
		_, _ = io.WriteString(w, messageText(body)) // the caller went away: there is nobody to tell
	}
	return nil
}

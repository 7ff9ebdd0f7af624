package simtenant

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// dripPiece is how many bytes of a dripping body come at once.
const dripPiece = 512

// writer returns what an endpoint writes to, and what to call when it has
// written. Bodies are compressed for clients that take gzip; faults of the body
// lie behind that, so that what a client unpacks is broken.
func (s strike) writer(out http.ResponseWriter, r *http.Request) (http.ResponseWriter, func()) {
	if fault, ok := s[FaultDrip]; ok {
		out = &dripping{ResponseWriter: out, r: r, delay: fault.Delay}
	}
	if _, ok := s[FaultTruncatedGzip]; ok {
		held := &heldBody{ResponseWriter: out}
		return held, func() { held.truncatedGzip() }
	}
	zip := &zipping{ResponseWriter: out, want: acceptsGzip(r)}
	for kind, spoil := range map[FaultKind]func(*heldBody){FaultCut: (*heldBody).cut, FaultHalfArray: (*heldBody).half, FaultHTML: (*heldBody).html} {
		if _, ok := s[kind]; ok {
			held := &heldBody{ResponseWriter: zip}
			return held, func() { spoil(held); zip.close() }
		}
	}
	return zip, zip.close
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(part, ";")
		if strings.TrimSpace(name) == "gzip" && strings.TrimSpace(weight) != "q=0" {
			return true
		}
	}
	return false
}

// zipping compresses a body from its first byte, if there is one.
type zipping struct {
	http.ResponseWriter
	want bool
	code int
	sent bool
	zip  *gzip.Writer
}

// WriteHeader waits for the body, which decides on a header.
func (z *zipping) WriteHeader(code int) {
	if z.code == 0 {
		z.code = code
	}
}

// Write implements io.Writer.
func (z *zipping) Write(b []byte) (int, error) {
	if !z.sent {
		z.sent = true
		if z.want {
			z.Header().Set("Content-Encoding", "gzip")
			z.Header().Add("Vary", "Accept-Encoding")
			z.zip = gzip.NewWriter(z.ResponseWriter)
		}
		z.ResponseWriter.WriteHeader(max(z.code, http.StatusOK))
	}
	if z.zip != nil {
		return z.zip.Write(b)
	}
	return z.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController flush what is behind.
func (z *zipping) Unwrap() http.ResponseWriter { return z.ResponseWriter }

func (z *zipping) close() {
	if !z.sent {
		z.ResponseWriter.WriteHeader(max(z.code, http.StatusOK))
	}
	if z.zip != nil {
		_ = z.zip.Close() // the client may be gone
	}
}

// dripping sends a body in small pieces with pauses between.
type dripping struct {
	http.ResponseWriter
	r     *http.Request
	delay time.Duration
}

// Write implements io.Writer.
func (d *dripping) Write(b []byte) (int, error) {
	sent := 0
	for len(b) > 0 {
		n, err := d.ResponseWriter.Write(b[:min(dripPiece, len(b))])
		sent += n
		if err != nil {
			return sent, err
		}
		_ = http.NewResponseController(d.ResponseWriter).Flush() // what cannot be flushed comes late, as it should
		if b = b[n:]; !pause(d.r.Context(), d.delay) {
			return sent, d.r.Context().Err()
		}
	}
	return sent, nil
}

// Unwrap lets http.ResponseController flush what is behind.
func (d *dripping) Unwrap() http.ResponseWriter { return d.ResponseWriter }

// heldBody keeps an answer, to be spoilt before it is sent.
type heldBody struct {
	http.ResponseWriter
	code int
	body bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (h *heldBody) WriteHeader(code int) {
	if h.code == 0 {
		h.code = code
	}
}

// Write implements io.Writer.
func (h *heldBody) Write(b []byte) (int, error) { return h.body.Write(b) }

// send passes on a body with the status that was meant.
func (h *heldBody) send(body []byte) {
	h.ResponseWriter.WriteHeader(max(h.code, http.StatusOK))
	_, _ = h.ResponseWriter.Write(body) // the client may be gone
}

func (h *heldBody) half() { h.send(h.body.Bytes()[:(h.body.Len()+1)/2]) }

// cut sends half and breaks the connection.
func (h *heldBody) cut() {
	if zip, ok := h.ResponseWriter.(*zipping); ok {
		zip.want = false // the compressor would hold the half back
	}
	h.half()
	_ = http.NewResponseController(h.ResponseWriter).Flush() // without it the client sees no body at all, which is a cut too
	panic(http.ErrAbortHandler)
}

func (h *heldBody) html() {
	h.Header().Set("Content-Type", "text/html; charset=utf-8")
	h.code = http.StatusOK
	h.send([]byte("<!DOCTYPE html>\r\n<html><head><title>Sign in to your account</title></head><body>We can't sign you in right now.</body></html>"))
}

func (h *heldBody) truncatedGzip() {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write(h.body.Bytes()) // a buffer takes everything
	_ = zip.Close()
	h.Header().Set("Content-Encoding", "gzip")
	h.send(packed.Bytes()[:packed.Len()*2/3])
}

// withoutID takes the record's own id out of it.
func withoutID(body []byte) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return body
	}
	delete(fields, "Id")
	delete(fields, "id")
	b, err := json.Marshal(fields)
	if err != nil {
		return body
	}
	return b
}

// withExtraKeys puts keys before the record's own.
func withExtraKeys(body []byte) []byte {
	rest := bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("{")), " \t\r\n")
	head := `{"XFutureKey":{"nested":[1,{"deep":null}]},"x_future_text":"\u00e9"`
	if rest[0] != '}' {
		head += ","
	}
	return append([]byte(head), rest...)
}

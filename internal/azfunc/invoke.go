package azfunc

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// maxAnswer caps what the host reads of one invocation's answer.
const maxAnswer = 32 << 20

// outcome is the answer to an envelope.
type outcome struct {
	Outputs     map[string]json.RawMessage
	Logs        []string
	ReturnValue json.RawMessage
}

// output is the value for one output binding, nil where there is none.
func (o outcome) output(name string) json.RawMessage {
	value := o.Outputs[name]
	if name == returnBinding {
		value = o.ReturnValue
	}
	if bytes.Equal(bytes.TrimSpace(value), []byte("null")) {
		return nil
	}
	return value
}

// invoke posts an envelope to the function and reads its answer. An empty 2xx
// body never completes the invocation, as on the real host: invoke then returns
// when ctx ends.
func (h *Host) invoke(ctx context.Context, f *Function, data, metadata map[string]any) (outcome, error) {
	metadata["sys"] = map[string]any{"MethodName": f.Name, "UtcNow": time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"), "RandGuid": newGUID()}
	body, err := h.exchange(ctx, f, data, metadata)
	if err != nil {
		return outcome{}, err
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || bytes.Equal(body, []byte("null")) {
		h.log.ErrorContext(ctx, "function answered without a body: its invocation never completes", "function", f.Name)
		<-ctx.Done()
		return outcome{}, ctx.Err()
	}
	var out outcome
	if err := json.Unmarshal(body, &out); err != nil {
		return outcome{}, fmt.Errorf("answer is not {Outputs, Logs, ReturnValue}: %w", err)
	}
	for _, line := range out.Logs {
		h.log.InfoContext(ctx, line, "function", f.Name)
	}
	return out, nil
}

func (h *Host) exchange(ctx context.Context, f *Function, data, metadata map[string]any) ([]byte, error) {
	if timeout := h.app.settings.functionTimeout; timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var envelope bytes.Buffer
	encoder := json.NewEncoder(&envelope)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]any{"Data": data, "Metadata": metadata}); err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	// The real host sends envelopes chunked, without a Content-Length.
	chunked := struct{ io.Reader }{&envelope}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+h.address+"/"+f.Name, chunked)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set(headerVersion, HostVersion)
	req.Header.Set(headerInvocation, newGUID())
	resp, err := h.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readAnswer(resp)
}

func readAnswer(resp *http.Response) ([]byte, error) {
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, fmt.Errorf("the handler answered %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("answer has more than %d bytes", maxAnswer)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // a bad one is no JSON either
	if len(body) > 0 && media != "application/json" && media != "text/json" {
		return nil, fmt.Errorf("answer has the content type %q, not application/json", resp.Header.Get("Content-Type"))
	}
	return body, nil
}

// deliver hands an invocation's queue outputs on.
func (h *Host) deliver(f *Function, out outcome) error {
	for _, o := range f.Outputs {
		if o.Type != queueOutput {
			continue
		}
		texts, err := messageTexts(out.output(o.Name))
		if err != nil {
			return fmt.Errorf("output %s: %w", o.Name, err)
		}
		for _, text := range texts {
			if h.app.settings.base64 && encodedSize([]byte(text)) > maxMessage || len(text) > maxMessage {
				return fmt.Errorf("output %s: a message of %d bytes is more than a queue takes", o.Name, len(text))
			}
			if err := h.queues.named(o.Queue).put(text); err != nil {
				return fmt.Errorf("output %s: %w", o.Name, err)
			}
		}
	}
	return nil
}

var errTimeout = errors.New("the handler took longer than functionTimeout")

func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

package mongo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"aoc/internal/audit"

	"github.com/klauspost/compress/zstd"
	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	// maxDoc is how many bytes of one document a record may fill; a document of
	// MongoDB has 16 MiB at most.
	maxDoc = 12 << 20
	// maxUnpacked bounds what a compressed record may grow to when it is read.
	maxUnpacked = 256 << 20
	// maxKey is the longest key that a filter can name: folding a letter makes it
	// three times as long at most.
	maxKey = 3 * audit.MaxValueLength
)

// rawDoc is a record's evidence.
type rawDoc struct {
	ID     string `bson:"_id"`    // the event's id
	SHA256 string `bson:"sha256"` // of the bytes before compression
	Size   int    `bson:"size"`   // of the bytes before compression
	Zstd   []byte `bson:"zstd"`
}

// eventDoc is an event as it is written.
type eventDoc struct {
	ID     string   `bson:"_id"`
	Ticks  int64    `bson:"t"`     // audit.Ticks; a BSON date keeps only milliseconds
	Seq    int64    `bson:"seq"`   // its place in insertion order
	Keys   []string `bson:"k"`     // "field:value" with the value folded, for filters and scopes
	Tokens []string `bson:"w"`     // the words that search finds it by
	Event  bson.Raw `bson:"event"` // all of it, under the names of its JSON; its time is for people
}

// storedEvent is what reads need of an eventDoc.
type storedEvent struct {
	ID     string      `bson:"_id"`
	Ticks  audit.Ticks `bson:"t"`
	Seq    int64       `bson:"seq"`
	Keys   []string    `bson:"k"`
	Tokens []string    `bson:"w"`
	Event  audit.Event `bson:"event"`
}

func (d *storedEvent) event() audit.Event {
	d.Event.Time = d.Ticks.Time()
	return d.Event
}

// position is the event's place in the order of pages.
func (d *storedEvent) position() audit.Position { return audit.Position{Time: d.Ticks, ID: d.ID} }

func newEventDoc(s *audit.Stored) (eventDoc, error) {
	body, err := marshal(&s.Event)
	if err != nil {
		return eventDoc{}, fmt.Errorf("encode event %s: %w", s.Event.ID, err)
	}
	if len(body) > maxDoc {
		return eventDoc{}, tooLarge(s, "event", len(body))
	}
	return eventDoc{
		ID: s.Event.ID, Ticks: int64(audit.TicksOf(s.Event.Time)),
		Keys: keysOf(&s.Event), Tokens: s.Tokens, Event: body,
	}, nil
}

func marshal(v any) (bson.Raw, error) {
	var buf bytes.Buffer
	enc := bson.NewEncoder(bson.NewDocumentWriter(&buf))
	enc.UseJSONStructTags()
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func newRawDoc(s *audit.Stored) (rawDoc, error) {
	d := rawDoc{ID: s.Event.ID, SHA256: s.Raw.SHA256, Size: len(s.Raw.Bytes), Zstd: pack(s.Raw.Bytes)}
	if len(d.Zstd) > maxDoc || d.Size > maxUnpacked {
		return rawDoc{}, tooLarge(s, "record", len(d.Zstd))
	}
	return d, nil
}

func tooLarge(s *audit.Stored, what string, size int) error {
	return audit.Invalid(what+" "+s.Event.ID, fmt.Sprintf("expected at most %d bytes to store, got %d", maxDoc, size))
}

// raw returns the evidence, or an error where it is not what its hash says.
func (d *rawDoc) raw() (audit.Raw, error) {
	b, err := unpack(d.Zstd)
	if err != nil {
		return audit.Raw{}, fmt.Errorf("raw record %s: %w", d.ID, err)
	}
	raw := audit.NewRaw(b)
	if raw.SHA256 != d.SHA256 {
		return audit.Raw{}, fmt.Errorf("raw record %s: it does not match its hash", d.ID)
	}
	return raw, nil
}

// codecs are the compressor and its reverse; both may be used by many at once.
var codecs = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err) // fails on options only, and there are none
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxUnpacked))
	if err != nil {
		panic(err) // fails on options only, and these are right
	}
	return enc, dec
})

func pack(b []byte) []byte {
	enc, _ := codecs()
	return enc.EncodeAll(b, make([]byte, 0, len(b)/4+64))
}

func unpack(b []byte) ([]byte, error) {
	_, dec := codecs()
	return dec.DecodeAll(b, nil)
}

func keysOf(e *audit.Event) []string {
	byField := e.Keys()
	var keys []string
	for _, field := range audit.Fields() {
		for _, value := range byField[field] {
			keys = append(keys, key(field, value))
		}
	}
	return slices.Compact(keys)
}

// key is how a field's value stands among an event's keys: never as a name. A
// value that no filter can name, but a scope can, is cut and told by its hash;
// what comes of it is still longer than all that filters name.
func key(field audit.Field, folded string) string {
	if len(folded) > maxKey {
		sum := sha256.Sum256([]byte(folded))
		folded = valid(folded[:maxKey]) + hex.EncodeToString(sum[:])
	}
	return string(field) + ":" + folded
}

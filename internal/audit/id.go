package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// NewID names an event by what its source calls it, so that storing the same
// record twice is storing it once: the hash of tenant, family and record id.
// It fails on an empty record id, which would make strangers share a key.
func NewID(tenant string, source Source, recordID string) (string, error) {
	if recordID == "" {
		return "", fmt.Errorf("event id: the record id is empty: %w", ErrInvalid)
	}
	return hash("id", tenant, source.Family(), recordID), nil
}

// ContentID names an event whose record has no id of its own, by the record's
// canonical JSON: keys sorted, white space gone, numbers digit by digit. Key
// order varies between two fetches of one record, so raw bytes would not do.
func ContentID(tenant string, source Source, raw []byte) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", fmt.Errorf("event id: %w", err)
	}
	canonical, err := json.Marshal(v) // maps are marshalled with sorted keys
	if err != nil {
		return "", fmt.Errorf("event id: %w", err)
	}
	return hash("content", tenant, source.Family(), string(canonical)), nil
}

// QuarantineID names a record set aside by its feed and bytes.
func QuarantineID(tenant string, source Source, raw []byte) string {
	return hash("quarantine", tenant, string(source), string(raw))
}

// NewRaw pairs bytes with their hash. It keeps b, which must not change after.
func NewRaw(b []byte) Raw {
	sum := sha256.Sum256(b)
	return Raw{Bytes: b, SHA256: hex.EncodeToString(sum[:])}
}

// IsGUID reports whether s has the form of a GUID, in either case and without
// braces, as Microsoft writes the ids of tenants, apps and objects.
func IsGUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i] | 0x20
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if s[i] != '-' {
				return false
			}
		case (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}

// hash joins parts by their lengths, so that no two lists of parts collide by
// where one ends, and keeps 128 bits: enough that no two records ever meet.
func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

package sqlite

import (
	"encoding/hex"
	"fmt"
	"strings"

	"aoc/internal/audit"

	"github.com/klauspost/compress/zstd"
)

// maxUnpacked caps what one stored record may unpack to, in bytes.
const maxUnpacked = 256 << 20

func newCodec() (*zstd.Encoder, *zstd.Decoder, error) {
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, nil, err
	}
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxUnpacked))
	return packer, unpacker, err
}

func (s *Store) pack(b []byte) []byte { return s.packer.EncodeAll(b, nil) }

func (s *Store) unpack(b []byte) ([]byte, error) {
	raw, err := s.unpacker.DecodeAll(b, []byte{})
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return raw, nil
}

const idLength = 16 // bytes; twice as many digits

// parseID reads an event's id. Upper case would be a second spelling of one id
// and is none.
func parseID(id string) ([]byte, bool) {
	if len(id) != 2*idLength || strings.ToLower(id) != id {
		return nil, false
	}
	b, err := hex.DecodeString(id)
	return b, err == nil
}

// Event time to the second, then room for 16 million events of it.
const docBits = 24

// docOf returns where an event of this time and sequence number goes in the
// events' table and the text index.
func docOf(t audit.Ticks, seq int64) int64 { return firstDoc(t) | seq&(1<<docBits-1) }

// firstDoc is the lowest doc of the second that t lies in.
func firstDoc(t audit.Ticks) int64 { return t.Time().Unix() << docBits }

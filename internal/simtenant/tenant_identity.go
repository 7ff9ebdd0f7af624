package simtenant

import (
	"bytes"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Identity is what makes a tenant the same again after a restart.
type Identity struct {
	Seed  uint64    `json:"seed"`
	Epoch time.Time `json:"epoch"`
	// People is the size of the company; 0 is New's default.
	People int `json:"people,omitempty"`
}

// maxIdentity bounds what is read of an identity file, in bytes.
const maxIdentity = 4 << 10

// LoadOrCreateIdentity reads the identity in a file. Where there is no file it
// makes an identity with a random seed, the epoch now and so many people, and
// writes it so that a crash leaves either the whole file or none.
func LoadOrCreateIdentity(path string, now time.Time, people int) (Identity, error) {
	id, err := readIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	var seed [8]byte
	if _, err := crand.Read(seed[:]); err != nil {
		return Identity{}, fmt.Errorf("make a tenant: %w", err)
	}
	// 52 bits, which every reader of JSON keeps exactly.
	id = Identity{Seed: binary.LittleEndian.Uint64(seed[:]) >> 12, Epoch: now.UTC().Truncate(time.Second), People: people}
	body, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return Identity{}, fmt.Errorf("write the tenant's identity: %w", err)
	}
	if err := writeFile(path, append(body, '\n'), 0o600); err != nil {
		return Identity{}, fmt.Errorf("write the tenant's identity: %w", err)
	}
	return id, nil
}

func readIdentity(path string) (Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return Identity{}, fmt.Errorf("read the tenant's identity: %w", err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxIdentity))
	if err != nil {
		return Identity{}, fmt.Errorf("read the tenant's identity: %w", err)
	}
	var id Identity
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&id); err != nil {
		return Identity{}, fmt.Errorf("read the tenant's identity in %s: %w", path, err)
	}
	if id.Epoch.IsZero() {
		return Identity{}, fmt.Errorf("read the tenant's identity in %s: it has no epoch", path)
	}
	return id, nil
}

// writeFile writes a file as a whole: beside it first, then in its place.
func writeFile(path string, body []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	_, err = tmp.Write(body)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

package simtenant

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// signingKey signs the tenant's tokens.
type signingKey struct {
	private *rsa.PrivateKey
	id      string
}

func newSigningKey() (*signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(private.N.Bytes())
	return &signingKey{private, base64.RawURLEncoding.EncodeToString(sum[:20])}, nil
}

// processKeys are the keys of all tenants of the process: making one takes a
// tenth of a second or more, and tests make hundreds of tenants.
var processKeys struct {
	sync.Mutex
	made []*signingKey
}

// processKey returns the n-th key of the process.
func processKey(n int) (*signingKey, error) {
	processKeys.Lock()
	defer processKeys.Unlock()
	for len(processKeys.made) <= n {
		key, err := newSigningKey()
		if err != nil {
			return nil, fmt.Errorf("make a signing key: %w", err)
		}
		processKeys.made = append(processKeys.made, key)
	}
	return processKeys.made[n], nil
}

// sign makes a token. Of the header, entries of extra replace what would stand
// there, and nil ones leave it out.
func (k *signingKey) sign(claims jwt.MapClaims, extra map[string]any) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"], token.Header["x5t"] = k.id, k.id
	maps.Copy(token.Header, extra)
	maps.DeleteFunc(token.Header, func(_ string, v any) bool { return v == nil })
	signed, err := token.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

// jwk is the public half as JWKS has it.
func (k *signingKey) jwk(issuer string) map[string]any {
	return map[string]any{
		"kty": "RSA", "use": "sig", "kid": k.id, "x5t": k.id, "issuer": issuer,
		"n": base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
	}
}

// keyring is the keys that a tenant publishes. Safe for concurrent use.
type keyring struct {
	mu   sync.Mutex
	keys []*signingKey // the one that signs first
	next int           // of the process's keys
}

func (k *keyring) rotate() (*signingKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := processKey(k.next)
	if err != nil {
		return nil, err
	}
	k.next++
	k.keys = append([]*signingKey{key}, k.keys...)
	return key, nil
}

func (k *keyring) retire() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = k.keys[:1:1]
}

func (k *keyring) current() *signingKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[0]
}

// published returns the keys' public halves.
func (k *keyring) published(issuer string) []any {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]any, len(k.keys))
	for i, key := range k.keys {
		out[i] = key.jwk(issuer)
	}
	return out
}

// public finds the key that a token names.
func (k *keyring) public(token *jwt.Token) (any, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.keys {
		if token.Header["kid"] == key.id {
			return &key.private.PublicKey, nil
		}
	}
	return nil, errors.New("no such key")
}

// RotateKeys makes the tenant sign with another key from now on and returns its
// id. Keys from before stay published until RetireKeys, as Entra's do. The
// tenants of one process go through the same keys, so a signature does not tell
// them apart. [signing-key-rollover]
func (t *Tenant) RotateKeys() (kid string, err error) {
	key, err := t.keys.rotate()
	if err != nil {
		return "", err
	}
	return key.id, nil
}

// RetireKeys withdraws all keys but the one that signs. Tokens of the others
// are worth nothing any more.
func (t *Tenant) RetireKeys() { t.keys.retire() }

// Sign makes a token of any claims with the current key. Entries of header
// replace those that Entra writes (typ, alg, kid, x5t), and nil ones leave them
// out; whatever it says of alg, the signature is RS256. It fails for what
// cannot be encoded.
func (t *Tenant) Sign(claims, header map[string]any) (string, error) {
	return t.keys.current().sign(claims, header)
}

package auth

import (
	"crypto/rsa"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// leeway is how far the clocks of Entra and of this machine may be apart.
const leeway = time.Minute

// reasons are what golang-jwt's errors mean. The first that fits is told.
var reasons = []struct {
	err    error
	class  class
	reason string
}{
	{jwt.ErrTokenSignatureInvalid, classSignature, "the token's signature does not fit"},
	{jwt.ErrTokenRequiredClaimMissing, classClaims, "a claim is missing in the token"},
	{jwt.ErrTokenExpired, classTime, "the token has expired"},
	{jwt.ErrTokenNotValidYet, classTime, "the token is not valid yet"},
	{jwt.ErrTokenUsedBeforeIssued, classTime, "the token was issued in the future"},
	{jwt.ErrTokenInvalidIssuer, classIssuer, "the token is of another issuer"},
	{jwt.ErrTokenInvalidAudience, classAudience, "the token is for another API"},
}

var errKeyKind = errors.New("not an RSA key")

// verify proves that a token was signed by one of the keys of its tenant for
// this API, and is of now.
func (v *Verifier) verify(t *token, set *keySet) error {
	if !set.signsFor(t.kid, v.tenant) {
		return bad(classKeyIssuer, "the token's key belongs to another issuer")
	}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}),
		jwt.WithIssuer(set.issuer), jwt.WithAudience(v.audiences...),
		jwt.WithExpirationRequired(), jwt.WithNotBeforeRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway), jwt.WithStrictDecoding(),
	)
	_, err := parser.ParseWithClaims(t.raw, jwt.MapClaims{}, func(j *jwt.Token) (any, error) {
		key, err := set.keys.Keyfunc(j)
		if err != nil {
			return nil, err
		}
		if _, ok := key.(*rsa.PublicKey); !ok {
			return nil, errKeyKind
		}
		return key, nil
	})
	if err == nil {
		return nil
	}
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return bad(r.class, r.reason)
		}
	}
	return bad(classSignature, "the token cannot be verified")
}

package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hostile is a request that must not be let in.
type hostile struct {
	group, name   string
	authorization []string
	want          error
	class         class
}

// attacks collects them.
type attacks []hostile

// add adds tokens that are bad by name.
func (a *attacks) add(group string, c class, tokens map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(tokens)) {
		*a = append(*a, hostile{group, name, []string{"Bearer " + tokens[name]}, ErrBadToken, c})
	}
}

// headers adds tokens with one change of a good header each, truly signed.
func (a *attacks) headers(group string, c class, changes map[string]fields) {
	tokens := map[string]string{}
	for name, change := range changes {
		tokens[name] = sign(goodHeader().with(change).json(), person().json(), material()[0])
	}
	a.add(group, c, tokens)
}

// claims adds tokens with changed claims, truly signed.
func (a *attacks) claims(group string, c class, of func() fields, changes map[string]fields) {
	tokens := map[string]string{}
	for name, change := range changes {
		tokens[name] = mint(of().with(change))
	}
	a.add(group, c, tokens)
}

// payloads adds tokens with claims that are any text, truly signed.
func (a *attacks) payloads(group string, c class, texts map[string]string) {
	tokens := map[string]string{}
	for name, text := range texts {
		tokens[name] = sign(goodHeader().json(), text, material()[0])
	}
	a.add(group, c, tokens)
}

func allAttacks(t *testing.T) attacks {
	var a attacks
	for _, of := range []func(*attacks){
		algorithmAttacks, confusionAttacks, kidAttacks, headerAttacks, typeAttacks, timeAttacks, tenantAttacks, issuerAttacks,
		audienceAttacks, versionAttacks, claimAttacks, duplicateAttacks, jsonAttacks, formAttacks, signatureAttacks, keyAttacks,
		kindAttacks, requestAttacks,
	} {
		of(&a)
	}
	names := map[string]bool{}
	for _, h := range a {
		require.False(t, names[h.group+h.name], "twice: %s, %s", h.group, h.name)
		names[h.group+h.name] = true
	}
	return a
}

// hostileAuthority has a key that is retired by omission, one of another issuer,
// and keys that must not verify RS256.
func hostileAuthority() *authority {
	a := newAuthority()
	a.publish(
		published{kid: "first", key: &material()[0].PublicKey},
		published{kid: "personal", key: &material()[1].PublicKey, issuer: origin1 + "/" + otherID + "/v2.0"},
		published{kid: "lookalike", key: &material()[1].PublicKey, issuer: origin1 + ".example/{tenantid}/v2.0"},
		published{kid: "for-encryption", key: &material()[1].PublicKey, extra: map[string]any{"use": "enc"}},
		published{kid: "for-pss", key: &material()[1].PublicKey, extra: map[string]any{"alg": "PS256"}},
		published{kid: "secret", key: &material()[1].PublicKey, extra: map[string]any{"kty": "oct", "k": b64("secret")}},
	)
	return a
}

// TestNoHostileTokenIsAccepted is the table of what was tried.
func TestNoHostileTokenIsAccepted(t *testing.T) {
	table := allAttacks(t)
	require.GreaterOrEqual(t, len(table), 200)
	v := verifier(t, hostileAuthority())
	groups, accepted, panics := map[string]int{}, 0, 0
	for _, h := range table {
		groups[h.group]++
		func() {
			defer func() {
				if r := recover(); r != nil {
					panics++
					t.Errorf("%s, %s: panic: %v", h.group, h.name, r)
				}
			}()
			p, err := v.Authenticate(t.Context(), h.authorization)
			if err == nil {
				accepted++
			}
			require.Zero(t, p, "%s, %s", h.group, h.name)
			require.ErrorIs(t, err, h.want, "%s, %s", h.group, h.name)
			require.Equal(t, h.class, classOf(err), "%s, %s: %v", h.group, h.name, err)
			tellsNothing(t, h, err, v.Challenge(err))
		}()
	}
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		t.Logf("%4d  %s", groups[g], g)
	}
	t.Logf("%4d  in all, %d accepted, %d panics", len(table), accepted, panics)
	require.NoError(t, authenticate(v, mint(person())), "a good token among them")
}

// tellsNothing checks that no eight bytes of what was sent are in the answer.
func tellsNothing(t *testing.T, h hostile, err error, challenge string) {
	told := err.Error() + challenge
	for _, value := range h.authorization {
		for i := len("Bearer "); i+8 <= min(len(value), 2000); i++ {
			if part := value[i : i+8]; !strings.Contains(part, "Bearer") {
				require.NotContains(t, told, part, "%s, %s", h.group, h.name)
			}
		}
	}
	require.NotContains(t, told, "example")
	require.Less(t, len(err.Error()), 160, fmt.Sprint(h.group, h.name))
}

func TestRolelessAppsAreRefusedWhateverElseTheyHave(t *testing.T) {
	v := verifier(t, hostileAuthority())
	for name, change := range map[string]fields{
		"no roles":        {"roles": leave},
		"an empty list":   {"roles": []string{}},
		"idtyp app":       {"roles": leave, "idtyp": "app"},
		"groups":          {"roles": leave, "groups": []string{otherID}},
		"directory roles": {"roles": leave, "wids": []string{otherID}},
		"role, not roles": {"roles": leave, "role": "Reader"},
		"Roles":           {"roles": leave, "Roles": []string{"Reader"}},
		"scp is empty":    {"roles": leave, "scp": ""},
	} {
		err := authenticate(v, mint(robot().with(change)))
		require.ErrorIs(t, err, ErrForbidden, name)
	}
}

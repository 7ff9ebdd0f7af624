package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Secret is a client secret that may change while the program runs. It keeps
// what it knows and is safe for concurrent use. Its errors hold no secret.
type Secret interface {
	// Value returns the secret. It looks for another in its own time.
	Value(ctx context.Context) (string, error)
	// Renew looks at once, because what Value gave was refused. It may return
	// the same.
	Renew(ctx context.Context) (string, error)
}

// hidden keeps a secret out of the reach of formatting, which goes through
// fields that are not exported without asking their types: it prints the
// address of a function.
type hidden func() string

func hide(secret string) hidden { return func() string { return secret } }

func (h hidden) text() string {
	if h == nil {
		return ""
	}
	return h()
}

// fixed is a secret that stays.
type fixed struct{ hidden }

func (f fixed) Value(context.Context) (string, error) { return f.text(), nil }
func (f fixed) Renew(context.Context) (string, error) { return f.text(), nil }

// rotating signs in with a secret that may change.
type rotating struct {
	secret Secret
	build  func(secret string) (azcore.TokenCredential, error)
	mu     sync.Mutex
	kept   *credential // of the secret that was last seen
}

// newRotating tells what is wrong with all but the secret, which is not read.
func newRotating(cfg CredentialConfig, options azcore.ClientOptions, standIn bool) (*rotating, error) {
	if cfg.ClientID == "" {
		return nil, errors.New("CLIENT_SECRET is set and CLIENT_ID is not")
	}
	build := func(secret string) (azcore.TokenCredential, error) {
		return azidentity.NewClientSecretCredential(cfg.TenantID, cfg.ClientID, secret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: standIn,
		})
	}
	if _, err := build("any"); err != nil {
		return nil, err
	}
	if cfg.ClientSecret != "" {
		cfg.Secret = fixed{hide(cfg.ClientSecret)}
	}
	return &rotating{secret: cfg.Secret, build: build}, nil
}

// GetToken returns a token. A secret that Entra refuses is looked at again, and
// where there is another by now, that is tried.
func (r *rotating) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	secret, err := r.secret.Value(ctx)
	if err != nil {
		return azcore.AccessToken{}, &secretError{err}
	}
	token, err := r.sign(ctx, secret, options)
	if !refusesSecret(err) {
		return token, err
	}
	newer, renewErr := r.secret.Renew(ctx)
	if renewErr != nil || newer == secret {
		return azcore.AccessToken{}, err
	}
	return r.sign(ctx, newer, options)
}

func (r *rotating) sign(ctx context.Context, secret string, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c, err := r.with(secret)
	if err != nil {
		return azcore.AccessToken{}, &secretError{errors.New(clean(err.Error(), secret))}
	}
	return c.GetToken(ctx, options)
}

// with returns the credential of a secret: its own cache of tokens goes with it.
func (r *rotating) with(secret string) (*credential, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil || r.kept.secret.text() != secret {
		inner, err := r.build(secret)
		if err != nil {
			return nil, err
		}
		r.kept = &credential{inner: inner, secret: hide(secret)}
	}
	return r.kept, nil
}

// refusesSecret reports whether Entra knows the app and not its secret: a wrong
// one, or one that has expired. [Microsoft Entra authentication and
// authorization error codes]
func refusesSecret(err error) bool {
	var answer *APIError
	return errors.As(err, &answer) && slices.Contains([]string{"AADSTS7000215", "AADSTS7000222", "invalid_client"}, answer.Code)
}

// secretError says that there is no secret to sign in with.
type secretError struct{ err error }

func (e *secretError) Error() string { return fmt.Sprintf("read the client secret: %v", e.err) }
func (e *secretError) Unwrap() error { return e.err }

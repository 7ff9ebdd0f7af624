package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"aoc/internal/source"
)

// secrets are the settings that may lie in a Key Vault instead. A setting of
// its own goes before the vault.
type secrets struct {
	vault    *vault                                // nil: there is none
	client   source.Secret                         // nil: the setting, or no secret at all
	mongoURI func(context.Context) (string, error) // nil: the setting
	webhook  func(context.Context) (string, error) // nil: there is no webhook
}

// openSecrets wires them and calls nobody. The vault is read as the identity
// that Azure gives the program, in whose tenant the vault is: a secret cannot
// open what it lies in.
func openSecrets(config Config, transport http.RoundTripper, log *slog.Logger) (secrets, error) {
	var s secrets
	if config.WebhookAuthID != "" {
		s.webhook = func(context.Context) (string, error) { return config.WebhookAuthID, nil }
	}
	if config.VaultName == "" {
		return s, nil
	}
	identity, err := source.NewCredential(source.CredentialConfig{AuthorityHost: config.Authority, Transport: transport})
	if err != nil {
		return secrets{}, err
	}
	return s.from(config, identity, transport, log)
}

// from takes out of a vault what is not set.
func (s secrets) from(config Config, identity azcore.TokenCredential, transport http.RoundTripper, log *slog.Logger) (secrets, error) {
	vault, err := openVault(config.VaultName, config.VaultURL, identity, transport, log)
	if err != nil {
		return secrets{}, fmt.Errorf("open the Key Vault: %w", err)
	}
	s.vault = vault
	if config.ClientSecret == "" {
		s.client = vault.secret(clientSecretName)
	}
	if config.MongoURI == "" && config.SQLitePath == "" {
		s.mongoURI = vault.secret(mongoURIName).Renew // it is asked seldom, and at once when the server refuses
	}
	if s.webhook == nil && config.PublicURL != "" {
		s.webhook = vault.secret(webhookSecretName).Value
	}
	return s, nil
}

// openCredential returns who collects. Where a vault is named that has no client
// secret, none is needed: the identity signs in by itself.
func openCredential(config Config, kept secrets, transport http.RoundTripper, log *slog.Logger) (azcore.TokenCredential, error) {
	as := source.CredentialConfig{
		TenantID: config.TenantID, ClientID: config.ClientID, ClientSecret: config.ClientSecret, AuthorityHost: config.Authority, Transport: transport,
	}
	bare, err := source.NewCredential(as)
	if err != nil || kept.client == nil {
		return bare, err
	}
	as.Secret = kept.client
	secret, err := source.NewCredential(as)
	return &eitherCredential{secret: secret, bare: bare, kept: kept.client, log: log}, err
}

// eitherCredential signs in with the vault's client secret, or without one where
// the vault has none.
type eitherCredential struct {
	secret, bare azcore.TokenCredential
	kept         source.Secret
	log          *slog.Logger
	told         sync.Once
}

// GetToken returns a token.
func (c *eitherCredential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if _, err := c.kept.Value(ctx); errors.Is(err, errNoSecret) {
		c.told.Do(func() {
			c.log.InfoContext(ctx, "the Key Vault has no client secret: the Azure identity signs in by itself", "secret", clientSecretName)
		})
		return c.bare.GetToken(ctx, options)
	}
	return c.secret.GetToken(ctx, options)
}

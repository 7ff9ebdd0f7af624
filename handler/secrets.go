package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"aoc/internal/source"
)

// secrets are the settings that may lie in a Key Vault instead. A setting of
// its own goes before the vault.
type secrets struct {
	client   source.Secret                         // nil: the setting, or no secret at all
	mongoURI func(context.Context) (string, error) // nil: the setting
	webhook  func(context.Context) (string, error) // nil: there is no webhook
}

// openSecrets wires them and calls nobody. The vault is read as the identity
// that Azure gives the program: a secret cannot open what it lies in.
func openSecrets(config Config, transport http.RoundTripper, log *slog.Logger) (secrets, error) {
	var s secrets
	if config.WebhookAuthID != "" {
		s.webhook = func(context.Context) (string, error) { return config.WebhookAuthID, nil }
	}
	if config.VaultName == "" {
		return s, nil
	}
	identity, err := source.NewCredential(source.CredentialConfig{TenantID: config.TenantID, AuthorityHost: config.Authority, Transport: transport})
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
	if config.ClientSecret == "" {
		s.client = vault.secret(clientSecretName)
	}
	if config.MongoURI == "" && config.SQLitePath == "" {
		s.mongoURI = vault.secret(mongoURIName).Value
	}
	if s.webhook == nil && config.PublicURL != "" {
		s.webhook = vault.secret(webhookSecretName).Value
	}
	return s, nil
}

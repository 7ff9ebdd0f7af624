package source

import (
	"context"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// newIdentity returns the credential of who has no secret.
func newIdentity(cfg CredentialConfig, authority *url.URL, options azcore.ClientOptions, standIn bool) (azcore.TokenCredential, error) {
	platform := os.Getenv("AZURE_CLIENT_ID")
	switch {
	case cfg.ClientID == "" || platform == "" || strings.EqualFold(platform, cfg.ClientID) || ownSecret():
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: standIn, TenantID: cfg.TenantID,
		})
	case os.Getenv("AZURE_FEDERATED_TOKEN_FILE") != "":
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: standIn, TenantID: cfg.TenantID, ClientID: cfg.ClientID,
		})
	}
	identity, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
		ClientOptions: options, ID: azidentity.ClientID(platform),
	})
	if err != nil {
		return nil, err
	}
	return azidentity.NewClientAssertionCredential(cfg.TenantID, cfg.ClientID, assertion(identity, exchange(authority)), &azidentity.ClientAssertionCredentialOptions{
		ClientOptions: options, DisableInstanceDiscovery: standIn,
	})
}

// ownSecret reports whether AZURE_CLIENT_ID is an app with a secret or a
// certificate of its own, which the default chain tries first, and so no
// managed identity.
func ownSecret() bool {
	return os.Getenv("AZURE_CLIENT_SECRET") != "" || os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH") != ""
}

// assertion is the identity's token as what proves another app's name.
func assertion(identity azcore.TokenCredential, scope string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		token, err := identity.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		return token.Token, err
	}
}

// exchange is what such tokens are asked for, by cloud. [Configure an
// application to trust a managed identity]
func exchange(authority *url.URL) string {
	const name = "api://AzureADTokenExchange"
	switch host := authority.Hostname(); {
	case strings.HasSuffix(host, ".us"):
		return name + "USGov/.default"
	case strings.HasSuffix(host, ".cn"):
		return name + "China/.default"
	}
	return name + "/.default"
}

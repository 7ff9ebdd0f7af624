package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"aoc/internal/audit"
	"aoc/internal/limit"
)

// Config is everything that can be set, read once at the start.
type Config struct {
	TenantID, ClientID, ClientSecret           string
	MongoURI, MongoDB, SQLitePath              string
	PeriodicFetch                              bool
	FetchInterval                              time.Duration
	Sources                                    []audit.Source
	MappingsPath                               string
	PublisherIdentifier                        string
	ManagementPerMinute                        int
	GraphBaseURL, ManagementBaseURL, Authority string // origins
	GraphResource, ManagementResource          string // what tokens are asked for; "" follows the origin
	CAFile                                     string // further certificates to trust
	CORSOrigins                                []string
	LogLevel                                   slog.Level
	Demo                                       bool // the tenant is the simulated one
	Replay                                     bool // of a file: nothing of AOC's own is mixed in
	Alone                                      bool // under the small host, which runs one handler
	AIAsked                                    bool
	RedisURL                                   string
	PublicURL, WebhookAuthID                   string
	Auth                                       AuthConfig
	RateRequests                               int
	RateWindow                                 time.Duration
	MetricsAllowed, TrustedProxies             []netip.Prefix
	DocsEnabled                                bool
	VaultName, VaultURL                        string
	PurviewBackfill                            bool
	Retention                                  time.Duration // 0: nothing is deleted
}

// String leaves the secrets out, and everything else too: what is logged of the
// settings is logged by name.
func (c Config) String() string { return "the settings of the tenant " + c.TenantID }

// GoString is String.
func (c Config) GoString() string { return c.String() }

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// AuthConfig is what is set of sign-in and privacy.
type AuthConfig struct {
	Said, Enabled                                      bool
	ClientID, Scope                                    string
	Audiences, AllowedRoles, AllowedGroups, AdminRoles []string
	PrivacyServices, PrivacyOperations, PrivacyRoles   []string
}

// setting is one row of the table of settings.
type setting struct {
	name, fallback, about string
	set                   func(c *Config, value string) error // not called for ""
}

// feedsOn are the feeds that are read unless SOURCES says otherwise. Sign-ins
// need a licence that many tenants lack, and m365.entra repeats what
// entra.directory says.
var feedsOn = []audit.Source{
	audit.EntraDirectory, audit.IntuneAudit, audit.M365Exchange, audit.M365SharePoint, audit.M365General, audit.M365DLP,
}

// feedsKnown are all feeds that can be read.
var feedsKnown = append(slices.Clone(feedsOn), audit.EntraSignIn, audit.EntraSignInNonInter, audit.EntraSignInPrincipal,
	audit.EntraSignInManaged, audit.EntraProvisioning, audit.EntraRisk, audit.M365Entra)

// settings is the one table of what can be set; README's is made of it.
var settings = []setting{
	{"TENANT_ID", "", "the tenant whose trails are collected, a GUID", func(c *Config, v string) error {
		if !audit.IsGUID(v) {
			return expected("a GUID such as 8e2f1c3a-…", v)
		}
		c.TenantID = strings.ToLower(v)
		return nil
	}},
	{"CLIENT_ID", "", "the app registration that reads them", text(func(c *Config) *string { return &c.ClientID })},
	{"CLIENT_SECRET", "", "its secret; without one an Azure identity is used (managed, workload, or the signed-in developer)", text(func(c *Config) *string { return &c.ClientSecret })},
	{"MONGO_URI", "", "a MongoDB connection string (Azure DocumentDB, Cosmos DB for MongoDB, Atlas); without one everything is kept in SQLITE_PATH", func(c *Config, v string) error {
		if !strings.HasPrefix(v, "mongodb://") && !strings.HasPrefix(v, "mongodb+srv://") {
			return errors.New("expected mongodb://… or mongodb+srv://…") // the value holds a password
		}
		c.MongoURI = v
		return nil
	}},
	{"MONGO_DB", "aoc", "the database's name there", func(c *Config, v string) error {
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,38}$`).MatchString(v) {
			return expected("letters, digits, - and _, at most 38", v)
		}
		c.MongoDB = v
		return nil
	}},
	{"SQLITE_PATH", "", "the file of the embedded store; `aoc local` uses data/aoc.db, with --demo data/demo/aoc.db", text(func(c *Config) *string { return &c.SQLitePath })},
	{"ENABLE_PERIODIC_FETCH", "true", "collect as time goes on; false leaves only backfills", func(c *Config, v string) (err error) {
		c.PeriodicFetch, err = yesNo(v)
		return err
	}},
	{"FETCH_INTERVAL_MINUTES", "5", "how often the running hour is listed, 1 to 60", func(c *Config, v string) error {
		n, err := whole(v, 1, 60)
		c.FetchInterval = time.Duration(n) * time.Minute
		return err
	}},
	{"SOURCES", joined(feedsOn), "the feeds to read, by commas: " + joined(feedsKnown), setSources},
	{"REDIS_URL", "", "redis://… or rediss://…: limits and names are shared by all instances; without one each keeps its own", func(c *Config, v string) error {
		if err := limit.CheckURL(v); err != nil {
			return err
		}
		c.RedisURL = v
		return nil
	}},
	{"PURVIEW_BACKFILL", "false", "ask Purview's audit log queries for what a backfill wants and the Management API no longer lists (best effort)", func(c *Config, v string) (err error) {
		c.PurviewBackfill, err = yesNo(v)
		return err
	}},
	{"RETENTION_DAYS", "0", "delete events older than this, 7 to 3650; 0 keeps all", func(c *Config, v string) error {
		if v == "0" {
			return nil
		}
		n, err := whole(v, 7, 3650)
		c.Retention = time.Duration(n) * 24 * time.Hour
		return err
	}},
	{"PUBLIC_URL", "", "the origin at which Microsoft reaches this API; with O365_WEBHOOK_AUTH_ID the Management API pushes", origin(func(c *Config) *string { return &c.PublicURL })},
	{"O365_WEBHOOK_AUTH_ID", "", "what its notifications must carry, 16 to 128 characters of your choice", func(c *Config, v string) error {
		if len(v) < 16 || len(v) > 128 {
			return fmt.Errorf("expected 16 to 128 characters, got %d", len(v)) // it is a secret
		}
		c.WebhookAuthID = v
		return nil
	}},
	{"MAPPINGS_PATH", "", "a mappings.yml of your own, for category labels and summaries", text(func(c *Config) *string { return &c.MappingsPath })},
	{"PUBLISHER_IDENTIFIER", "", "the GUID under which the Management API counts our calls; TENANT_ID unless set", func(c *Config, v string) error {
		if !audit.IsGUID(v) {
			return expected("a GUID", v)
		}
		c.PublisherIdentifier = v
		return nil
	}},
	{"MANAGEMENT_REQUESTS_PER_MINUTE", "2000", "our bound on calls to the Management API, 1 to 60000", func(c *Config, v string) (err error) {
		c.ManagementPerMinute, err = whole(v, 1, 60000)
		return err
	}},
	{"AUTHORITY_HOST", "https://login.microsoftonline.com", "origin of the token service (national clouds)", origin(func(c *Config) *string { return &c.Authority })},
	{"GRAPH_BASE_URL", "https://graph.microsoft.com", "origin of Microsoft Graph", origin(func(c *Config) *string { return &c.GraphBaseURL })},
	{"MANAGEMENT_BASE_URL", "https://manage.office.com", "origin of the Office 365 Management Activity API", origin(func(c *Config) *string { return &c.ManagementBaseURL })},
	{"GRAPH_RESOURCE", "", "what Graph's tokens are asked for; the cloud's own unless set", origin(func(c *Config) *string { return &c.GraphResource })},
	{"MANAGEMENT_RESOURCE", "", "what the Management API's tokens are asked for; the cloud's own unless set", origin(func(c *Config) *string { return &c.ManagementResource })},
	{"SSL_CERT_FILE", "", "a PEM file of certificates to trust besides the system's", text(func(c *Config) *string { return &c.CAFile })},
	{"CORS_ORIGINS", "", "origins of pages elsewhere that may read and ask for changes, by commas; * lets any page read, with a token, and none change", func(c *Config, v string) error {
		for part := range strings.SplitSeq(v, ",") {
			part = strings.TrimSpace(part)
			if err := pageOrigin(&part); err != nil {
				return err
			}
			c.CORSOrigins = append(c.CORSOrigins, part)
		}
		return nil
	}},
	{"LOG_LEVEL", "info", "debug, info, warn or error", func(c *Config, v string) error {
		if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil {
			return expected("debug, info, warn or error", v)
		}
		return nil
	}},
	{"AUTH_ENABLED", "", "true has people sign in with Microsoft Entra; false leaves AOC open to whoever reaches it. Under the Functions host it must be said; `aoc local` takes false, with --demo true", func(c *Config, v string) (err error) {
		c.Auth.Said = true
		c.Auth.Enabled, err = yesNo(v)
		return err
	}},
	{"AUTH_CLIENT_ID", "", "the app registration that people sign in to; CLIENT_ID unless set", func(c *Config, v string) error {
		if !audit.IsGUID(v) {
			return expected("a GUID", v)
		}
		c.Auth.ClientID = strings.ToLower(v)
		return nil
	}},
	{"AUTH_AUDIENCES", "", "what else tokens may be for, by commas; the client id and api://<client id> always", list(func(c *Config) *[]string { return &c.Auth.Audiences })},
	{"AUTH_SCOPE", "access_as_user", "the scope of that registration which the page asks for", func(c *Config, v string) error {
		if !regexp.MustCompile(`^[A-Za-z0-9._-]{1,120}$`).MatchString(v) {
			return expected("the name of a scope, without the app's id", v)
		}
		c.Auth.Scope = v
		return nil
	}},
	{"AUTH_ALLOWED_ROLES", "", "app roles that let people and apps in, by commas; with no role and no group set, everybody of the tenant who signs in", list(func(c *Config) *[]string { return &c.Auth.AllowedRoles })},
	{"AUTH_ALLOWED_GROUPS", "", "object ids of groups that do, by commas", guids(func(c *Config) *[]string { return &c.Auth.AllowedGroups })},
	{"AUTH_ADMIN_ROLES", "", "app roles or group ids that may start backfills and jobs, by commas; unset, whoever is let in", list(func(c *Config) *[]string { return &c.Auth.AdminRoles })},
	{"PRIVACY_SERVICES", "", "services whose events are hidden from all but PRIVACY_SERVICE_ROLES, by commas, such as Exchange,Teams", list(func(c *Config) *[]string { return &c.Auth.PrivacyServices })},
	{"PRIVACY_SENSITIVE_OPERATIONS", "", "operations whose events are, whatever their service", list(func(c *Config) *[]string { return &c.Auth.PrivacyOperations })},
	{"PRIVACY_SERVICE_ROLES", "", "app roles or group ids that see them nevertheless; unset, nobody who signs in does", list(func(c *Config) *[]string { return &c.Auth.PrivacyRoles })},
	{"RATE_LIMIT_REQUESTS", "120", "requests of one caller in RATE_LIMIT_WINDOW_SECONDS, 1 to 100000; backfills (10 an hour) and changes (20 a minute) have bounds of their own", func(c *Config, v string) (err error) {
		c.RateRequests, err = whole(v, 1, 100000)
		return err
	}},
	{"RATE_LIMIT_WINDOW_SECONDS", "60", "the length of that window, 1 to 86400", func(c *Config, v string) error {
		n, err := whole(v, 1, 86400)
		c.RateWindow = time.Duration(n) * time.Second
		return err
	}},
	{"METRICS_ALLOWED_IPS", "127.0.0.1,::1", "addresses or networks that may read /metrics, by commas", prefixes(func(c *Config) *[]netip.Prefix { return &c.MetricsAllowed })},
	{"TRUSTED_PROXIES", "", "addresses or networks of proxies of yours, whose X-Forwarded-For is believed, by commas", prefixes(func(c *Config) *[]netip.Prefix { return &c.TrustedProxies })},
	{"DOCS_ENABLED", "false", "serve /openapi.json and /docs; `aoc local` takes true", func(c *Config, v string) (err error) {
		c.DocsEnabled, err = yesNo(v)
		return err
	}},
	{"AZURE_KEY_VAULT_NAME", "", "a Key Vault whose secrets are used where the setting itself is empty: aoc-client-secret (without one the identity signs in by itself), aoc-mongo-uri, aoc-webhook-client-secret (for O365_WEBHOOK_AUTH_ID)", func(c *Config, v string) error {
		if !vaultName.MatchString(v) {
			return expected("a vault's name, 3 to 24 letters, digits and dashes", v)
		}
		c.VaultName = v
		return nil
	}},
	{"AZURE_KEY_VAULT_URL", "", "its origin where that is not https://<name>.vault.azure.net (national clouds)", origin(func(c *Config) *string { return &c.VaultURL })},
	{"AI_FEATURES_ENABLED", "false", "questions in words; not in this version, so they stay off", func(c *Config, v string) (err error) {
		c.AIAsked, err = yesNo(v)
		return err
	}},
}

// readConfig reads all settings through getenv and reports every mistake at once.
func readConfig(getenv func(string) string) (Config, error) {
	var c Config
	var mistakes []error
	for _, s := range settings {
		value := strings.TrimSpace(getenv(s.name))
		if value == "" {
			value = s.fallback
		}
		if value == "" {
			continue
		}
		if err := s.set(&c, value); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	c.Demo, c.Alone, c.Replay = getenv(demoEnv) != "", getenv(smallHostEnv) != "", getenv(replayEnv) != ""
	return c, errors.Join(append(mistakes, c.missing(getenv)...)...)
}

// missing lists what must be set and is not.
func (c *Config) missing(getenv func(string) string) []error {
	var mistakes []error
	for _, name := range []string{"TENANT_ID", "CLIENT_ID"} {
		if strings.TrimSpace(getenv(name)) == "" {
			mistakes = append(mistakes, fmt.Errorf("%s: it must be set", name))
		}
	}
	if !c.Alone && !c.Auth.Said {
		mistakes = append(mistakes, errors.New("AUTH_ENABLED: it must be said: true, or false to leave AOC open to whoever reaches it"))
	}
	if c.Auth.Enabled && !audit.IsGUID(signInClient(*c)) {
		mistakes = append(mistakes, errors.New("AUTH_CLIENT_ID: AUTH_ENABLED needs the id of an app registration, a GUID, here or in CLIENT_ID"))
	}
	if c.Auth.Said && !c.Auth.Enabled && slices.Contains(c.CORSOrigins, "*") {
		mistakes = append(mistakes, errors.New("CORS_ORIGINS: with AUTH_ENABLED=false, * would show everything to every web page: name the origins"))
	}
	if c.VaultURL != "" && c.VaultName == "" {
		mistakes = append(mistakes, errors.New("AZURE_KEY_VAULT_NAME: it must be set where AZURE_KEY_VAULT_URL is"))
	}
	if c.MongoURI == "" && c.SQLitePath == "" && c.VaultName == "" && strings.TrimSpace(getenv("MONGO_URI")) == "" {
		mistakes = append(mistakes, errors.New("MONGO_URI: it must be set (or SQLITE_PATH on a single machine)"))
	}
	return mistakes
}

func setSources(c *Config, v string) error {
	for part := range strings.SplitSeq(v, ",") {
		source := audit.Source(strings.ToLower(strings.TrimSpace(part)))
		if !slices.Contains(feedsKnown, source) {
			return expected("feeds out of "+joined(feedsKnown), part)
		}
		if !slices.Contains(c.Sources, source) {
			c.Sources = append(c.Sources, source)
		}
	}
	return nil
}

func joined(sources []audit.Source) string {
	texts := make([]string, len(sources))
	for i, s := range sources {
		texts[i] = string(s)
	}
	return strings.Join(texts, ",")
}

// goVersion is the toolchain that built the program.
func goVersion() string { return runtime.Version() }

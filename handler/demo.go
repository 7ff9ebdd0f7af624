package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"aoc/internal/audit"
	"aoc/internal/azfunc"
	"aoc/internal/simtenant"
	"aoc/internal/source"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// simulate starts a simulated tenant and points env at it. Seed and epoch lie
// beside its store, so a restart finds the same company.
func (o *localOptions) simulate(ctx context.Context, env environment, stdout io.Writer) error {
	dir, err := o.simulatedDir()
	if err != nil {
		return usageError{err}
	}
	identity, err := simtenant.LoadOrCreateIdentity(filepath.Join(dir, "tenant.json"), time.Now(), o.people)
	if err != nil {
		return err
	}
	tenant, err := simtenant.New(simtenant.Options{
		Seed: identity.Seed, Epoch: identity.Epoch, Replay: o.replay, People: identity.People,
		Roles: append(simtenant.AllRoles(), simtenant.RoleAuditLogsQuery),
	})
	if err != nil {
		return usageError{err}
	}
	server, err := o.serveTenant(ctx, tenant, dir)
	if err != nil {
		return err
	}
	for name, value := range server.Env() {
		env.over[name] = value
	}
	// Whatever the environment says is of another tenant: nothing of it is mixed in.
	for _, name := range ofOneTenant {
		env.over[name] = ""
	}
	if err := o.signInDemo(env, tenant, server); err != nil {
		return err
	}
	env.over["SQLITE_PATH"] = filepath.Join(dir, "aoc.db")
	env.over[demoEnv] = "true"
	env.over["SOURCES"] = joined(append(feedsOn[:len(feedsOn):len(feedsOn)], audit.EntraSignIn))
	o.firstHours = demoHours
	if report, ok := tenant.Replayed(); ok {
		o.firstHours = hoursFor(report, time.Now())
		env.over["SOURCES"] = joined(feedsKnown)
		env.over[replayEnv] = "true"
		fmt.Fprintf(stdout, "%s: %s\n", o.replay, report)
	}
	env.fallback("FETCH_INTERVAL_MINUTES", "1")
	env.fallback("LOG_LEVEL", "warn")
	env.fallback("DOCS_ENABLED", "true")
	return nil
}

// signInDemo has people sign in to the demo, unless the environment says that
// nobody does. A file that is replayed is looked at by whoever has it.
func (o *localOptions) signInDemo(env environment, tenant *simtenant.Tenant, server *simtenant.Server) error {
	if o.demo {
		env.fallback("AUTH_ENABLED", "true")
	} else {
		env.over["AUTH_ENABLED"] = "false"
	}
	if on, err := yesNo(env.get("AUTH_ENABLED")); err != nil || !on {
		return nil // a mistake is told with the others
	}
	for name, value := range map[string]string{
		"AUTH_ALLOWED_ROLES": simtenant.APIRoleAdmin + "," + simtenant.APIRoleAnalyst, "AUTH_ADMIN_ROLES": simtenant.APIRoleAdmin,
		"PRIVACY_SERVICES": demoHidden, "PRIVACY_SERVICE_ROLES": simtenant.APIRolePrivacy,
	} {
		env.over[name] = value
	}
	tenant.GrantAPI(simtenant.APIRoleAdmin, simtenant.APIRolePrivacy) // it tells how many events it found
	o.signIn = tenant.SignIn()
	transport, err := source.NewTransport(server.CAFile)
	if err != nil {
		return err
	}
	// The program signs in to its own API as the app that it is.
	credential, err := source.NewCredential(source.CredentialConfig{
		TenantID: tenant.TenantID(), ClientID: tenant.ClientID(), ClientSecret: tenant.ClientSecret(), AuthorityHost: server.URL, Transport: transport,
	})
	o.token = func(ctx context.Context) (string, error) {
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{tenant.ClientID() + "/.default"}})
		return token.Token, err
	}
	return err
}

// demoHidden is what the demo hides from those without the privacy role.
const demoHidden = audit.ServiceExchange

// serveTenant serves the tenant where it was served before, if it can: the
// ledger remembers blobs by their addresses.
func (o *localOptions) serveTenant(ctx context.Context, tenant *simtenant.Tenant, dir string) (*simtenant.Server, error) {
	if o.beside {
		return tenant.Serve(ctx, "127.0.0.1:0", filepath.Join(dir, "simulated-ca-beside.pem"))
	}
	place, authority := filepath.Join(dir, "simulated-address"), filepath.Join(dir, "simulated-ca.pem")
	if before, err := os.ReadFile(place); err == nil {
		if server, err := tenant.Serve(ctx, string(before), authority); err == nil {
			return server, nil
		}
	}
	server, err := tenant.Serve(ctx, "127.0.0.1:0", authority)
	if err != nil {
		return nil, err
	}
	return server, os.WriteFile(place, []byte(strings.TrimPrefix(server.URL, "https://")), 0o600)
}

// ofOneTenant are settings that mean something in one tenant only.
var ofOneTenant = []string{
	"MONGO_URI", "MONGO_DB", "PUBLISHER_IDENTIFIER", "GRAPH_RESOURCE", "MANAGEMENT_RESOURCE", "ENABLE_PERIODIC_FETCH",
	"AZURE_KEY_VAULT_NAME", "AZURE_KEY_VAULT_URL",
	"AUTH_CLIENT_ID", "AUTH_AUDIENCES", "AUTH_SCOPE", "AUTH_ALLOWED_ROLES", "AUTH_ALLOWED_GROUPS", "AUTH_ADMIN_ROLES",
	"PRIVACY_SERVICES", "PRIVACY_SENSITIVE_OPERATIONS", "PRIVACY_SERVICE_ROLES",
}

const (
	demoPeople  = 120    // the size of the made-up company
	demoHours   = 7 * 24 // the first look at it: as far back as the Management API lists
	replayHours = 24     // the least that reads what was published just now
)

// hoursFor is how far a first look must go back to read all of a file.
func hoursFor(report simtenant.ReplayReport, now time.Time) int {
	if report.Oldest.IsZero() {
		return replayHours
	}
	return max(replayHours, int(now.Sub(report.Oldest)/time.Hour)+1)
}

// simulatedDir is where a simulated tenant's things lie: one folder for the
// demo, one for each file that is replayed.
func (o localOptions) simulatedDir() (string, error) {
	if o.replay == "" {
		return filepath.Join(o.data, "demo"), nil
	}
	path, err := filepath.Abs(o.replay)
	if err != nil {
		return "", fmt.Errorf("--replay: %w", err)
	}
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(o.data, "replay-"+hex.EncodeToString(sum[:4])), nil
}

// firstLook asks for a backfill where there was none yet, and has the planner
// run at once instead of at its next time.
func (o localOptions) firstLook(ctx context.Context, host *azfunc.Host, url string) error {
	if o.firstHours > 0 {
		jobs, err := o.askJobs(ctx, url)
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			var answer struct{ Job audit.Job }
			if err := o.ask(ctx, http.MethodPost, fmt.Sprintf("%sapi/fetch-audit-logs?hours=%d", url, o.firstHours), &answer); err != nil {
				return err
			}
		}
	}
	return host.Fire(ctx, "ingest-timer")
}

const (
	followEvery  = 3 * time.Second // leaves most of a caller's quota to people
	mostFailures = 10              // in a row, before the first look is no longer followed
)

// followFirstLook tells how the newest backfill goes, until it has ended.
func (o localOptions) followFirstLook(ctx context.Context, url string, stdout io.Writer) error {
	if o.firstHours == 0 {
		return nil // a tenant of one's own: the page tells, to those who may see it
	}
	began, told, failures := time.Now(), -1, 0
	for {
		jobs, err := o.askJobs(ctx, url)
		switch {
		case err != nil:
			if failures++; failures == mostFailures { // the store may be busy with what is followed
				return err
			}
		case len(jobs) == 0:
			return nil
		case jobs[0].State == audit.JobDone:
			if told >= 0 {
				fmt.Fprintf(stdout, "The first look is done: %d events new, %d windows, %s.\n", jobs[0].Progress.New, jobs[0].Progress.Windows, time.Since(began).Round(time.Second))
			}
			return nil
		default:
			failures, told = 0, tellProgress(stdout, jobs[0].Progress, told)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// tellProgress tells every ten percent, and returns what was told last.
func tellProgress(stdout io.Writer, p audit.Progress, told int) int {
	percent := 100 * p.Done / max(p.Windows, 1)
	if percent/10 <= told/10 && told >= 0 {
		return told
	}
	fmt.Fprintf(stdout, "Reading what the tenant still lists: %d %%, %d events so far.\n", percent, p.New)
	return percent
}

func (o localOptions) askJobs(ctx context.Context, url string) ([]audit.Job, error) {
	var answer struct{ Jobs []audit.Job }
	err := o.ask(ctx, http.MethodGet, url+"api/jobs", &answer)
	return answer.Jobs, err
}

// ask calls our own API.
func (o localOptions) ask(ctx context.Context, method, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	if o.token != nil {
		token, err := o.token(ctx)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, strings.TrimSpace(string(bytes.ToValidUTF8(body, nil))))
	}
	return json.Unmarshal(body, into)
}

// openBrowser shows the page, where there is a way to. Its address is on the
// screen anyhow.
func openBrowser(url string) {
	command := []string{"xdg-open", url}
	switch runtime.GOOS {
	case "darwin":
		command = []string{"open", url}
	case "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler", url}
	}
	if cmd := exec.Command(command[0], command[1:]...); cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}

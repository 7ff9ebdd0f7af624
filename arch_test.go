package aoc

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// imports says who may import whom of ours, besides internal/audit, which all
// may. A package that is not listed fails.
var imports = map[string][]string{
	".":                           {},
	"handler":                     {"*"}, // the wiring
	"infra/deploy":                {},
	"internal/alert":              {"internal/sigma", "internal/outbound"},
	"internal/api":                {"internal/auth", "internal/alert", "internal/ask"},
	"internal/ask":                {"internal/outbound"},
	"internal/audit":              {},
	"internal/auth":               {},
	"internal/azfunc":             {},
	"internal/enrich":             {},
	"internal/evidence":           {},
	"internal/forward":            {"internal/outbound"},
	"internal/ingest":             {"internal/normalize", "internal/enrich"}, // not source: its Graph SDK would come along
	"internal/limit":              {},
	"internal/mcp":                {"internal/ask"},
	"internal/normalize":          {},
	"internal/outbound":           {},
	"internal/sigma":              {},
	"internal/simtenant":          {},
	"internal/source":             {},
	"internal/store/mongo":        {},
	"internal/store/sqlite":       {},
	"internal/store/storetest":    {},
	"internal/store/mongo/ferret": {},
	"static":                      {},
	"static/browsertest":          {},
}

// tests says which further packages of ours a package's tests may import. The
// Graph SDK must not reach any of them but handler's and source's.
var tests = map[string][]string{
	"internal/store/mongo":  {"internal/store/storetest", "internal/store/mongo/ferret", "internal/api", "internal/auth"},
	"internal/store/sqlite": {"internal/store/storetest"},
	"internal/source":       {"internal/simtenant"},
	"internal/auth":         {"internal/simtenant"},
	"internal/ingest":       {"internal/store/sqlite"},
	"static":                {"static/browsertest"},
	"infra/deploy":          {"internal/azfunc"},
}

// owners names the one package that may import each big dependency, by the
// start of its path. Tests count like the code.
var owners = map[string][]string{
	"go.mongodb.org/mongo-driver":               {"internal/store/mongo"},
	"modernc.org/sqlite":                        {"internal/store/sqlite"},
	"github.com/microsoftgraph/":                {"internal/source"},
	"github.com/microsoft/kiota":                {"internal/source"},
	"github.com/Azure/azure-sdk-for-go/":        {"internal/source", "handler"},
	"github.com/modelcontextprotocol/":          {"internal/mcp"},
	"github.com/redis/go-redis":                 {"internal/limit", "handler"},
	"github.com/MicahParks/":                    {"internal/auth"},
	"github.com/golang-jwt/":                    {"internal/auth", "internal/simtenant"},
	"github.com/chromedp/":                      {"static/browsertest", "static", "handler"},
	"github.com/prometheus/client_golang":       {"internal/api", "handler"},
	"github.com/google/jsonschema-go":           {"internal/api", "internal/mcp"},
	"github.com/robfig/cron":                    {"internal/azfunc"},
	"github.com/microsoftgraph/msgraph-sdk-go$": {}, // its root pulls in every model of Graph's
}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func goPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	require.NoError(t, err)
	var pkgs []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		require.NoError(t, err)
		pkgs = append(pkgs, p)
	}
}

// place is a package's folder, "." for the root, "" for what is not ours.
func place(importPath string) string {
	if importPath == "aoc" {
		return "."
	}
	rest, ours := strings.CutPrefix(importPath, "aoc/")
	if !ours {
		return ""
	}
	return rest
}

// faults lists what one package imports against the tables above.
func faults(p goPackage) []string {
	var found []string
	from := place(p.ImportPath)
	allowed, listed := imports[from]
	if !listed {
		return []string{from + " is not in the table of imports"}
	}
	check := func(paths []string, allowed []string, what string) {
		for _, path := range paths {
			to := place(path)
			if to == from {
				continue
			}
			if to != "" && to != "internal/audit" && !slices.Contains(allowed, "*") && !slices.Contains(allowed, to) {
				found = append(found, from+what+to)
			}
			if owner, owned := ownerOf(path); owned && !slices.Contains(owner, from) {
				found = append(found, from+what+path+", which is for "+strings.Join(owner, " and ")+" alone")
			}
		}
	}
	check(p.Imports, allowed, " imports ")
	check(slices.Concat(p.TestImports, p.XTestImports), slices.Concat(allowed, tests[from]), " imports in its tests ")
	return found
}

func ownerOf(path string) ([]string, bool) {
	if owner, exact := owners[path+"$"]; exact {
		return owner, true
	}
	for prefix, owner := range owners {
		if strings.HasPrefix(path, prefix) {
			return owner, true
		}
	}
	return nil, false
}

func TestImports(t *testing.T) {
	for _, p := range goPackages(t) {
		require.Empty(t, faults(p))
	}
}

func TestImportsSeesForbiddenOnes(t *testing.T) {
	tests := map[string]goPackage{
		"internal/alert imports internal/store/sqlite": {ImportPath: "aoc/internal/alert", Imports: []string{"aoc/internal/store/sqlite"}},
		"internal/api imports in its tests internal/ingest": {
			ImportPath: "aoc/internal/api", XTestImports: []string{"aoc/internal/ingest"},
		},
		"internal/enrich imports github.com/microsoftgraph/msgraph-sdk-go/models, which is for internal/source alone": {
			ImportPath: "aoc/internal/enrich", Imports: []string{"github.com/microsoftgraph/msgraph-sdk-go/models"},
		},
		"internal/source imports github.com/microsoftgraph/msgraph-sdk-go, which is for  alone": {
			ImportPath: "aoc/internal/source", Imports: []string{"github.com/microsoftgraph/msgraph-sdk-go"},
		},
		"internal/store is not in the table of imports": {ImportPath: "aoc/internal/store"},
	}
	for want, p := range tests {
		require.Equal(t, []string{want}, faults(p))
	}
	require.Empty(t, faults(goPackage{ImportPath: "aoc/internal/ingest", Imports: []string{"aoc/internal/normalize", "aoc/internal/audit", "fmt"}}))
}

package main

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"aoc/internal/azfunc"
)

// tree is a small repository of the same shape.
var tree = map[string]string{
	"go.mod":                        "module aoc\n\ngo 1.26\n",
	"handler/main.go":               "package main\n\nvar version string\n\nfunc main() { println(version) }\n",
	"host.json":                     `{"version":"2.0","customHandler":{"description":{"defaultExecutablePath":"aoc"}}}`,
	"functions/tick/function.json":  `{"bindings":[{"name":"timer","type":"timerTrigger","direction":"in","schedule":"0 * * * * *"}]}`,
	"functions/hello/function.json": `{"bindings":[{"name":"req","type":"httpTrigger","direction":"in","authLevel":"anonymous","methods":["get"]},{"name":"res","type":"http","direction":"out"}]}`,
	"functions/package.json":        `{}`,
	"static/index.html":             "<!doctype html>",
	"static/vendor/a.js":            "// a",
	"static/embed.go":               "package static\n",
	"static/page_test.go":           "package static\n",
	"static/testdata/shot.png":      "png",
	"static/.hidden":                "x",
}

func plant(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	return root
}

func list(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	var names []string
	require.NoError(t, fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	}))
	return names
}

func TestPackage(t *testing.T) {
	root := plant(t, tree)
	dist := filepath.Join(root, "dist")
	require.NoError(t, os.MkdirAll(filepath.Join(dist, "api", "gone"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dist, "api", "gone", "function.json"), nil, 0o644))

	var report bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"package", "-root", root, "-version", "v1.2.3-4-gabc"}, &report, t.Output()))
	require.Contains(t, report.String(), "v1.2.3-4-gabc")

	want := []string{"aoc", "hello/function.json", "host.json", "tick/function.json"}
	api := os.DirFS(filepath.Join(dist, "api"))
	require.Equal(t, want, list(t, api))
	require.Equal(t, []string{"index.html", "vendor/a.js"}, list(t, os.DirFS(filepath.Join(dist, "web"))))

	app, err := azfunc.Open(api)
	require.NoError(t, err)
	require.Len(t, app.Functions(), 2)

	program, err := elf.Open(filepath.Join(dist, "api", "aoc"))
	require.NoError(t, err)
	defer program.Close()
	require.Equal(t, elf.EM_X86_64, program.Machine)
	text, err := os.ReadFile(filepath.Join(dist, "api", "aoc"))
	require.NoError(t, err)
	require.Contains(t, string(text), "v1.2.3-4-gabc")
	require.NotContains(t, string(text), root, "the program holds paths of the computer that built it")
}

func TestZipKeepsTheExecuteBit(t *testing.T) {
	root := plant(t, tree)
	require.NoError(t, run(t.Context(), []string{"package", "-root", root}, t.Output(), t.Output()))
	archive, err := zip.OpenReader(filepath.Join(root, "dist", "aoc.zip"))
	require.NoError(t, err)
	defer archive.Close()
	modes := map[string]fs.FileMode{}
	for _, file := range archive.File {
		modes[file.Name] = file.Mode()
	}
	require.Equal(t, map[string]fs.FileMode{"aoc": 0o755, "host.json": 0o644, "tick/function.json": 0o644, "hello/function.json": 0o644}, modes)
	_, err = azfunc.Open(archive)
	require.NoError(t, err)
}

func TestPackageSaysWhatIsWrong(t *testing.T) {
	without := func(name string) map[string]string {
		files := map[string]string{}
		for n, text := range tree {
			if n != name && filepath.ToSlash(filepath.Dir(n)) != name {
				files[n] = text
			}
		}
		return files
	}
	broken := without("handler/main.go")
	broken["handler/main.go"] = "package main\n\nfunc main() { nothing() }\n"
	tests := []struct {
		name  string
		files map[string]string
		args  []string
		want  string
	}{
		{"no command", tree, nil, "expected the command package"},
		{"unknown command", tree, []string{"up"}, "expected the command package"},
		{"a rest", tree, []string{"package", "now"}, `unexpected argument "now"`},
		{"flags in the version", tree, []string{"package", "-version", "1 -extldflags=x"}, "-version: expected"},
		{"not the repository", without("host.json"), []string{"package"}, "-root: expected the repository's folder"},
		{"does not compile", broken, []string{"package"}, "undefined: nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := plant(t, tt.files)
			args := slices.Clone(tt.args)
			if len(args) > 0 && args[0] == "package" {
				args = slices.Insert(args, 1, "-root", root)
			}
			err := run(t.Context(), args, t.Output(), t.Output())
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"package", "-h"}} {
		var help bytes.Buffer
		require.NoError(t, run(t.Context(), args, t.Output(), &help))
		require.Contains(t, help.String(), "aoc.zip")
		require.Contains(t, help.String(), "-version")
	}
}

package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// executable is the program's name in the package, as host.json names it.
const executable = "aoc"

// packaging is one run of the command package.
type packaging struct {
	root    string // the repository's folder
	dist    string // where to write; relative to root unless absolute
	version string
}

// versionForm keeps the version from being read as further flags of the linker.
var versionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

func (p *packaging) run(ctx context.Context, report io.Writer) error {
	if !versionForm.MatchString(p.version) {
		return fmt.Errorf("-version: expected letters, digits and . _ + -, got %q", p.version)
	}
	if _, err := os.Stat(filepath.Join(p.root, "host.json")); err != nil {
		return fmt.Errorf("-root: expected the repository's folder: %w", err)
	}
	if !filepath.IsAbs(p.dist) {
		p.dist = filepath.Join(p.root, p.dist)
	}
	for _, old := range []string{"api", "web", "aoc.zip"} {
		if err := os.RemoveAll(filepath.Join(p.dist, old)); err != nil {
			return fmt.Errorf("remove the last package: %w", err)
		}
	}
	for _, step := range []func(context.Context) error{p.functions, p.build, p.page, p.zip} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(report, "packaged version %s in %s\n", p.version, p.dist)
	return nil
}

func (p *packaging) api() string { return filepath.Join(p.dist, "api") }

// functions lays host.json and the function.json files out as the host reads
// them: it looks in the immediate subfolders of the script root alone.
func (p *packaging) functions(context.Context) error {
	if err := copyFile(filepath.Join(p.root, "host.json"), filepath.Join(p.api(), "host.json")); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(p.root, "functions", "*", "function.json"))
	if err != nil {
		return fmt.Errorf("look for functions: %w", err)
	}
	if len(files) == 0 {
		return errors.New("there is no functions/<name>/function.json")
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		if err := copyFile(file, filepath.Join(p.api(), name, "function.json")); err != nil {
			return err
		}
	}
	return nil
}

// build makes the program for the Functions host, whatever this computer is.
func (p *packaging) build(ctx context.Context) error {
	out, err := filepath.Abs(filepath.Join(p.api(), executable))
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+p.version, "-o", out, "./handler")
	cmd.Dir = p.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build ./handler: %w\n%s", err, text)
	}
	return nil
}

// page copies static/ without what only Go reads.
func (p *packaging) page(context.Context) error {
	static := filepath.Join(p.root, "static")
	err := fs.WalkDir(os.DirFS(static), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || name != "." && strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) == ".go" || strings.HasPrefix(entry.Name(), "."):
			return nil
		}
		local := filepath.FromSlash(name)
		return copyFile(filepath.Join(static, local), filepath.Join(p.dist, "web", local))
	})
	if err != nil {
		return fmt.Errorf("copy the page: %w", err)
	}
	return nil
}

// zip packs api/ by itself rather than leaving it to the deployment's tools:
// Windows has no execute bit that they could keep.
func (p *packaging) zip(context.Context) (err error) {
	name := filepath.Join(p.dist, "aoc.zip")
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("zip: %w", err)
	}
	defer func() {
		if closed := file.Close(); err == nil && closed != nil {
			err = fmt.Errorf("zip: %w", closed)
		}
	}()
	archive := zip.NewWriter(file)
	api := os.DirFS(p.api())
	err = fs.WalkDir(api, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return addFile(archive, api, name)
	})
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		return fmt.Errorf("zip %s: %w", name, err)
	}
	return nil
}

// addFile packs one file. It carries no time, so that the same files make the
// same archive.
func addFile(archive *zip.Writer, fsys fs.FS, name string) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	header.SetMode(0o644)
	if name == executable {
		header.SetMode(0o755)
	}
	to, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	from, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if err := os.WriteFile(to, text, 0o644); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	return nil
}

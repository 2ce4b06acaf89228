package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/config"
)

// environ is the environment of every golden file.
func environ(name string) (string, bool) {
	v, ok := map[string]string{
		"ADDRESS": ":80",
		"HOST":    "shop.localhost",
		"WORD":    "many",
		"NUMBER":  "50",
		"TIME":    "7s",
		"EMPTY":   "",
		"INJECT":  "x, C: y}",
		"TSIG":    "c2lnbmVkLXdpdGgtdGhpcw==",
	}[name]
	return v, ok
}

func errorsOf(t *testing.T, err error) config.Errors {
	t.Helper()
	errs, ok := errors.AsType[config.Errors](err)
	if !ok {
		t.Fatalf("error is %T (%v), want config.Errors", err, err)
	}
	return errs
}

// TestErrors compares all that is said about each wrong file with its .errors.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files in testdata/errors, want 20 or more (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := config.Parse(filepath.Base(file), data, environ)
			if err == nil {
				t.Fatalf("Parse took it: %+v", c)
			}
			got := errorsOf(t, err).Detail()
			golden := strings.TrimSuffix(file, ".yaml") + ".errors"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("errors differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTenMistakes is what issue 2 must show: ten mistakes, ten errors, each with
// its place.
func TestTenMistakes(t *testing.T) {
	_, err := config.Load("testdata/errors/ten.yaml", nil)
	errs := errorsOf(t, err)
	if len(errs) != 10 {
		t.Errorf("%d errors, want 10:\n%s", len(errs), errs.Detail())
	}
	seen := map[int]bool{}
	for _, e := range errs {
		if e.Line < 1 || e.Column < 1 || e.Excerpt == "" {
			t.Errorf("%v has no place", e)
		}
		if seen[e.Line] {
			t.Errorf("two errors for line %d: %v", e.Line, e)
		}
		seen[e.Line] = true
	}
}

func TestErrorForm(t *testing.T) {
	const text = `listen: {http: ":80"}
pools:
  web: {members: ["unix:/run/app.sock"]}
sites:
  - hosts: [shop.example.com]
    routes:
    - pool: wbe
`
	_, err := config.Parse("headgate.yaml", []byte(text), nil)
	want := `headgate.yaml:7:13: site "shop.example.com": pool "wbe" is not defined (did you mean "web"?)
    7 |     - pool: wbe
      |             ^
`
	errs := errorsOf(t, err)
	if diff := cmp.Diff(want, errs.Detail()); diff != "" {
		t.Errorf("errors differ (-want +got):\n%s", diff)
	}
	if got, want := errs[0].Path, "sites[0].routes[0].pool"; got != want {
		t.Errorf("Path = %q, want %q", got, want)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("Error() = %q, want one line", err)
	}
}

func TestLoadWithoutFile(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "headgate.yaml"), nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load = %v, want fs.ErrNotExist", err)
	}
	if want := "headgate.yaml: there is no such file (write it, or name another with -c FILE)"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("Load = %q, want it to end in %q", err, want)
	}
	_, err = config.Load(t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("Load of a directory = %v", err)
	}
}

func TestHugeFile(t *testing.T) {
	for name, text := range map[string]string{
		"bytes":    strings.Repeat("#\n", 5<<20),
		"signs":    strings.Repeat("[a, b]: c\n", 50_000),
		"items":    strings.Repeat("- a\n", 60_000),
		"brackets": strings.Repeat("[", 1<<20),
		"dashes":   strings.Repeat("- ", 1<<20),
		"tags":     strings.Repeat("!a ", 1<<20),
		"columns":  strings.Repeat(" ", 1<<20) + "a: b",
		"keys":     strings.Repeat("key: value\n", 5_000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("huge.yaml", []byte(text), nil)
			if errs := errorsOf(t, err); len(errs) > 101 {
				t.Errorf("%d errors, want 101 at most", len(errs))
			}
		})
	}
}

func TestExcerptKeepsTheTerminalSafe(t *testing.T) {
	_, err := config.Parse("f", []byte("grace: \"\x1b[2J\"\nmetrics: "+strings.Repeat("x", 500)+"\n"), nil)
	detail := errorsOf(t, err).Detail()
	if strings.Contains(detail, "\x1b") {
		t.Errorf("an escape sequence is passed on: %q", detail)
	}
	for line := range strings.Lines(detail) {
		if len(line) > 300 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
}

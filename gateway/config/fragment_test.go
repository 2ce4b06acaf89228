package config_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"headgate/gateway/config"
)

// appsDir is where the files of testdata/apps would be.
const appsDir = "/etc/headgate/apps/"

func readApp(file string, data []byte) (*config.Fragment, error) {
	if filepath.Ext(file) == ".ini" {
		return config.ParseVassal(appsDir+filepath.Base(file), data)
	}
	return config.ParseApp(appsDir+filepath.Base(file), data, environ)
}

// cameOut writes a Fragment, or what is wrong, for people.
func cameOut(t *testing.T, f *config.Fragment, err error) string {
	t.Helper()
	if err != nil {
		return errorsOf(t, err).Detail()
	}
	c := config.Config{Sites: []config.Site{f.Site}}
	if f.Pool != nil {
		c.Pools = map[string]config.Pool{f.Name: *f.Pool}
	}
	var b strings.Builder
	if v := f.Vassal; v != nil {
		fmt.Fprintf(&b, "# user %q, static routes: %d\n", v.User, v.Static)
	}
	b.Write(c.Marshal())
	b.WriteString(f.Warnings.Detail())
	return b.String()
}

// TestApps compares what comes out of each file of an app with its .out.
func TestApps(t *testing.T) {
	for _, pattern := range []string{"testdata/apps/*.yaml", "testdata/apps/*.ini"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) < 10 {
			t.Fatalf("%d files %s, want 10 or more (%v)", len(files), pattern, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				f, err := readApp(file, data)
				golden(t, file+".out", cameOut(t, f, err))
			})
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

// TestAppSchema: editors are told of apps what ParseApp knows.
func TestAppSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.AppSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("app.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("app.json")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("testdata/apps/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readApp(file, data); err == nil {
			if err := s.Validate(instance(t, data)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	for _, text := range []string{
		"listen: {http: \":80\"}", "worker: {app: x}", "workers: {ap: x}", "workers: {threads: 0}", "pool: {queue: {limit: 0}}",
		"pool: {balence: random}", "compress: maybe", "routes: [{routes: [{pol: x}]}]", "hosts: shop",
	} {
		if err := s.Validate(instance(t, []byte(text))); err == nil {
			t.Errorf("the schema takes %s", text)
		}
	}
	if text := string(config.AppSchema()); !strings.Contains(text, "an app that is a module has to say its chdir") {
		t.Error("workers has no description")
	}
}

func FuzzParseApp(f *testing.F) {
	seedApps(f, ".yaml")
	f.Fuzz(func(t *testing.T, data []byte) { checkFuzzed(t, "fuzz.example.com.yaml", data) })
}

func FuzzParseVassal(f *testing.F) {
	seedApps(f, ".ini")
	f.Add([]byte("[uwsgi]\na=%(b)%(b)\nb=%(a)%(a)%(a)\nsubscribe2=key=%(a)\n"))
	f.Add([]byte("[uwsgi]\nfor-times=99999999\na=b\nendfor=\n"))
	f.Fuzz(func(t *testing.T, data []byte) { checkFuzzed(t, "fuzz.example.com.ini", data) })
}

func seedApps(f *testing.F, ext string) {
	files, _ := filepath.Glob("testdata/apps/*" + ext)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// checkFuzzed: whatever the file, there are a few errors, or a Fragment that can be
// merged, twice with the same result, and without a change of the Fragment.
func checkFuzzed(t *testing.T, name string, data []byte) {
	if len(data) > 16<<10 {
		return
	}
	f, err := readApp(name, data)
	if err != nil {
		errs := errorsOf(t, err)
		if len(errs) == 0 || len(errs) > 101 {
			t.Errorf("%d errors", len(errs))
		}
		if strings.Contains(errs.Detail(), "\x1b") {
			t.Error("an escape sequence is passed on")
		}
		return
	}
	_ = f.Opens()
	before := cameOut(t, f, nil)
	main := parse(t, minimal)
	one, wrong := main.Merge([]config.Fragment{*f})
	if len(wrong) > 0 {
		_ = wrong[0].Errs.Detail()
	} else if err := one.Validate(); err != nil {
		t.Errorf("Merge has taken what Validate refuses: %v\n%s", err, one.Marshal())
	}
	two, _ := main.Merge([]config.Fragment{*f})
	if !bytes.Equal(one.Marshal(), two.Marshal()) {
		t.Errorf("Merge gave\n%s\nand then\n%s", one.Marshal(), two.Marshal())
	}
	if after := cameOut(t, f, nil); before != after {
		t.Errorf("Merge changed the fragment from\n%s\nto\n%s", before, after)
	}
}

package files_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"headgate/gateway/files"
)

func TestValidate(t *testing.T) {
	for _, row := range []struct {
		o    files.Options
		want string
	}{
		{files.Options{}, "root: there is no directory to serve: give"},
		{files.Options{Root: "a\x00b"}, "root: a path has no NUL byte: write"},
		{files.Options{Root: "x", Try: []string{""}}, "try: a name is empty: write $path"},
		{files.Options{Root: "x", Try: []string{"$uri"}}, `try: "$uri" has a variable that is not known: use $path`},
		{files.Options{Root: "x", Try: []string{"../$path"}}, `try: "../$path" is not a name below the root: write`},
		{files.Options{Root: "x", Try: []string{"a\\b"}}, `is not a name below the root: write`},
		{files.Options{Root: "x", Try: []string{"=404", "$path"}}, "try: nothing behind =404 is ever tried: put it at the end"},
		{files.Options{Root: "x", Try: []string{"=404"}}, "try: there is no name before =404: put $path before it"},
		{files.Options{Root: "x", Try: []string{"$path", "=200"}}, `try: "=200" is not the status of an error: write`},
		{files.Options{Root: "x", Try: []string{"$path", "=x"}}, `try: "=x" is not the status of an error: write`},
		{files.Options{Root: "x", Index: []string{"a/b"}}, `index: "a/b" is not the name of a file in a directory: write`},
		{files.Options{Root: "x", Index: []string{".."}}, `index: ".." is not`},
		{files.Options{Root: "x", Precompressed: []string{"deflate"}}, `precompressed: "deflate" is not a coding: write br, zstd or gzip`},
		{files.Options{Root: "x", Precompressed: []string{"br", "br"}}, "precompressed: br is there twice: remove one"},
		{files.Options{Root: "x", Manifest: "/srv/m.json"}, `manifest: "/srv/m.json" is not the path of a file below the root: write`},
		{files.Options{Root: "x", Manifest: "../m.json"}, `manifest: "../m.json" is not`},
		{files.Options{Root: "x", Immutable: time.Hour}, "immutable: it is for files that a manifest names, and there is none: give manifest"},
		{files.Options{Root: "x", MaxAge: time.Millisecond}, "max_age: 1ms is less than a second, the unit of Cache-Control: write"},
		{files.Options{Root: "x", Types: map[string]string{"css": "text/css"}}, `types: "css" is not the end of a name: write it with its dot`},
		{files.Options{Root: "x", Types: map[string]string{".css": "css"}}, `types: .css: "css" is not a media type: write one`},
		{files.Options{Root: "x", Types: map[string]string{".css": "text/css\r\nX: y"}}, `is not a media type: write one`},
		{files.Options{Root: "x", Memory: -2}, "memory: -2 is not a size: write"},
	} {
		err := row.o.Validate()
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: got %v, want %q", row.o, err, row.want)
		}
		if s, err := files.New(row.o, nil); err == nil {
			s.Close()
			t.Errorf("%+v: New takes it", row.o)
		}
	}
	all := files.Options{Try: []string{"=1"}, Index: []string{"/"}, Memory: -5}
	if err := all.Validate(); strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("not all mistakes are told: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	for _, o := range []files.Options{
		{Root: "x"},
		{Root: "x", Index: []string{}, Precompressed: []string{}, Immutable: -1, MaxAge: -1, Memory: -1, Manifest: "m.json"},
		{Root: "x", Manifest: "m.json"},
		{Root: "x", Try: []string{"$path", "$path.html", "$path/index.html", "/index.html", "=404"}, Types: map[string]string{".x": "text/plain; charset=utf-8"}},
	} {
		with := o.WithDefaults()
		if err := with.Validate(); err != nil {
			t.Errorf("%+v: %v", with, err)
		}
		if again := with.WithDefaults(); !reflect.DeepEqual(again, with) {
			t.Errorf("defaults of %+v are %+v", with, again)
		}
		if o.Index != nil && len(with.Index) > 0 || o.Precompressed != nil && len(with.Precompressed) > 0 || o.Memory < 0 && with.Memory != o.Memory {
			t.Errorf("%+v: what is off came on: %+v", o, with)
		}
	}
	with := files.Options{Root: "x", Manifest: "m"}.WithDefaults()
	if with.Immutable != 8760*time.Hour || with.Memory.String() != "16MiB" || !reflect.DeepEqual(with.Precompressed, []string{"br", "zstd", "gzip"}) || !reflect.DeepEqual(with.Try, []string{"$path"}) {
		t.Errorf("got %+v", with)
	}
}

func TestRootThatIsNone(t *testing.T) {
	dir := tree(t, map[string]string{"file": ""})
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file or directory: create the directory", filepath.Join(dir, "file"): "not a directory: give the directory",
		filepath.Join(dir, "file/x"): "not a directory",
	} {
		s, err := files.New(files.Options{Root: path}, nil)
		if err == nil {
			s.Close()
			t.Errorf("%s is taken", path)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
	if os.Getuid() != 0 {
		must(t, os.Mkdir(filepath.Join(dir, "shut"), 0))
		if _, err := files.New(files.Options{Root: filepath.Join(dir, "shut")}, nil); err == nil || !strings.Contains(err.Error(), "give the user") {
			t.Errorf("a directory that may not be read: %v", err)
		}
	}
}

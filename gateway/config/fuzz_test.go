package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"headgate/gateway/config"
)

// FuzzParse: whatever the file, Parse returns a Config that survives Marshal, or
// errors that are few and placed inside it.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(minimal))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			return
		}
		c, err := config.Parse("fuzz.yaml", data, environ)
		if err != nil {
			errs := errorsOf(t, err)
			if len(errs) == 0 || len(errs) > 101 {
				t.Errorf("%d errors", len(errs))
			}
			_ = errs.Detail()
			return
		}
		text := config.MarshalAll(c)
		back, err := config.Parse("back.yaml", text, environ)
		if err != nil {
			t.Fatalf("Marshal is not read back: %v\n%s", err, text)
		}
		if c.Hash() != back.Hash() {
			t.Errorf("Marshal changed\n%s\nto\n%s", text, config.MarshalAll(back))
		}
	})
}

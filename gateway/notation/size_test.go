package notation_test

import (
	"testing"

	"headgate/gateway/notation"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]notation.Size{
		"0": 0, "1": 1, "4096": 4096, "10B": 10, "64KiB": 65536, "64 KiB": 65536, "1.5MiB": 3 << 19, "2GiB": 2 << 30,
		"64kB": 64000, "64KB": 64000, "3MB": 3e6, "1GB": 1e9, "8k": 8192, "10m": 10 << 20, "1G": 1 << 30, "off": notation.Off,
	} {
		if got, err := notation.ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "-1KiB", "1e3", "0x10", "1.5", "1.0001KiB", "nan", "inf", "9999999999GiB", "1 potato", "1KiBB", "1_000"} {
		if got, err := notation.ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"64KiB", "1.5GiB", "off", "10m", "4096"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := notation.ParseSize(text)
		if err != nil {
			return
		}
		if back, err := notation.ParseSize(size.String()); err != nil || back != size {
			t.Errorf("ParseSize(%q) = %d, but its String %q reads as %d, %v", text, size, size, back, err)
		}
	})
}

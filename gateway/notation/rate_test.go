package notation_test

import (
	"testing"
	"time"

	"headgate/gateway/notation"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]notation.Rate{
		"10/s": {10, time.Second}, "5/m": {5, time.Minute}, "100/h": {100, time.Hour}, "1000/d": {1000, 24 * time.Hour},
		"20/10s": {20, 10 * time.Second}, "1/1ms": {1, time.Millisecond}, "3 / 1m30s": {3, 90 * time.Second},
	} {
		got, err := notation.ParseRate(text)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %v, %v, want %v", text, got, err, want)
		}
		if again, err := notation.ParseRate(got.String()); again != got || err != nil {
			t.Errorf("%q is written %q, and read again %v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "10", "/s", "0/s", "-1/s", "10/", "10/0s", "10/x", "10/-1s", "1.5/s", "10/2d", "10/25h", "10/1us", "9999999999/s"} {
		if got, err := notation.ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"10/s", "20/10s", "1/d", "3 / 1m30s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := notation.ParseRate(text)
		if err != nil {
			return
		}
		if again, err := notation.ParseRate(r.String()); again != r || err != nil {
			t.Fatalf("%q is written %q, and read again %v, %v", text, r, again, err)
		}
	})
}

func TestSwitch(t *testing.T) {
	for text, want := range map[string]notation.Switch{"on": notation.On, "true": notation.On, "off": notation.Disabled, "false": notation.Disabled} {
		var got notation.Switch
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.Or(notation.Unsaid) != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
		written, _ := got.MarshalText()
		if err := got.UnmarshalText(written); err != nil || got != want {
			t.Errorf("%s is written %q, and read again %v, %v", text, written, got, err)
		}
	}
	var s notation.Switch
	if err := s.UnmarshalText([]byte("maybe")); err == nil || s.Or(notation.On) != notation.On {
		t.Errorf("maybe: got %v, %v", s, err)
	}
}

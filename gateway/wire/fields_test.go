package wire_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/wire"
)

func header() wire.Fields {
	return wire.Fields{{Name: "accept", Value: "a"}, {Name: "X-One", Value: "1"}, {Name: "ACCEPT", Value: "b"}, {Name: "x-two", Value: ""}}
}

func TestNamesCompareWithoutCase(t *testing.T) {
	h := header()
	if got := h.Get("Accept"); got != "a" {
		t.Errorf("Get: got %q, want the first value a", got)
	}
	if got := slices.Collect(h.Values("Accept")); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("Values: got %q, want a and b", got)
	}
	if v, ok := h.Lookup("X-TWO"); !ok || v != "" {
		t.Errorf("Lookup of an empty value: got %q, %v", v, ok)
	}
	if h.Has("X-Three") || h.Has("") || h.Has("accep") {
		t.Error("Has: found what is not there")
	}
	for a, b := range map[string]string{"[": "{", "@": "`", "A-B": "A_B", "Ä": "ä"} {
		if wire.Same(a, b) {
			t.Errorf("Same(%q, %q): only letters of ASCII have cases", a, b)
		}
	}
}

func TestOneOf(t *testing.T) {
	for name, want := range map[string]bool{"vary": true, "ETAG": true, "Date": false, "": false, "Var": false} {
		if got := wire.OneOf(name, "Vary", "ETag"); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	if wire.OneOf("Vary") {
		t.Error("one of none")
	}
}

func TestOnly(t *testing.T) {
	h := header()
	if v, ok := h.Only("x-one"); !ok || v != "1" {
		t.Errorf("got %q, %v, want 1", v, ok)
	}
	for _, name := range []string{"Accept", "Missing"} {
		if v, ok := h.Only(name); ok || v != "" {
			t.Errorf("%s: got %q, %v, want none", name, v, ok)
		}
	}
}

func TestChanges(t *testing.T) {
	h := header()
	h.Set("Accept", "c")
	h.Set("New", "n")
	want := wire.Fields{{Name: "accept", Value: "c"}, {Name: "X-One", Value: "1"}, {Name: "x-two", Value: ""}, {Name: "New", Value: "n"}}
	if d := cmp.Diff(want, h); d != "" {
		t.Errorf("Set: %s", d)
	}
	h.Del("X-ONE")
	h.Del("missing")
	h.Add("new", "m")
	want = wire.Fields{{Name: "accept", Value: "c"}, {Name: "x-two", Value: ""}, {Name: "New", Value: "n"}, {Name: "new", Value: "m"}}
	if d := cmp.Diff(want, h); d != "" {
		t.Errorf("Del: %s", d)
	}
	h.Del("NEW")
	if h.Has("new") || len(h) != 2 {
		t.Errorf("Del of several: got %v", h)
	}
}

func TestProto(t *testing.T) {
	for want, r := range map[string]wire.Request{
		"HTTP/1.0": {Major: 1}, "HTTP/1.1": {Major: 1, Minor: 1}, "HTTP/2.0": {Major: 2}, "HTTP/3.0": {Major: 3},
	} {
		if got := r.Proto(); got != want || r.Interims() == (want == "HTTP/1.0") {
			t.Errorf("got %s with interim answers %v, want %s", got, r.Interims(), want)
		}
	}
	if r := (wire.Request{Major: 1, Minor: 7}); r.Proto() != "HTTP/1.1" {
		t.Errorf("1.7: got %s, want HTTP/1.1", r.Proto())
	}
}

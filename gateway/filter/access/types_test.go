package access_test

import (
	"testing"

	"headgate/gateway/filter/access"
)

func TestTypes(t *testing.T) {
	types, err := access.NewTypes([]string{"application/json", "image/*", "Text/CSV"})
	if err != nil {
		t.Fatal(err)
	}
	for contentType, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, " application/json ;x": true, "image/png": true, "IMAGE/svg+xml": true, "text/csv": true,
		"application/jsonx": false, "application": false, "application/": false, "image/": false, "image": false, "images/png": false, "": false, ";": false, "text/html": false,
		"image/png, text/html": false, "image/a b": false, "image/a/b": false, "image/a\r\n": false,
	} {
		if got := types.Allows(contentType); got != want {
			t.Errorf("%q is taken: %v, want %v", contentType, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { types.Allows("Text/csv; charset=utf-8") }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
	bytes, err := access.NewTypes([]string{"application/octet-stream"})
	if err != nil || !bytes.Allows("") {
		t.Errorf("no type is application/octet-stream (%v)", err)
	}
	var none *access.Types
	empty, _ := access.NewTypes(nil)
	all, _ := access.NewTypes([]string{"*/*"})
	for _, types := range []*access.Types{none, empty, all} {
		if !types.Allows("text/html") || !types.Allows("") {
			t.Error("not all are taken")
		}
	}
}

func TestNewTypesSaysWhatIsWrong(t *testing.T) {
	_, err := access.NewTypes([]string{"image/png", "image", "*/png", "text/html; charset=utf-8", "", "a/b/c", "te*t/x", "text/x*"})
	wantFaults(t, err, `[1]: "image"`, `[2]: "*/png"`, `[3]: "text/html; charset=utf-8"`, `[4]: ""`, `[5]: "a/b/c"`, `[6]: "te*t/x"`, `[7]: "text/x*"`)
}

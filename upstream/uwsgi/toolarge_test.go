package uwsgi_test

import (
	"errors"
	"strings"
	"testing"

	"headgate/upstream/uwsgi"
)

// tooLarge encodes what must not fit and returns the error.
func tooLarge(t *testing.T, req *uwsgi.Request, d uwsgi.Dialect) *uwsgi.Error {
	t.Helper()
	var e uwsgi.Encoder
	packet, err := e.Encode(req, nil, d, false)
	var failure *uwsgi.Error
	if !errors.As(err, &failure) {
		t.Fatalf("packet of %d bytes, error %v", len(packet), err)
	}
	if failure.Stage != uwsgi.StageEncode || failure.Kind != uwsgi.KindTooLarge || !failure.Unsent() {
		t.Errorf("stage %v, kind %v, unsent %v", failure.Stage, failure.Kind, failure.Unsent())
	}
	return failure
}

func TestEncodeCountsVariables(t *testing.T) {
	const own = 15 // those of a GET over http
	for d, most := range map[uwsgi.Dialect]int{
		uwsgi.DialectAuto: uwsgi.MaxPairs, uwsgi.DialectUWSGI: uwsgi.MaxPairs,
		uwsgi.DialectGunicorn: uwsgi.MaxPairsGunicorn - 1, // X-Forwarded-For is added
	} {
		req := simpleGet()
		req.Header = numbered(most - own)
		var e uwsgi.Encoder
		packet, err := e.Encode(req, nil, d, false)
		if err != nil {
			t.Fatalf("%v: %v", d, err)
		}
		if n := len(packetVars(t, packet)); n != uwsgi.MaxPairs && n != uwsgi.MaxPairsGunicorn {
			t.Errorf("%v: %d variables", d, n)
		}
		req.Header = numbered(most - own + 1)
		err = tooLarge(t, req, d)
		if _, want := err.Error(), "encode: the request came with "; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v", d, err)
		}
	}
	req := simpleGet()
	req.Header = numbered(140)
	err := tooLarge(t, req, uwsgi.DialectUWSGI)
	if want := "the request came with 140 header fields and needs 155 variables, and uWSGI takes 128"; err.Cause != want {
		t.Errorf("cause %q, want %q", err.Cause, want)
	}
	req.Header = numbered(5000)
	err = tooLarge(t, req, uwsgi.DialectGunicorn)
	if want := "the request came with 5000 header fields and needs more than 1000 variables, and gunicorn takes 1000"; err.Cause != want {
		t.Errorf("cause %q, want %q", err.Cause, want)
	}
}

func TestEncodeMeasuresTheBlock(t *testing.T) {
	req := simpleGet()
	var e uwsgi.Encoder
	if _, err := e.Encode(req, nil, uwsgi.DialectUWSGI, false); err != nil {
		t.Fatal(err)
	}
	room := uwsgi.MaxVarsBytes - e.Size() - len("HTTP_COOKIE") - 4
	halves := func(n int) fieldList {
		return fieldList{{"X-Small", ""}, {"Cookie", strings.Repeat("a", n/2)}, {"Accept", ""}, {"Cookie", strings.Repeat("b", n-n/2-2)}}
	}
	room -= 4 + len("HTTP_X_SMALL") + 4 + len("HTTP_ACCEPT")
	req.Header = halves(room)
	packet, err := e.Encode(req, nil, uwsgi.DialectUWSGI, false)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(packet) - 4; n != uwsgi.MaxVarsBytes {
		t.Errorf("block of %d bytes", n)
	}
	packetVars(t, packet)

	req.Header = halves(room + 1)
	failure := tooLarge(t, req, uwsgi.DialectUWSGI)
	if want := "need 65536 bytes and the uwsgi protocol carries 65535; the biggest header is Cookie with "; !strings.Contains(failure.Cause, want) {
		t.Errorf("cause %q", failure.Cause)
	}
	if !strings.Contains(failure.Cure, "the client must send a smaller Cookie header") {
		t.Errorf("cure %q", failure.Cure)
	}
}

func TestTooLargeNamesTheCulprit(t *testing.T) {
	long := strings.Repeat("x", 70000)
	for name, test := range map[string]struct {
		change func(*uwsgi.Request)
		want   string
	}{
		"header": {func(r *uwsgi.Request) { r.Header = fieldList{{"Accept", "x"}, {"x-auth-token", long}} }, "the biggest header is X-Auth-Token with 70000 bytes"},
		"url":    {func(r *uwsgi.Request) { r.Query, r.URI = long, "/?"+long }, "the biggest part is the URL, which takes 14000"},
		"name":   {func(r *uwsgi.Request) { r.Header = fieldList{{long, "v"}} }, "need 70"},
		"path":   {func(r *uwsgi.Request) { r.PathInfo = "/%41" + long }, "the biggest part is the URL"},
	} {
		t.Run(name, func(t *testing.T) {
			req := simpleGet()
			test.change(req)
			for _, d := range []uwsgi.Dialect{uwsgi.DialectUWSGI, uwsgi.DialectGunicorn, uwsgi.DialectAuto} {
				if err := tooLarge(t, req, d); !strings.Contains(err.Cause, test.want) {
					t.Errorf("cause %.300q, want %q in it", err.Cause, test.want)
				}
			}
		})
	}
}

func TestTooLargeForMember(t *testing.T) {
	req := simpleGet()
	req.Header = fieldList{{"Accept", "x"}, {"Cookie", strings.Repeat("x", 9000)}}
	var e uwsgi.Encoder
	if _, err := e.Encode(req, nil, uwsgi.DialectUWSGI, false); err != nil {
		t.Fatal(err)
	}
	err := e.TooLargeForMember("unix:/run/a.sock", 0)
	for _, want := range []string{"unix:/run/a.sock", "more than its buffer-size", "the biggest header is Cookie with 9000 bytes"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if want := "set buffer-size = 16384 (or more, up to 65535) in the worker's uWSGI configuration"; err.Cure != want {
		t.Errorf("cure %q, want %q", err.Cure, want)
	}
	if err.Kind != uwsgi.KindTooLarge || err.Unsent() {
		t.Errorf("kind %v, unsent %v", err.Kind, err.Unsent())
	}
	if err := e.TooLargeForMember("a:1", 4096); !strings.Contains(err.Cause, "has not taken more than 4096") {
		t.Errorf("cause %q", err.Cause)
	}
	req.Header = fieldList{{"Cookie", strings.Repeat("x", 40000)}}
	if _, err := e.Encode(req, nil, uwsgi.DialectUWSGI, false); err != nil {
		t.Fatal(err)
	}
	if err := e.TooLargeForMember("a:1", 0); err.Cure != "set buffer-size = 65535 in the worker's uWSGI configuration" {
		t.Errorf("cure %q", err.Cure)
	}
}

package compress_test

import (
	"slices"
	"strings"
	"testing"

	"headgate/gateway/filter/compress"
	"headgate/gateway/notation"
)

const html = "Content-Type: text/html; charset=utf-8"

// answer sends a body through c and returns what comes out.
func answer(t *testing.T, c *compress.Compressor, method, accept string, status int, length int64, body []byte, head ...string) *recorder {
	t.Helper()
	var out recorder
	f := fields(head...)
	w := c.Wrap(&out, request(method, accept))
	w.WriteHead(status, f, length)
	if method != "HEAD" {
		if n, err := w.Write(body); n != len(body) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(lines(f), head) {
		t.Errorf("the caller's fields have become %q", f)
	}
	return &out
}

// TestHead: what becomes of the head of a text of 2000 bytes, for a client that
// takes gzip.
func TestHead(t *testing.T) {
	coded := []string{html, "Vary: Accept-Encoding", "Content-Encoding: gzip"}
	for name, test := range map[string]struct {
		status     int
		head, want []string
	}{
		"text":         {200, []string{html}, coded},
		"404":          {404, []string{html}, coded},
		"500":          {500, []string{html}, coded},
		"206":          {206, []string{html}, []string{html}},
		"204":          {204, []string{html}, []string{html}},
		"304":          {304, []string{html}, []string{html}},
		"a part":       {200, []string{html, "Content-Range: bytes 0-1999/9999"}, []string{html, "Content-Range: bytes 0-1999/9999"}},
		"no type":      {200, nil, nil},
		"empty type":   {200, []string{"Content-Type: "}, []string{"Content-Type: "}},
		"a picture":    {200, []string{"Content-Type: image/png"}, []string{"Content-Type: image/png"}},
		"events":       {200, []string{"Content-Type: text/event-stream"}, []string{"Content-Type: text/event-stream"}},
		"Events":       {200, []string{"content-type: Text/Event-Stream ; charset=utf-8"}, []string{"content-type: Text/Event-Stream ; charset=utf-8"}},
		"json":         {200, []string{"Content-Type: application/json"}, []string{"Content-Type: application/json", "Vary: Accept-Encoding", "Content-Encoding: gzip"}},
		"some json":    {200, []string{"Content-Type: application/vnd.api+json;v=1"}, []string{"Content-Type: application/vnd.api+json;v=1", "Vary: Accept-Encoding", "Content-Encoding: gzip"}},
		"svg":          {200, []string{"Content-Type: image/svg+xml"}, []string{"Content-Type: image/svg+xml", "Vary: Accept-Encoding", "Content-Encoding: gzip"}},
		"coded":        {200, []string{html, "Content-Encoding: br"}, []string{html, "Content-Encoding: br"}},
		"coded twice":  {200, []string{html, "Content-Encoding: identity", "Content-Encoding: br"}, []string{html, "Content-Encoding: identity", "Content-Encoding: br"}},
		"identity":     {200, []string{"Content-Encoding: Identity", html}, coded},
		"no-transform": {200, []string{html, "Cache-Control: max-age=1, No-Transform"}, []string{html, "Cache-Control: max-age=1, No-Transform"}},
		"of two":       {200, []string{html, "Cache-Control: max-age=1", "Cache-Control: no-transform"}, []string{html, "Cache-Control: max-age=1", "Cache-Control: no-transform"}},
		"strong tag":   {200, []string{`ETag: "a"`, html}, append([]string{`ETag: W/"a"`}, coded...)},
		"weak tag":     {200, []string{`etag: W/"a"`, html}, append([]string{`etag: W/"a"`}, coded...)},
		"no tag":       {200, []string{"ETag: a", html}, coded},
		"half a tag":   {200, []string{`ETag: "a`, html}, coded},
		"of the bytes": {200, []string{"Accept-Ranges: bytes", "Content-MD5: x", "Digest: x", "Content-Digest: x", "Repr-Digest: x", "content-length: 2000", html}, coded},
		"vary":         {200, []string{"Vary: Cookie", html}, []string{"Vary: Cookie, Accept-Encoding", html, "Content-Encoding: gzip"}},
		"vary twice":   {200, []string{"Vary: Origin", "vary: Accept, X", html}, []string{"Vary: Origin", "vary: Accept, X, Accept-Encoding", html, "Content-Encoding: gzip"}},
		"vary has it":  {200, []string{"Vary: x, accept-encoding", html, "Vary: Cookie"}, []string{"Vary: x, accept-encoding", html, "Vary: Cookie", "Content-Encoding: gzip"}},
		"vary *":       {200, []string{"Vary: *", html}, []string{"Vary: *", html, "Content-Encoding: gzip"}},
		"vary nothing": {200, []string{"Vary: ", html}, []string{"Vary: Accept-Encoding", html, "Content-Encoding: gzip"}},
	} {
		t.Run(name, func(t *testing.T) {
			body := text(2000)
			got := answer(t, compressor(t, compress.Options{}), "GET", "gzip", test.status, 2000, body, test.head...)
			if got.status != test.status || !slices.Equal(lines(got.fields), test.want) {
				t.Errorf("got %d %q\nwant %q", got.status, lines(got.fields), test.want)
			}
			decoded, err := decode(map[bool]string{true: "gzip"}[slices.Contains(test.want, "Content-Encoding: gzip")], got.body.Bytes())
			if err != nil || string(decoded) != string(body) {
				t.Errorf("the body is not what it was: %v", err)
			}
		})
	}
}

// TestHeadForOthers: clients that do not get the coded form learn that there is one.
func TestHeadForOthers(t *testing.T) {
	c := compressor(t, compress.Options{})
	for _, length := range []int64{2000, -1} {
		got := answer(t, c, "GET", "", 200, length, text(2000), html, `ETag: "a"`, "Accept-Ranges: bytes")
		want := []string{html, `ETag: "a"`, "Accept-Ranges: bytes", "Vary: Accept-Encoding"}
		if !slices.Equal(lines(got.fields), want) || got.length != length || got.body.Len() != 2000 {
			t.Errorf("got %q and a length of %d, want %q", lines(got.fields), got.length, want)
		}
	}
}

func TestHeadOfHEAD(t *testing.T) {
	c := compressor(t, compress.Options{})
	for _, length := range []int64{2000, -1} {
		got := answer(t, c, "HEAD", "gzip, br", 200, length, nil, html, `ETag: "a"`)
		want := []string{html, `ETag: W/"a"`, "Vary: Accept-Encoding", "Content-Encoding: br"}
		if !slices.Equal(lines(got.fields), want) || got.length != -1 || got.body.Len() > 0 {
			t.Errorf("got %q and a length of %d, want %q", lines(got.fields), got.length, want)
		}
	}
	got := answer(t, c, "HEAD", "gzip", 200, 1023, nil, html)
	if !slices.Equal(lines(got.fields), []string{html}) || got.length != 1023 {
		t.Errorf("of a small one: got %q and a length of %d", lines(got.fields), got.length)
	}
}

func TestMinSize(t *testing.T) {
	c := compressor(t, compress.Options{})
	for size, coded := range map[int]bool{0: false, 1: false, 1023: false, 1024: true} {
		for _, length := range []int64{int64(size), -1} {
			body := text(size)
			got := answer(t, c, "GET", "gzip", 200, length, body, html)
			if is := got.fields.Has("Content-Encoding"); is != coded {
				t.Errorf("%d bytes, declared %d: coded is %v", size, length, is)
			}
			if !coded && (got.body.String() != string(body) || got.length != int64(size)) {
				t.Errorf("%d bytes, declared %d: got %d and a length of %d", size, length, got.body.Len(), got.length)
			}
		}
	}
	got := answer(t, compressor(t, compress.Options{MinSize: notation.Off}), "GET", "gzip", 200, 1, text(1), html)
	if !got.fields.Has("Content-Encoding") {
		t.Error("min_size: off: not coded")
	}
}

func TestChoice(t *testing.T) {
	all := compressor(t, compress.Options{})
	for accept, want := range map[string]string{
		"gzip, deflate, br, zstd": "zstd", "gzip, deflate, br": "br", "gzip;q=1, br;q=0.5": "gzip", "deflate": "", "identity": "", "*": "zstd",
	} {
		if got := answer(t, all, "GET", accept, 200, 2000, text(2000), html).fields.Get("Content-Encoding"); got != want {
			t.Errorf("%s: got %q, want %q", accept, got, want)
		}
	}
	if !slices.Equal(all.Codings(), []string{"zstd", "br", "gzip"}) {
		t.Errorf("got %q", all.Codings())
	}
	for _, o := range []compress.Options{{Codings: []string{}}, {On: notation.Disabled}, {Types: []string{}}} {
		got := answer(t, compressor(t, o), "GET", "*", 200, 2000, text(2000), html)
		if !slices.Equal(lines(got.fields), []string{html}) {
			t.Errorf("%+v: got %q", o, lines(got.fields))
		}
	}
	some := compressor(t, compress.Options{Types: []string{"application/x-own", "model/*"}, Codings: []string{"gzip"}})
	for media, want := range map[string]string{"application/X-Own": "gzip", "model/step": "gzip", "model/": "", "text/html": "", "application/x-own+json": ""} {
		if got := answer(t, some, "GET", "*", 200, 2000, text(2000), "Content-Type: "+media).fields.Get("Content-Encoding"); got != want {
			t.Errorf("%s: got %q, want %q", media, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	if err := (compress.Options{}).WithDefaults().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	if err := (compress.Options{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	o := compress.Options{
		Codings: []string{"deflate", "gzip", "gzip"}, Types: []string{"text", "*/*", "text/event-stream", "*+", "text/html; charset=utf-8", "text/*", "*+json"},
		MinSize: notation.GiB, Level: "11",
	}
	_, err := compress.New(o)
	want := strings.Join([]string{
		`codings: "deflate" is not one that can be offered: choose of zstd, br and gzip`,
		`codings: "gzip" is there twice: leave one out`,
		`types: "text" is no media type: write it like text/html, text/* or *+json`,
		`types: "*/*" is no media type: write it like text/html, text/* or *+json`,
		`types: an event stream is never compressed: leave text/event-stream out`,
		`types: "*+" is no media type: write it like text/html, text/* or *+json`,
		`types: "text/html; charset=utf-8" is no media type: write it like text/html, text/* or *+json`,
		`min_size: 1GiB would be held back of each answer whose length is not known: choose 1MiB at most`,
		`level: "11" is none: choose fast, default or best`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

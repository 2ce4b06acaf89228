package files_test

import (
	"fmt"
	"strings"
	"testing"

	"headgate/gateway/files"
)

func TestPreconditions(t *testing.T) {
	dir := tree(t, map[string]string{"a.txt": "0123456789"})
	s := open(t, files.Options{Root: dir, MaxAge: 60e9})
	tag := fmt.Sprintf(`"%x-a"`, old().Unix())
	const at, before, after = "Wed, 04 Mar 1998 05:06:07 GMT", "Wed, 04 Mar 1998 05:06:06 GMT", "Wed, 04 Mar 1998 05:06:08 GMT"
	for _, row := range []struct {
		fields []string
		want   int
	}{
		{[]string{"If-None-Match: " + tag}, 304},
		{[]string{"If-None-Match: W/" + tag}, 304},
		{[]string{"If-None-Match: \"x\", " + tag}, 304},
		{[]string{"If-None-Match: *"}, 304},
		{[]string{"If-None-Match: \"x\""}, 200},
		{[]string{"If-Modified-Since: " + at}, 304},
		{[]string{"If-Modified-Since: " + after}, 304},
		{[]string{"If-Modified-Since: " + before}, 200},
		{[]string{"If-None-Match: \"x\"", "If-Modified-Since: " + at}, 200},
		{[]string{"If-Match: " + tag}, 200},
		{[]string{"If-Match: *"}, 200},
		{[]string{"If-Match: \"x\""}, 412},
		{[]string{"If-Match: W/" + tag}, 412},
		{[]string{"If-Unmodified-Since: " + at}, 200},
		{[]string{"If-Unmodified-Since: " + before}, 412},
		{[]string{"Range: bytes=0-1", "If-Range: " + tag}, 206},
		{[]string{"Range: bytes=0-1", "If-Range: " + at}, 206},
		{[]string{"Range: bytes=0-1", "If-Range: \"x\""}, 200},
		{[]string{"Range: bytes=0-1", "If-None-Match: " + tag}, 304},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			want := row.want
			if method == "HEAD" && want == 206 {
				want = 200
			}
			a := ask(t, s, method, "a.txt", row.fields...)
			if a.Status != want {
				t.Errorf("%s %v: got %d, want %d", method, row.fields, a.Status, want)
			}
			if a.status != 412 && (a.get("ETag") != tag || a.get("Last-Modified") != at || a.get("Cache-Control") != "max-age=60") {
				t.Errorf("%s %v: validators are missing: %v", method, row.fields, a.fields)
			}
			if a.status == 304 && (a.fields.Has("Content-Type") || a.length != -1) {
				t.Errorf("%s %v: 304 with %v, length %d", method, row.fields, a.fields, a.length)
			}
		}
	}
}

func TestRanges(t *testing.T) {
	dir := tree(t, map[string]string{"a.txt": "0123456789"})
	s := open(t, files.Options{Root: dir})
	for set, want := range map[string]string{
		"bytes=0-0": "0", "bytes=2-4": "234", "bytes=7-": "789", "bytes=-3": "789", "bytes=-30": "0123456789", "bytes=0-99": "0123456789", "bytes=5-5,99-": "5",
	} {
		a := ask(t, s, "GET", "a.txt", "Range: "+set)
		first := strings.Index("0123456789", want)
		contentRange := fmt.Sprintf("bytes %d-%d/10", first, first+len(want)-1)
		if a.fields.Has("Accept-Ranges") {
			t.Errorf("%s: 206 has Accept-Ranges, which nginx leaves out", set)
		}
		if a.Status != 206 || a.body.String() != want || a.get("Content-Range") != contentRange {
			t.Errorf("%s: got %d %q %q, want 206 %q %q", set, a.Status, a.body.String(), a.get("Content-Range"), want, contentRange)
		}
	}
	for _, set := range []string{"bytes=10-", "bytes=10-20,30-", "bytes=-0"} {
		if a := ask(t, s, "GET", "a.txt", "Range: "+set); a.Status != 416 || a.get("Content-Range") != "bytes */10" {
			t.Errorf("%s: got %d %q, want 416", set, a.Status, a.get("Content-Range"))
		}
	}
	for _, set := range []string{"bytes=", "bytes=x", "bytes=4-2", "lines=0-1", "bytes=0-9,0-9"} {
		if a := ask(t, s, "GET", "a.txt", "Range: "+set); a.Status != 200 || a.body.String() != "0123456789" {
			t.Errorf("%s: got %d %q, want the whole", set, a.Status, a.body.String())
		}
	}
	a := ask(t, s, "GET", "a.txt", "Range: bytes=0-1,5-6")
	boundary, ok := strings.CutPrefix(a.get("Content-Type"), "multipart/byteranges; boundary=")
	want := strings.ReplaceAll("\r\n--B\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--B\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 5-6/10\r\n\r\n56\r\n--B--\r\n", "B", boundary)
	if got := a.body.String(); a.Status != 206 || !ok || strings.TrimPrefix(got, "\r\n") != strings.TrimPrefix(want, "\r\n") || a.fields.Has("Content-Range") {
		t.Errorf("got %d %v %q, want %q", a.Status, a.fields, a.body.String(), want)
	}
}

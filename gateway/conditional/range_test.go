package conditional_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	"headgate/gateway/conditional"
)

func part(start, length int64) conditional.Range {
	return conditional.Range{Start: start, Length: length}
}

func TestRanges(t *testing.T) {
	type want struct {
		ok     bool
		ranges []conditional.Range
	}
	whole, refused := want{ok: true}, want{}
	some := func(r ...conditional.Range) want { return want{true, r} }
	for _, test := range []struct {
		set  string
		size int64
		want want
	}{
		{"", 10, whole},
		{"bytes=0-0", 10, some(part(0, 1))},
		{"bytes=0-9", 10, some(part(0, 10))},
		{"bytes=2-", 10, some(part(2, 8))},
		{"bytes=2-100", 10, some(part(2, 8))},
		{"bytes=-3", 10, some(part(7, 3))},
		{"bytes=-100", 10, some(part(0, 10))},
		{"BYTES=9-9", 10, some(part(9, 1))},
		{"bytes=0-99999999999999999999999", 10, some(part(0, 10))},
		{"bytes=-99999999999999999999999", 10, some(part(0, 10))},
		{"bytes=000000000000000000000000001-2", 10, some(part(1, 2))},
		{"bytes=9223372036854775806-9223372036854775807", 1<<63 - 1, some(part(1<<63-2, 1))},

		// several
		{"bytes=0-0,-1", 10, some(part(0, 1), part(9, 1))},
		{"bytes=4-5, 0-1 ,\t2-3,,", 10, some(part(4, 2), part(0, 2), part(2, 2))},
		{"bytes=0-1,1-2", 10, some(part(0, 2), part(1, 2))},
		{"bytes=0-1,10-,20-30", 10, some(part(0, 2))},
		{"bytes=0-4,5-9", 10, some(part(0, 5), part(5, 5))},
		{"bytes=0-4,5-9,0-0", 10, whole}, // longer than the whole
		{"bytes=0-,0-", 10, whole},
		{"bytes=" + strings.Repeat("0-0,", 99) + "1-1", 1000, some(append(slices.Repeat([]conditional.Range{part(0, 1)}, 99), part(1, 1))...)},
		{"bytes=" + strings.Repeat("0-0,", 100) + "1-1", 1000, whole}, // too many
		{"bytes=" + strings.Repeat("2000-,", 100) + "1-1", 1000, whole},

		// behind the end
		{"bytes=10-", 10, refused},
		{"bytes=10-20,99999999999999999999-", 10, refused},
		{"bytes=-0", 10, refused},
		{"bytes=99999999999999999999-99999999999999999999", 1<<63 - 1, refused},

		// of nothing
		{"bytes=0-", 0, whole},
		{"bytes=-5", 0, whole},
		{"bytes=5-", 0, refused},
		{"bytes=0-", -1, whole},

		// malformed, or another unit
		{"bytes", 10, whole},
		{"bytes=", 10, whole},
		{"bytes=,", 10, whole},
		{"bytes=-", 10, whole},
		{"bytes=--1", 10, whole},
		{"bytes=1", 10, whole},
		{"bytes=5-2", 10, whole},
		{"bytes=0-1,5-2", 10, whole},
		{"bytes=a-b", 10, whole},
		{"bytes=0x1-2", 10, whole},
		{"bytes=0-1-2", 10, whole},
		{"bytes=+1-2", 10, whole},
		{"bytes=0 - 5", 10, whole},
		{"bytes = 0-5", 10, whole},
		{"bytes 0-5", 10, whole},
		{"lines=0-5", 10, whole},
		{"0-5", 10, whole},
	} {
		r := request("GET")
		if test.set != "" {
			r.Fields.Add("range", test.set)
		}
		got, ok := conditional.Ranges(r, strong, test.size)
		if ok != test.want.ok || !slices.Equal(got, test.want.ranges) {
			t.Errorf("%q of %d: got %v, %v, want %v, %v", test.set, test.size, got, ok, test.want.ranges, test.want.ok)
		}
	}
}

func TestRangesOnlyOfGET(t *testing.T) {
	for _, method := range []string{"HEAD", "POST", "PUT", "OPTIONS"} {
		if got, ok := conditional.Ranges(request(method, "Range: bytes=100-"), strong, 10); got != nil || !ok {
			t.Errorf("%s: got %v, %v, want the whole", method, got, ok)
		}
	}
	if got, ok := conditional.Ranges(request("GET", "Range: bytes=0-1", "Range: bytes=2-3"), strong, 10); got != nil || !ok {
		t.Errorf("two fields: got %v, %v, want the whole", got, ok)
	}
}

func TestIfRange(t *testing.T) {
	for _, test := range []struct {
		v    conditional.Validators
		cond string
		part bool
	}{
		{strong, `"a"`, true},
		{strong, `"b"`, false},
		{strong, `W/"a"`, false},
		{weak, `W/"a"`, false},
		{weak, `"a"`, false},
		{dated, `"a"`, false},
		{strong, `"a", "a"`, false},
		{strong, `*`, false},
		{strong, `a`, false},
		{strong, ``, false},
		{strong, exact, true},
		{dated, exact, true},
		{weak, exact, true},
		{strong, exact850, true},
		{strong, exactANSIC, true},
		{strong, before, false},
		{strong, after, false}, // exactly
		{none, exact, false},
		{strong, "tomorrow", false},
	} {
		got, ok := conditional.Ranges(request("GET", "Range: bytes=1-2", "If-Range: "+test.cond), test.v, 10)
		if part := len(got) > 0; !ok || part != test.part {
			t.Errorf("If-Range: %s with %+v: got %v, %v", test.cond, test.v, got, ok)
		}
	}
	if got, ok := conditional.Ranges(request("GET", "Range: bytes=100-", `If-Range: "b"`), strong, 10); got != nil || !ok {
		t.Errorf("a condition that fails beats 416: got %v, %v", got, ok)
	}
	if got, ok := conditional.Ranges(request("GET", "Range: bytes=1-2", `If-Range: "a"`, `If-Range: "a"`), strong, 10); got != nil || !ok {
		t.Errorf("two fields: got %v, %v, want the whole", got, ok)
	}
}

func TestContentRange(t *testing.T) {
	if got := part(2, 8).ContentRange(10); got != "bytes 2-9/10" {
		t.Errorf("got %q", got)
	}
	if got := conditional.Unsatisfied(10); got != "bytes */10" {
		t.Errorf("got %q", got)
	}
}

func TestMultipart(t *testing.T) {
	content := "0123456789"
	for _, contentType := range []string{"text/plain; charset=utf-8", ""} {
		ranges := []conditional.Range{part(0, 1), part(7, 3), part(2, 2)}
		m := conditional.NewMultipart(ranges, contentType, 10)
		body := write(m, ranges, content)
		if int64(len(body)) != m.Length() {
			t.Errorf("Length = %d, but it was %d", m.Length(), len(body))
		}
		media, params, err := mime.ParseMediaType(m.Type())
		if err != nil || media != "multipart/byteranges" {
			t.Fatalf("Type = %q: %v", m.Type(), err)
		}
		parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		for i, r := range ranges {
			p, err := parts.NextPart()
			if err != nil {
				t.Fatalf("part %d: %v in\n%s", i, err, body)
			}
			b, err := io.ReadAll(p)
			if got, want := string(b), content[r.Start:r.Start+r.Length]; got != want || err != nil {
				t.Errorf("part %d: got %q, %v, want %q", i, got, err, want)
			}
			if got, want := p.Header.Get("Content-Range"), r.ContentRange(10); got != want {
				t.Errorf("part %d: got %q, want %q", i, got, want)
			}
			if got := p.Header.Get("Content-Type"); got != contentType {
				t.Errorf("part %d: got %q, want %q", i, got, contentType)
			}
		}
		if _, err := parts.NextPart(); err != io.EOF {
			t.Errorf("behind the last part: %v, want the end", err)
		}
	}
	if a, b := conditional.NewMultipart(nil, "", 0), conditional.NewMultipart(nil, "", 0); a.Type() == b.Type() {
		t.Errorf("the boundary is always that of %q", a.Type())
	}
}

func write(m *conditional.Multipart, ranges []conditional.Range, content string) (body []byte) {
	for i, r := range ranges {
		body = append(body, m.Head(i)...)
		body = append(body, content[r.Start:r.Start+r.Length]...)
	}
	return append(body, m.Tail()...)
}

func FuzzRanges(f *testing.F) {
	for _, s := range []string{"bytes=0-0,-1", "bytes=2-", "bytes=-0", "bytes=5-2", "bytes=0-4,5-9,0-0", "bytes=99999999999999999999-,1-"} {
		f.Add(s, int64(10))
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, set string, size int64) {
		ranges, ok := conditional.Ranges(request("GET", "Range: "+set), strong, size)
		all := int64(0)
		for _, r := range ranges {
			if r.Length <= 0 || r.Start < 0 || r.Start > size-r.Length {
				t.Fatalf("%q of %d: got %+v", set, size, r)
			}
			all += r.Length
		}
		if all > max(size, 0) || len(ranges) > conditional.MaxRanges || !ok && len(ranges) > 0 {
			t.Fatalf("%q of %d: got %d ranges of %d bytes, %v", set, size, len(ranges), all, ok)
		}
		if len(ranges) == 0 {
			return
		}
		said := "bytes="
		for _, r := range ranges {
			said += strings.TrimSuffix(strings.TrimPrefix(r.ContentRange(size), "bytes "), fmt.Sprintf("/%d", size)) + ","
		}
		if again, ok := conditional.Ranges(request("GET", "Range: "+said), strong, size); !ok || !slices.Equal(again, ranges) {
			t.Fatalf("%q of %d is %v, and asked for as %q it is %v", set, size, ranges, said, again)
		}
		if size <= 1<<16 {
			m := conditional.NewMultipart(ranges, "text/plain", size)
			if n := int64(len(write(m, ranges, strings.Repeat("x", int(size))))); n != m.Length() {
				t.Fatalf("Length = %d, want %d", m.Length(), n)
			}
		}
	})
}

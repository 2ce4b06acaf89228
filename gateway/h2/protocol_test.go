package h2_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"headgate/gateway/h2"
	"headgate/gateway/wire"
)

// echo answers with what it was asked, behind the whole body.
var echo = handlerFunc(func(s wire.Stream, r *wire.Request) {
	if r.Refusal != nil {
		answer(s, r.Refusal.Status, r.Refusal.Kind)
		return
	}
	body, err := io.ReadAll(s)
	if err != nil {
		s.Abort()
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s %d|", r.Method, r.Scheme, r.Host, r.Target, r.ContentLength)
	for _, f := range r.Fields {
		fmt.Fprintf(&b, "%s: %s|", f.Name, f.Value)
	}
	answer(s, 200, b.String()+string(body))
})

func TestMalformedRequestsAreReset(t *testing.T) {
	s := start(t, false, h2.Settings{}, echo)
	get := []string{":method", "GET", ":scheme", "https", ":path", "/", ":authority", "a"}
	with := func(f ...string) []string { return append(append([]string(nil), get...), f...) }
	for name, fields := range map[string][]string{
		"no method":           {":scheme", "https", ":path", "/", ":authority", "a"},
		"no scheme":           {":method", "GET", ":path", "/", ":authority", "a"},
		"no path":             {":method", "GET", ":scheme", "https", ":authority", "a"},
		"empty path":          {":method", "GET", ":scheme", "https", ":path", "", ":authority", "a"},
		"relative path":       {":method", "GET", ":scheme", "https", ":path", "a", ":authority", "a"},
		"space in path":       {":method", "GET", ":scheme", "https", ":path", "/a b", ":authority", "a"},
		"empty method":        {":method", "", ":scheme", "https", ":path", "/", ":authority", "a"},
		"method not a token":  {":method", "GE T", ":scheme", "https", ":path", "/", ":authority", "a"},
		"empty scheme":        {":method", "GET", ":scheme", "", ":path", "/", ":authority", "a"},
		"bad scheme":          {":method", "GET", ":scheme", "1x", ":path", "/", ":authority", "a"},
		"two methods":         with(":method", "GET"),
		"two authorities":     with(":authority", "a"),
		"unknown pseudo":      with(":status", "200"),
		"extended connect":    with(":protocol", "websocket"),
		"pseudo behind field": {":method", "GET", ":scheme", "https", "x", "y", ":path", "/", ":authority", "a"},
		"connect with path":   {":method", "CONNECT", ":scheme", "https", ":path", "/", ":authority", "a"},
		"connect to nobody":   {":method", "CONNECT"},
		"upper case":          with("X-Upper", "1"),
		"empty name":          with("", "1"),
		"space in name":       with("a b", "1"),
		"colon in name":       with("a:b", "1"),
		"newline in value":    with("a", "b\nc"),
		"return in value":     with("a", "b\rc"),
		"nul in value":        with("a", "b\x00c"),
		"space before value":  with("a", " b"),
		"space behind value":  with("a", "b "),
		"connection":          with("connection", "close"),
		"keep-alive":          with("keep-alive", "1"),
		"proxy-connection":    with("proxy-connection", "close"),
		"transfer-encoding":   with("transfer-encoding", "chunked"),
		"upgrade":             with("upgrade", "h2c"),
		"te":                  with("te", "gzip"),
		"length not a number": with("content-length", "1x"),
		"length with sign":    with("content-length", "+1"),
		"two lengths":         with("content-length", "1", "content-length", "1"),
		"length without body": with("content-length", "1"),
		"length too large":    with("content-length", "99999999999999999999"),
	} {
		t.Run(name, func(t *testing.T) {
			k := dial(t, s)
			k.headers(1, true, fields...)
			k.wantReset(1, http2.ErrCodeProtocol)
			k.request(3, true) // the connection and its table go on
			k.wantStatus(3, "200")
		})
	}
}

func TestRequestsThatAreServed(t *testing.T) {
	s := start(t, false, h2.Settings{}, echo)
	for _, test := range []struct{ want, fields string }{
		{"GET https a /x?y 0|", ":method GET :scheme https :path /x?y :authority a"},
		{"OPTIONS https a * 0|", ":method OPTIONS :scheme https :path * :authority a"},
		{"CONNECT  a:1  0|", ":method CONNECT :authority a:1"},
		{"GET https b / 0|host: b|", ":method GET :scheme https :path / host b"},
		{"GET https a / 0|host: b|", ":method GET :scheme https :path / :authority a host b"},
		{"GET https  / 0|", ":method GET :scheme https :path /"},
		{"GET https a / 0|te: trailers|", ":method GET :scheme https :path / :authority a te trailers"},
		{"GET https a / 0|cookie: a=1; b=2; c=3|x: y|", ":method GET :scheme https :path / :authority a cookie a=1 cookie b=2 x y cookie c=3"},
		{"GET https a / 0|content-length: 0|", ":method GET :scheme https :path / :authority a content-length 0"},
	} {
		k := dial(t, s)
		k.headers(1, true, strings.Split(test.fields, " ")...)
		k.wantStatus(1, "200")
		if got := k.wantEnd(1); got != test.want {
			t.Errorf("%s: got %q, want %q", test.fields, got, test.want)
		}
	}
}

func TestBodyLengthMustBeTrue(t *testing.T) {
	s := start(t, false, h2.Settings{}, echo)
	for _, test := range []struct {
		declared string
		parts    []string
		reset    bool
	}{
		{"3", []string{"abc"}, false},
		{"3", []string{"a", "", "bc"}, false},
		{"3", []string{"abcd"}, true},
		{"3", []string{"ab", "cd"}, true},
		{"3", []string{"ab"}, true},
		{"0", []string{"a"}, true},
		{"0", []string{""}, false},
	} {
		k := dial(t, s)
		k.post(1, "content-length", test.declared)
		for i, p := range test.parts {
			k.must(k.WriteData(1, i == len(test.parts)-1, []byte(p)))
		}
		if test.reset {
			k.wantReset(1, http2.ErrCodeProtocol)
			continue
		}
		k.wantStatus(1, "200")
		if got, want := k.wantEnd(1), strings.Join(test.parts, ""); !strings.HasSuffix(got, "|"+want) {
			t.Errorf("%v: got %q", test, got)
		}
	}
}

func TestTrailersAreDropped(t *testing.T) {
	s := start(t, false, h2.Settings{}, echo)
	k := dial(t, s)
	k.post(1)
	k.must(k.WriteData(1, false, []byte("body")))
	k.headers(1, true, "x-sum", "1")
	k.wantStatus(1, "200")
	if got := k.wantEnd(1); !strings.HasSuffix(got, "-1|body") {
		t.Errorf("got %q", got)
	}
	for i, fields := range [][]string{{":path", "/"}, {"X-Upper", "1"}, {"a", "b\n"}, {"a", strings.Repeat("a", 20<<10)}} {
		id := uint32(3 + 2*i)
		k.post(id)
		block := k.block(fields...)
		k.must(k.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:1], EndStream: true}))
		k.must(k.WriteContinuation(id, true, block[1:]))
		k.wantReset(id, http2.ErrCodeProtocol)
	}
	k.post(99)
	k.headers(99, false, "x", "y")
	k.wantReset(99, http2.ErrCodeProtocol)
}

func TestPaddingCountsAndComesBack(t *testing.T) {
	s := start(t, false, h2.Settings{}, echo)
	k := dial(t, s)
	k.post(1)
	for range 3000 { // more than the windows, of padding alone
		k.must(k.WriteDataPadded(1, false, []byte("x"), make([]byte, 255)))
	}
	k.must(k.WriteData(1, true, nil))
	k.wantStatus(1, "200")
	if got := k.wantEnd(1); strings.Count(got, "x") != 3000 {
		t.Errorf("%d bytes arrived, want 3000", strings.Count(got, "x"))
	}
}

func TestHeadTooLargeIsRefused(t *testing.T) {
	s := start(t, false, h2.Settings{HeadBytes: 8 << 10, Fields: 20}, echo)
	k := dial(t, s)
	k.request(1, true, "x", strings.Repeat("x", 6000), "y", strings.Repeat("y", 6000), "z", "1")
	k.wantStatus(1, "431")
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprint("f", i), "1")
	}
	k.request(3, true, many...)
	k.wantStatus(3, "431")
	k.request(5, true, "z", "1") // the table has gone on
	k.wantStatus(5, "200")
	if got := k.wantEnd(5); !strings.HasSuffix(got, "z: 1|") {
		t.Errorf("got %q", got)
	}
	var crumbs []string
	for range 60 {
		crumbs = append(crumbs, "cookie", "a=b")
	}
	k.request(7, true, crumbs...) // they are one field
	k.wantStatus(7, "200")
}

func TestAnswersByMethodAndStatus(t *testing.T) {
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		switch r.Target {
		case "/204":
			s.WriteHead(204, nil, -1)
		case "/304":
			s.WriteHead(304, wire.Fields{{Name: "ETag", Value: "x"}}, 77)
		case "/empty":
			s.WriteHead(200, nil, 0)
		case "/hop":
			s.WriteHead(200, wire.Fields{{Name: "Connection", Value: "close"}, {Name: "Keep-Alive", Value: "1"}, {Name: "Bad", Value: "a\nb"}, {Name: "Content-Length", Value: "9"}, {Name: "b ad", Value: "1"}, {Name: "Set-Cookie", Value: "a=b"}, {Name: "DATE", Value: "never"}}, 2)
		case "/early":
			s.Interim(103, wire.Fields{{Name: "Link", Value: "</a>"}})
			s.WriteHead(200, nil, 2)
		default:
			s.WriteHead(200, nil, 2)
		}
		if n, err := s.Write([]byte("ok")); r.Target == "/empty" && err == nil {
			t.Errorf("Write = %d, %v", n, err)
		}
	})
	s := start(t, false, h2.Settings{}, h)
	k := dial(t, s)
	id := uint32(1)
	ask := func(method, path, status string) event {
		k.headers(id, true, ":method", method, ":scheme", "https", ":path", path, ":authority", "a")
		e := k.wantStatus(id, status)
		id += 2
		return e
	}
	field := func(e event, name string) string {
		for _, f := range e.header {
			if f.Name == name {
				return f.Value
			}
		}
		return ""
	}
	if e := ask("HEAD", "/", "200"); !e.end || field(e, "content-length") != "2" {
		t.Errorf("HEAD: %+v", e)
	}
	if e := ask("GET", "/204", "204"); !e.end || field(e, "content-length") != "" {
		t.Errorf("204: %+v", e)
	}
	if e := ask("GET", "/304", "304"); !e.end || field(e, "content-length") != "77" || field(e, "etag") != "x" {
		t.Errorf("304: %+v", e)
	}
	if e := ask("GET", "/empty", "200"); !e.end || field(e, "content-length") != "0" {
		t.Errorf("empty: %+v", e)
	}
	for range 2 { // the second time out of the table
		e := ask("GET", "/hop", "200")
		if len(e.header) != 3 || field(e, "content-length") != "2" || field(e, "set-cookie") != "a=b" || field(e, "date") != "never" {
			t.Errorf("hop: %+v", e)
		}
		k.wantEnd(e.stream)
	}
	e := ask("GET", "/early", "103")
	if field(e, "link") != "</a>" {
		t.Errorf("103: %+v", e)
	}
	k.wantStatus(e.stream, "200")
	k.wantEnd(e.stream)
}

func TestLargeHeadIsDivided(t *testing.T) {
	long := strings.Repeat("\x7e", 50_000)
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		s.WriteHead(200, wire.Fields{{Name: "Long", Value: long}}, 0)
	}))
	k := dial(t, s)
	k.request(1, true)
	if e := k.wantStatus(1, "200"); !e.end || e.header[0].Value != long {
		t.Errorf("the field has %d bytes, want %d", len(e.header[0].Value), len(long))
	}
}

func TestClientTableSizes(t *testing.T) {
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		s.WriteHead(200, wire.Fields{{Name: "X-Path", Value: r.Target}, {Name: "X-Same", Value: "same"}}, 0)
	}))
	for _, size := range []uint32{0, 50, 100, 300, 4096, 65536} {
		k := dial(t, s, http2.Setting{ID: http2.SettingHeaderTableSize, Val: size})
		k.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(size)
		for i := range 200 {
			path := fmt.Sprint("/", i%50)
			if i == 100 && size >= 300 { // smaller and larger again
				k.must(k.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 60}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 300}))
			}
			id := uint32(2*i + 1)
			k.headers(id, true, ":method", "GET", ":scheme", "https", ":path", path, ":authority", "a")
			if e := k.wantStatus(id, "200"); e.header[0].Value != path || e.header[1].Value != "same" {
				t.Fatalf("size %d, request %d: %+v", size, i, e)
			}
		}
	}
}

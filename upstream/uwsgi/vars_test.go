package uwsgi_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/uwsgi"
)

// fieldList is a header in the order and the spelling of the wire.
type fieldList []uwsgi.Var

func (l fieldList) Range(f func(name, value string) bool) {
	for _, v := range l {
		if !f(v.Key, v.Value) {
			return
		}
	}
}

// simpleGet is a request as a gateway hands it over.
func simpleGet() *uwsgi.Request {
	return &uwsgi.Request{
		Method: "GET", Proto: "HTTP/1.1", Scheme: "http", Host: "shop.example:8080",
		ServerName: "shop.example", ServerPort: "8080",
		URI: "/a%20b?q=1", ScriptName: "", PathInfo: "/a b", Query: "q=1",
		Remote: netip.MustParseAddrPort("192.0.2.7:40000"),
	}
}

// encoded encodes a request and takes the packet apart.
func encoded(t *testing.T, req *uwsgi.Request, o uwsgi.Options, d uwsgi.Dialect) map[string]string {
	t.Helper()
	var e uwsgi.Encoder
	packet, err := e.Encode(req, uwsgi.NewConstants(o), d, false)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, v := range packetVars(t, packet) {
		if _, twice := vars[v.Key]; twice {
			t.Errorf("%s is sent twice", v.Key)
		}
		vars[v.Key] = v.Value
	}
	return vars
}

func packetVars(t *testing.T, packet []byte) []uwsgi.Var {
	t.Helper()
	_, size, _ := uwsgi.ParseHeader([4]byte(packet))
	if size != len(packet)-4 {
		t.Fatalf("header says %d bytes, block has %d", size, len(packet)-4)
	}
	vars, err := uwsgi.ParseVars(packet[4:])
	if err != nil {
		t.Fatal(err)
	}
	return vars
}

func TestEncodeGetByteForByte(t *testing.T) {
	req := simpleGet()
	req.Header = fieldList{{"Accept", "*/*"}, {"Cookie", "a=1"}, {"Cookie", "b=2"}}
	want := "\x00\x69\x01\x00" + // modifier1 0, 361 bytes, modifier2 0
		"\x0c\x00QUERY_STRING\x03\x00q=1" +
		"\x0e\x00REQUEST_METHOD\x03\x00GET" +
		"\x0e\x00CONTENT_LENGTH\x00\x00" +
		"\x0b\x00REQUEST_URI\x0a\x00/a%20b?q=1" +
		"\x09\x00PATH_INFO\x04\x00/a b" +
		"\x0b\x00SCRIPT_NAME\x00\x00" +
		"\x0f\x00SERVER_PROTOCOL\x08\x00HTTP/1.1" +
		"\x0e\x00REQUEST_SCHEME\x04\x00http" +
		"\x0b\x00REMOTE_ADDR\x09\x00192.0.2.7" +
		"\x0b\x00REMOTE_PORT\x05\x0040000" +
		"\x0b\x00SERVER_NAME\x0c\x00shop.example" +
		"\x0b\x00SERVER_PORT\x04\x008080" +
		"\x09\x00HTTP_HOST\x11\x00shop.example:8080" +
		"\x0b\x00HTTP_ACCEPT\x03\x00*/*" +
		"\x0b\x00HTTP_COOKIE\x08\x00a=1; b=2" +
		"\x0c\x00CONTENT_TYPE\x00\x00" +
		"\x0c\x00UWSGI_SCHEME\x04\x00http"
	var e uwsgi.Encoder
	for range 2 { // the second time with the memory of the first
		got, err := e.Encode(req, nil, uwsgi.DialectUWSGI, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Error(diff)
		}
	}
	if e.Size() != len(want)-4 {
		t.Errorf("Size = %d, want %d", e.Size(), len(want)-4)
	}
}

func TestEncodeVariables(t *testing.T) {
	const absent = "\x00absent"
	tests := []struct {
		name    string
		change  func(*uwsgi.Request)
		options uwsgi.Options
		uwsgi   map[string]string // wanted in the dialects auto and uwsgi, and
		differs map[string]string // in gunicorn, where that is something else
	}{
		{
			name:   "https",
			change: func(r *uwsgi.Request) { r.Scheme, r.Proto = "https", "HTTP/3.0" },
			uwsgi:  map[string]string{"HTTPS": "on", "UWSGI_SCHEME": "https", "REQUEST_SCHEME": "https", "SERVER_PROTOCOL": "HTTP/3.0"},
		},
		{
			name:   "http has no HTTPS and no DOCUMENT_ROOT",
			change: func(*uwsgi.Request) {},
			uwsgi:  map[string]string{"HTTPS": absent, "DOCUMENT_ROOT": absent, "CONTENT_TYPE": "", "CONTENT_LENGTH": "", "HTTP_CONNECTION": absent},
		},
		{
			name: "body of known length",
			change: func(r *uwsgi.Request) {
				r.Body, r.ContentLength = strings.NewReader("hello"), 5
				r.Header = fieldList{{"content-type", "text/plain"}, {"Content-Length", "7"}, {"Transfer-Encoding", "chunked"}, {"Expect", "100-continue"}}
			},
			uwsgi: map[string]string{
				"CONTENT_LENGTH": "5", "CONTENT_TYPE": "text/plain", "HTTP_CONTENT_LENGTH": absent, "HTTP_CONTENT_TYPE": absent,
				"HTTP_TRANSFER_ENCODING": absent, "HTTP_EXPECT": absent,
			},
		},
		{
			name:   "body that is empty",
			change: func(r *uwsgi.Request) { r.Body = strings.NewReader("") },
			uwsgi:  map[string]string{"CONTENT_LENGTH": "0"},
		},
		{
			name:   "a length without a body frames nothing",
			change: func(r *uwsgi.Request) { r.ContentLength = 9 },
			uwsgi:  map[string]string{"CONTENT_LENGTH": ""},
		},
		{
			name:   "the first content type counts",
			change: func(r *uwsgi.Request) { r.Header = fieldList{{"Content-Type", "a/b"}, {"Content-Type", "c/d"}} },
			uwsgi:  map[string]string{"CONTENT_TYPE": "a/b"},
		},
		{
			name:    "mapped client address",
			change:  func(r *uwsgi.Request) { r.Remote = netip.MustParseAddrPort("[::ffff:192.0.2.7]:1") },
			uwsgi:   map[string]string{"REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "1", "HTTP_X_FORWARDED_FOR": absent},
			differs: map[string]string{"HTTP_X_FORWARDED_FOR": "192.0.2.7"},
		},
		{
			name:    "client address with a zone",
			change:  func(r *uwsgi.Request) { r.Remote = netip.MustParseAddrPort("[fe80::1%eth0]:2") },
			uwsgi:   map[string]string{"REMOTE_ADDR": "fe80::1", "HTTP_X_FORWARDED_FOR": absent},
			differs: map[string]string{"HTTP_X_FORWARDED_FOR": "fe80::1"},
		},
		{
			name:   "client without an address",
			change: func(r *uwsgi.Request) { r.Remote = netip.AddrPort{} },
			uwsgi:  map[string]string{"REMOTE_ADDR": "", "REMOTE_PORT": "", "HTTP_X_FORWARDED_FOR": absent},
		},
		{
			name:   "forwarded-for of the gateway stays",
			change: func(r *uwsgi.Request) { r.Header = fieldList{{"X-Forwarded-For", "203.0.113.9, 192.0.2.7"}} },
			uwsgi:  map[string]string{"HTTP_X_FORWARDED_FOR": "203.0.113.9, 192.0.2.7"},
		},
		{
			name:    "path",
			change:  func(r *uwsgi.Request) { r.PathInfo = "/café b?#;=/~" },
			uwsgi:   map[string]string{"PATH_INFO": "/café b?#;=/~"},
			differs: map[string]string{"PATH_INFO": "/caf%C3%A9%20b%3F%23;=/~"},
		},
		{
			name:    "percent that nobody would decode",
			change:  func(r *uwsgi.Request) { r.PathInfo = "/100%/%zz/%4" },
			uwsgi:   map[string]string{"PATH_INFO": "/100%/%zz/%4"},
			differs: map[string]string{"PATH_INFO": "/100%25/%25zz/%254"},
		},
		{
			name:   "mount point",
			change: func(r *uwsgi.Request) { r.ScriptName, r.PathInfo = "/blog", "" },
			uwsgi:  map[string]string{"SCRIPT_NAME": "/blog", "PATH_INFO": ""},
		},
		{
			name: "header hygiene",
			change: func(r *uwsgi.Request) {
				r.Header = fieldList{
					{"Proxy", "evil"},
					{"X_Foo", "evil"},
					{"X.Foo", "evil"},
					{"X Foo", "evil"},
					{"X-Foo\x00", "evil"},
					{"", "evil"},
					{"Käse", "evil"},
					{"Host", "evil"},
					{"TE", "trailers"},
					{"Trailer", "x"},
					{"Keep-Alive", "5"},
					{"Proxy-Connection", "x"},
					{"Upgrade", "h2c"},
					{"HTTP2-Settings", "x"},
					{"X-Forwarded-Ssl", "on"},
					{"Proxy-Authorization", "secret"},
					{"X-Foo", "good"},
					{"x-1", "digit"},
				}
			},
			uwsgi: map[string]string{
				"HTTP_PROXY": absent, "HTTP_X_FOO": "good", "HTTP_X_1": "digit", "HTTP_HOST": "shop.example:8080", "HTTP_TE": absent,
				"HTTP_TRAILER": absent, "HTTP_KEEP_ALIVE": absent, "HTTP_PROXY_CONNECTION": absent, "HTTP_UPGRADE": absent,
				"HTTP_HTTP2_SETTINGS": absent, "HTTP_X_FORWARDED_SSL": absent, "HTTP_PROXY_AUTHORIZATION": absent, "HTTP_": absent,
			},
		},
		{
			name: "Connection lists more",
			change: func(r *uwsgi.Request) {
				r.Header = fieldList{
					{"X-One", "1"},
					{"X-Two", "2"},
					{"connection", "close, x-one"},
					{"X-Three", "3"},
					{"X-Three", "4"},
					{"X-Forwarded-For", "203.0.113.9"},
					{"Connection", "\tX-THREE ,,nonsense, X-Forwarded-For, host, x_two"},
					{"X-Four", "5"},
				}
			},
			uwsgi: map[string]string{
				"HTTP_X_ONE": absent, "HTTP_X_TWO": "2", "HTTP_X_THREE": absent, "HTTP_X_FOUR": "5", "HTTP_CONNECTION": absent,
				"HTTP_X_FORWARDED_FOR": "203.0.113.9", "HTTP_HOST": "shop.example:8080",
			},
		},
		{
			name: "repeated fields, near and far",
			change: func(r *uwsgi.Request) {
				r.Header = fieldList{
					{"cookie", "a=1"}, {"cookie", "b=2"}, {"x-foo", "1"}, {"Accept", "x"}, {"X-Foo", "2"}, {"Cookie", "c=3"}, {"X-Last", "z"}, {"X-FOO", ""},
				}
			},
			uwsgi: map[string]string{"HTTP_COOKIE": "a=1; b=2; c=3", "HTTP_X_FOO": "1, 2, ", "HTTP_ACCEPT": "x", "HTTP_X_LAST": "z"},
		},
		{
			name: "upgrade",
			change: func(r *uwsgi.Request) {
				r.Upgrade = "websocket"
				r.Header = fieldList{{"Connection", "keep-alive, Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Key", "k"}}
			},
			uwsgi: map[string]string{"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade", "HTTP_SEC_WEBSOCKET_KEY": "k"},
		},
		{
			name: "who wins",
			change: func(r *uwsgi.Request) {
				r.Header = fieldList{{"X-Tenant", "client"}, {"X-Pool", "client"}, {"X-Hidden", "client"}, {"X-Request-Id", "client"}, {"X-Request-Id", "client"}}
				r.Extra = []uwsgi.Var{
					{"HTTP_X_REQUEST_ID", "old"},
					{"HTTP_X_REQUEST_ID", "id"},
					{"HTTP_X_TENANT", "extra"},
					{"SERVER_PORT", "443"},
					{"", "dropped"},
					{"CONTENT_LENGTH", "99"},
					{"HTTP_TRANSFER_ENCODING", "chunked"},
					{"HTTP_CONNECTION", "x"},
					{"REMOTE_USER", "ada"},
					{"CONTENT_TYPE", "x/y"},
				}
			},
			options: uwsgi.Options{Vars: map[string]string{"HTTP_X_TENANT": "pool", "HTTP_X_POOL": "pool", "HTTP_X_HIDDEN": "", "DJANGO_SETTINGS_MODULE": "", "app.tenant": "t"}},
			uwsgi: map[string]string{
				"HTTP_X_REQUEST_ID": "id", "HTTP_X_TENANT": "extra", "HTTP_X_POOL": "pool", "HTTP_X_HIDDEN": absent, "SERVER_PORT": "443",
				"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": absent, "HTTP_CONNECTION": absent, "DJANGO_SETTINGS_MODULE": "", "app.tenant": "t",
				"REMOTE_USER": "ada", "CONTENT_TYPE": "x/y", "": absent,
			},
		},
	}
	for _, test := range tests {
		for _, d := range []uwsgi.Dialect{uwsgi.DialectAuto, uwsgi.DialectUWSGI, uwsgi.DialectGunicorn} {
			t.Run(test.name+"/"+d.String(), func(t *testing.T) {
				req := simpleGet()
				test.change(req)
				got := encoded(t, req, test.options, d)
				for key, want := range test.uwsgi {
					if other, ok := test.differs[key]; ok && d == uwsgi.DialectGunicorn {
						want = other
					}
					value, sent := got[key]
					if !sent {
						value = absent
					}
					if value != want {
						t.Errorf("%s = %q, want %q", key, value, want)
					}
				}
			})
		}
	}
}

// A path with an escape in its decoded form must never be decoded twice, not
// even by a server that has not yet shown which dialect it speaks.
func TestEncodePathOfUnknownDialect(t *testing.T) {
	req := simpleGet()
	req.PathInfo = "/%61dmin/100%/é"
	for d, want := range map[uwsgi.Dialect]string{
		uwsgi.DialectAuto:     "/%2561dmin/100%/é",
		uwsgi.DialectUWSGI:    "/%61dmin/100%/é",
		uwsgi.DialectGunicorn: "/%2561dmin/100%25/%C3%A9",
	} {
		if got := encoded(t, req, uwsgi.Options{}, d)["PATH_INFO"]; got != want {
			t.Errorf("%v: PATH_INFO = %q, want %q", d, got, want)
		}
	}
	for path, want := range map[string]bool{"/": false, "/100%": false, "/%4": false, "/%zz": false, "/%4a": true, "/é": true, "/a b": false} {
		if got := uwsgi.DialectMatters(path); got != want {
			t.Errorf("DialectMatters(%q) = %v", path, got)
		}
	}
}

// uWSGI takes the scheme from the last of these, and REMOTE_ADDR from the first.
func TestEncodeSchemeComesLast(t *testing.T) {
	req := simpleGet()
	req.Header = fieldList{{"X-Forwarded-Proto", "https"}, {"Connection", "X-Forwarded-Proto"}}
	req.Extra = []uwsgi.Var{{Key: "HTTP_X_FORWARDED_PROTO", Value: "http"}}
	var e uwsgi.Encoder
	packet, err := e.Encode(req, nil, uwsgi.DialectUWSGI, false)
	if err != nil {
		t.Fatal(err)
	}
	vars := packetVars(t, packet)
	if last := vars[len(vars)-1]; last != (uwsgi.Var{Key: "UWSGI_SCHEME", Value: "http"}) {
		t.Errorf("last variable is %v", last)
	}
	req.Extra = []uwsgi.Var{{Key: "UWSGI_SCHEME", Value: "ws"}}
	packet, _ = e.Encode(req, nil, uwsgi.DialectUWSGI, false)
	vars = packetVars(t, packet)
	if last := vars[len(vars)-1]; last != (uwsgi.Var{Key: "UWSGI_SCHEME", Value: "ws"}) {
		t.Errorf("last variable is %v", last)
	}
}

func TestEncodeLastRequestOfConnection(t *testing.T) {
	req := simpleGet()
	req.Header = fieldList{{"Connection", "keep-alive"}}
	var e uwsgi.Encoder
	packet, err := e.Encode(req, nil, uwsgi.DialectGunicorn, true)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(packet), "\x0f\x00HTTP_CONNECTION\x05\x00close") {
		t.Errorf("gunicorn is not told to close: %q", packet)
	}
}

func TestEncodeModifier(t *testing.T) {
	var e uwsgi.Encoder
	packet, err := e.Encode(simpleGet(), uwsgi.NewConstants(uwsgi.Options{Modifier1: 14}), uwsgi.DialectUWSGI, false)
	if err != nil {
		t.Fatal(err)
	}
	if m1, _, m2 := uwsgi.ParseHeader([4]byte(packet)); m1 != 14 || m2 != 0 {
		t.Errorf("modifiers %d and %d, want 14 and 0", m1, m2)
	}
	// The encoder is used again, with a member's own modifiers.
	packet, err = e.Encode(simpleGet(), uwsgi.NewConstants(uwsgi.Options{Modifier1: 9, Modifier2: 255}), uwsgi.DialectUWSGI, false)
	if err != nil {
		t.Fatal(err)
	}
	if m1, size, m2 := uwsgi.ParseHeader([4]byte(packet)); m1 != 9 || m2 != 255 || size != len(packet)-uwsgi.HeaderBytes {
		t.Errorf("modifiers %d and %d before %d bytes, want 9 and 255 before %d", m1, m2, size, len(packet)-uwsgi.HeaderBytes)
	}
}

func TestEncodeRefusesUnknownLength(t *testing.T) {
	req := simpleGet()
	req.Body, req.ContentLength = strings.NewReader("x"), -1
	var e uwsgi.Encoder
	_, err := e.Encode(req, nil, uwsgi.DialectUWSGI, false)
	var failure *uwsgi.Error
	if !errors.As(err, &failure) || failure.Kind != uwsgi.KindBody || !failure.Unsent() {
		t.Errorf("error %v", err)
	}
}

// numbered returns n header fields of different names.
func numbered(n int) fieldList {
	var l fieldList
	for i := range n {
		l = append(l, uwsgi.Var{Key: fmt.Sprintf("X-%d", i), Value: "v"})
	}
	return l
}

// An Encoder must not show a request what is left of another one.
func TestEncoderForgets(t *testing.T) {
	var e uwsgi.Encoder
	want, err := e.Encode(simpleGet(), nil, uwsgi.DialectUWSGI, false)
	if err != nil {
		t.Fatal(err)
	}
	first := string(want)
	full := simpleGet()
	full.Scheme, full.Upgrade = "https", "websocket"
	full.Header = append(numbered(50), fieldList{{"Content-Type", "a/b"}, {"Connection", "X-1"}, {"Cookie", strings.Repeat("x", 70000)}}...)
	if _, err := e.Encode(full, nil, uwsgi.DialectGunicorn, true); err == nil {
		t.Fatal("the big one was taken")
	}
	full.Header = numbered(2000)
	if _, err := e.Encode(full, nil, uwsgi.DialectGunicorn, true); err == nil {
		t.Fatal("the many were taken")
	}
	got, err := e.Encode(simpleGet(), nil, uwsgi.DialectUWSGI, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, string(got)); diff != "" {
		t.Error(diff)
	}
}

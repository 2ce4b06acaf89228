package uwsgi_test

import (
	"errors"
	"strings"
	"testing"

	"headgate/upstream/uwsgi"
)

// FuzzEncodeRequest hands the encoder any header, any path and any trusted
// variables. Whatever comes, a packet is one that every server reads the same
// way, and one that does not fit is an error.
func FuzzEncodeRequest(f *testing.F) {
	f.Add("Cookie: a=1\ncookie: b=2\nX-Foo: 1\nx_foo: 2\nConnection: x-foo, close\nX-FOO: 3", "/a%41/é", "HTTP_X_FOO=me\nHTTP_X_FOO=you", uint8(0), 0)
	f.Add("Proxy: x\nContent-Length: 7\nTransfer-Encoding: chunked\nContent-Type: a/b", "", "CONTENT_LENGTH=5\nUWSGI_SCHEME=x", uint8(1), 70000)
	f.Add("X-Forwarded-For: 1\nConnection: X-Forwarded-For,,Cookie\nCookie: c", "/%", "=x\nA=\n", uint8(2), 65300)
	var e uwsgi.Encoder // shared: what is left of one request must not show in the next
	f.Fuzz(func(t *testing.T, header, path, extra string, flags uint8, pad int) {
		req := simpleGet()
		req.PathInfo = path
		var fields fieldList
		for line := range strings.SplitSeq(header, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			fields = append(fields, uwsgi.Var{Key: name, Value: value})
		}
		if pad > 0 {
			fields = append(fields, uwsgi.Var{Key: "X-Pad", Value: strings.Repeat("p", pad%80000)})
		}
		req.Header = fields
		for line := range strings.SplitSeq(extra, "\n") {
			key, value, _ := strings.Cut(line, "=")
			req.Extra = append(req.Extra, uwsgi.Var{Key: key, Value: value})
		}
		d := uwsgi.Dialect(flags % 3)
		if flags&4 != 0 {
			req.Upgrade = "websocket"
		}
		if flags&8 != 0 {
			req.Body, req.ContentLength = strings.NewReader("hello"), 5
		}
		packet, err := e.Encode(req, nil, d, flags&16 != 0)
		if err != nil {
			var failure *uwsgi.Error
			if !errors.As(err, &failure) || failure.Kind != uwsgi.KindTooLarge || failure.Cause == "" || failure.Cure == "" {
				t.Errorf("error %#v", err)
			}
			return
		}
		checkPacket(t, req, packetVars(t, packet), d)
	})
}

// checkPacket holds what is true of every packet.
func checkPacket(t *testing.T, req *uwsgi.Request, vars []uwsgi.Var, d uwsgi.Dialect) {
	t.Helper()
	if limit := map[bool]int{true: uwsgi.MaxPairsGunicorn, false: uwsgi.MaxPairs}[d == uwsgi.DialectGunicorn]; len(vars) > limit {
		t.Errorf("%d variables", len(vars))
	}
	trusted := map[string]bool{}
	for _, v := range req.Extra {
		trusted[v.Key] = true
	}
	got := map[string]string{}
	for _, v := range vars {
		if _, twice := got[v.Key]; twice {
			t.Errorf("%q is sent twice", v.Key)
		}
		got[v.Key] = v.Value
		if trusted[v.Key] {
			continue
		}
		if name, ok := strings.CutPrefix(v.Key, "HTTP_"); ok && (name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "") {
			t.Errorf("%q is not made of a good header name", v.Key)
		}
		switch v.Key {
		case "HTTP_PROXY", "HTTP_X_FORWARDED_SSL", "HTTP_PROXY_AUTHORIZATION", "UWSGI_FILE":
			t.Errorf("%q comes from the client", v.Key)
		}
	}
	for _, key := range []string{"HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_TE", "HTTP_EXPECT", "HTTP_KEEP_ALIVE", "HTTP_TRAILER", ""} {
		if _, sent := got[key]; sent {
			t.Errorf("%q is sent", key)
		}
	}
	length := ""
	if req.Body != nil {
		length = "5"
	}
	if got["CONTENT_LENGTH"] != length {
		t.Errorf("CONTENT_LENGTH = %q, want %q", got["CONTENT_LENGTH"], length)
	}
	if !trusted["HTTP_HOST"] && got["HTTP_HOST"] != req.Host {
		t.Errorf("HTTP_HOST = %q", got["HTTP_HOST"])
	}
	if !trusted["PATH_INFO"] {
		checkPath(t, req.PathInfo, got["PATH_INFO"], d)
	}
	if last := vars[len(vars)-1].Key; last != "UWSGI_SCHEME" {
		t.Errorf("the last variable is %q", last)
	}
}

// checkPath decodes PATH_INFO as the dialect's server would.
func checkPath(t *testing.T, path, sent string, d uwsgi.Dialect) {
	t.Helper()
	if d == uwsgi.DialectUWSGI {
		if sent != path {
			t.Errorf("PATH_INFO = %q, want %q", sent, path)
		}
		return
	}
	if got := unquote(sent); got != path {
		t.Errorf("PATH_INFO = %q is read as %q, want %q", sent, got, path)
	}
	if d == uwsgi.DialectGunicorn && strings.IndexFunc(sent, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		t.Errorf("PATH_INFO = %q has bytes that gunicorn turns into others", sent)
	}
}

// unquote is Python's urllib.parse.unquote_to_bytes: what is no escape stays.
func unquote(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte(hex, s[i+1]|0x20), strings.IndexByte(hex, s[i+2]|0x20)
			if hi >= 0 && lo >= 0 && s[i+1] > ' ' && s[i+2] > ' ' {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

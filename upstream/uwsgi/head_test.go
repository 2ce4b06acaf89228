package uwsgi_test

import (
	"bytes"
	"fmt"
	"net/textproto"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"headgate/upstream/uwsgi"
)

func TestHeadEnd(t *testing.T) {
	for _, tt := range []struct {
		b    string
		want int
	}{
		{"", -1},
		{"\n", -1},
		{"\n\n", 2},
		{"\r\n", -1},
		{"a: b\r\n\r\nx", 8},
		{"a: b\n\nx", 6},
		{"a: b\n\r\nx", 7},
		{"a: b\r\n\r", -1},
		{"a: b\r\nc: d\r\n\r\n", 14},
		{"a\r\rb\r\n", -1},
	} {
		for from := 0; from <= len(tt.b); from++ {
			if from > 0 && uwsgi.HeadEnd([]byte(tt.b[:from]), 0) >= 0 {
				break // from bytes without an end are the premise
			}
			if got := uwsgi.HeadEnd([]byte(tt.b), from); got != tt.want {
				t.Errorf("%q from %d: got %d, want %d", tt.b, from, got, tt.want)
			}
		}
	}
}

func FuzzResponseHead(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 12\r\nSet-Cookie: a=b; Path=/\r\nSet-Cookie: c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.0 404 NOT FOUND\r\n\r\n", "Status: 302 Found\nLocation: /x\n\n", "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "\n\n", "\r\n\r\n", "HTTP/1.1 200\r\nConnection: a, b, ,\r\na: 1\r\n\r\n", ":\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		status, reason, fields, length, err := uwsgi.ParseResponseHead(b)
		if err != nil {
			return
		}
		if status < 100 || status > 999 || length < -1 {
			t.Errorf("status %d, length %d", status, length)
		}
		if strings.ContainsAny(reason, "\r\n\x00") {
			t.Errorf("reason %q", reason)
		}
		for _, f := range fields {
			if name, v := f.Name, f.Value; !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) || strings.Trim(v, " \t") != v {
				t.Errorf("%s: %q", name, v)
			}
			switch name := textproto.CanonicalMIMEHeaderKey(f.Name); name {
			case "Connection", "Keep-Alive", "Transfer-Encoding", "Te", "Trailer", "Proxy-Connection", "Status", "Content-Length":
				t.Errorf("%s was let through", name)
			}
		}
	})
}

func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"5\r\nhello\r\n0\r\n\r\n", "5;a=b\r\nhello\r\n00\r\nT: x\r\n\r\nrest", "0\r\n\r\n", "5\r\nhel", "A\n", "\r\n", "ffffffffffffffff\r\n", "5\r\nhello0\r\n\r\n",
		"1 \r\nx\r\n0\r\n\r\n", "0\r\nA: b\nC: d\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(3), uint8(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, step, want uint8) {
		data, used, done, err := uwsgi.DecodeChunked(b, len(b)+1, len(b)+1)
		data2, used2, done2, err2 := uwsgi.DecodeChunked(b, int(step)+1, int(want)+1)
		if !bytes.Equal(data, data2) || err == nil && used != used2 || done != done2 || (err == nil) != (err2 == nil) {
			t.Errorf("how it is cut matters: %q %d %v %v, then %q %d %v %v", data, used, done, err, data2, used2, done2, err2)
		}
		encoded := fmt.Appendf(nil, "%x\r\n%s\r\n0\r\n\r\n", len(b), b)
		if len(b) == 0 {
			encoded = []byte("0\r\n\r\n")
		}
		if got, n, ok, err := uwsgi.DecodeChunked(encoded, int(step)+1, int(want)+1); !bytes.Equal(got, b) || n != len(encoded) || !ok || err != nil {
			t.Errorf("round trip: %q, %d of %d, %v, %v", got, n, len(encoded), ok, err)
		}
	})
}

func TestBadChunks(t *testing.T) {
	for name, s := range map[string]string{
		"no size": "\r\n", "sign": "+5\r\nhello\r\n", "0x": "0x5\r\nhello\r\n", "line feed": "5\nhello\r\n0\r\n\r\n", "not at its end": "5\r\nhello!\r\n0\r\n\r\n",
		"too large": "1000000000000000\r\n", "extension": "5;" + strings.Repeat("x", 300) + "\r\n", "trailer": "0\r\n" + strings.Repeat("A: b\r\n", 2000) + "\r\n",
		"bare CR in an extension": "5;a\rb\r\n",
	} {
		if data, _, done, err := uwsgi.DecodeChunked([]byte(s), 7, 100); err == nil {
			t.Errorf("%s: got %q, %v", name, data, done)
		}
	}
}

func TestLargeHead(t *testing.T) {
	fields := strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 60)
	w := answerer(t, "HTTP/1.1 200 OK\r\n"+fields+"Content-Length: 5\r\n\r\nhello")
	resp, body := do(t, newTransport(t, w.Addr(), uwsgi.Options{}), get("/"))
	if len(header(resp)["A"]) != 60 || body != "hello" {
		t.Errorf("got %d fields and %q", len(resp.Fields), body)
	}
}

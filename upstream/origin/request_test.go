package origin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/origin"
)

var targets = []string{
	"/", "/a%2Fb", "//", "//evil.example/x?y=//z", "/a//b", "/?", "/?q=1&r=%20?x", "/caf\xc3\xa9?n=\xc3\xa9", "/%", "/%zz?%",
	"/a;b=c,d", "/[x]", "/a|b^c`d\"<>{}", "//a/%2f?", "/http://x/", "*",
}

func TestTargetIsSentAsItIs(t *testing.T) {
	heads := make(chan string, 1)
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
		for h := p.head(); h != ""; h = p.head() {
			heads <- h
			p.send(ok)
		}
	})
	for _, want := range targets {
		r := get(want)
		if want == "*" {
			r.Method = "OPTIONS"
		}
		read(t, tr, r)
		line, _, _ := strings.Cut(<-heads, "\r\n")
		if got := strings.TrimSuffix(strings.TrimPrefix(line, r.Method+" "), " HTTP/1.1"); got != want {
			t.Errorf("target %q was sent as %q", want, got)
		}
	}
}

func TestTargetIsSentAsItIsOverHTTP2(t *testing.T) {
	got := make(chan string, 1)
	tr, _ := server(t, "tcp", origin.Options{HTTP2: true}, func(w http.ResponseWriter, r *http.Request) { got <- r.RequestURI })
	for _, want := range targets {
		if strings.Contains(want, "%z") || want == "/%" {
			continue // net/http's server refuses it
		}
		r := get(want)
		if want == "*" {
			r.Method = "OPTIONS"
		}
		resp, _ := read(t, tr, r)
		select {
		case uri := <-got:
			if uri != want {
				t.Errorf("target %q was sent as %q", want, uri)
			}
		default:
			if want != "*" {
				t.Errorf("target %q: status %d", want, resp.Status)
			}
		}
	}
}

func TestHeaderThatMembersGet(t *testing.T) {
	heads := make(chan string, 1)
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) {
		heads <- p.head()
		p.send(ok)
	})
	r := get("/")
	r.Header = origin.HeaderFields(http.Header{
		"Accept": {"a", "b"}, "Cookie": {"a=1", "b=2"}, "Content-Type": {"text/a", "text/b"}, "X_Real_Ip": {"9"}, "X.Dot": {"9"},
		"Connection": {"keep-alive, X-Hop", "X-Request-Id"}, "X-Hop": {"9"}, "X-Request-Id": {"client"}, "Proxy": {"9"},
		"Te": {"trailers"}, "Upgrade": {"h2c"}, "Expect": {"100-continue"}, "Content-Length": {"7"}, "Transfer-Encoding": {"chunked"},
		"Keep-Alive": {"9"}, "Trailer": {"X"}, "Host": {"evil"}, "Http2-Settings": {"9"}, "X-Forwarded-Ssl": {"on"}, "Proxy-Authorization": {"9"},
		"X-Forwarded-For": {"6.6.6.6"},
	})
	r.Extra = []origin.Field{{Name: "X-Request-Id", Value: "ours"}, {Name: "x-forwarded-for", Value: "1.2.3.4"}}
	read(t, tr, r)
	want := "GET / HTTP/1.1\r\nHost: shop.example.com\r\nAccept: a\r\nAccept: b\r\nContent-Type: text/a\r\nCookie: a=1; b=2\r\n" +
		"X-Forwarded-For: 1.2.3.4\r\nX-Request-Id: ours\r\n\r\n"
	if diff := cmp.Diff(want, <-heads); diff != "" {
		t.Error(diff)
	}
}

func TestHeaderThatMembersGetOverHTTP2(t *testing.T) {
	got := make(chan *http.Request, 1)
	tr, _ := server(t, "unix", origin.Options{HTTP2: true}, func(w http.ResponseWriter, r *http.Request) { got <- r })
	r := get("/x")
	r.Upgrade = "websocket"
	r.Header = origin.HeaderFields(http.Header{"Accept": {"a"}, "Te": {"trailers"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Cookie": {"a=1", "b=2"}})
	read(t, tr, r)
	in := <-got
	want := http.Header{"Accept": {"a"}, "Cookie": {"a=1; b=2"}}
	if diff := cmp.Diff(want, in.Header); diff != "" || in.Host != r.Host {
		t.Errorf("host %q\n%s", in.Host, diff)
	}
}

func TestBodyAndItsLength(t *testing.T) {
	each(t, func(t *testing.T, o origin.Options) {
		tr, _ := server(t, "unix", o, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil || r.ContentLength >= 0 && r.ContentLength != int64(len(b)) {
				t.Errorf("body of %d bytes, length %d, %v", len(b), r.ContentLength, err)
			}
			w.Header().Set("X-Length", http.CanonicalHeaderKey(strings.Join(r.TransferEncoding, ",")))
			w.Write(b)
		})
		large := strings.Repeat("0123456789abcdef", 1<<16)
		for _, r := range []*origin.Request{post("x"), post(large), {Method: "POST", Host: "h", Body: strings.NewReader(large), ContentLength: -1}} {
			size := r.ContentLength
			want := large
			if size == 1 {
				want = "x"
			}
			resp, got := read(t, tr, r)
			if got != want {
				t.Errorf("length %d: %d bytes came back, want %d", size, len(got), len(want))
			}
			if chunked := resp.Header.Get("X-Length") == "Chunked"; chunked != (size < 0 && !o.HTTP2) {
				t.Errorf("length %d: chunked is %v", size, chunked)
			}
		}
		empty := get("/")
		empty.Method, empty.Body = "POST", http.NoBody
		if _, got := read(t, tr, empty); got != "" {
			t.Errorf("an empty body came back as %q", got)
		}
	})
}

func TestUnfitRequestsAreNotSent(t *testing.T) {
	tr := scripted(t, "unix", origin.Options{}, func(p *peer) { t.Error("there was a connection") })
	for _, r := range []origin.Request{
		{Method: "GE T", Host: "h", URI: "/"},
		{Method: "GET", Host: "h", URI: "x"},
		{Method: "GET", Host: "h", URI: "/a b"},
		{Method: "GET", Host: "h\r\nX: y", URI: "/"},
		{Method: "GET", Host: "", URI: "/"},
		{Method: "GET", Host: "h", URI: "/\r\nX: y"},
	} {
		wants(t, fails(t, tr, &r), origin.KindBadRequest, true, "")
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range targets {
		f.Add(s, "X-A", "v")
	}
	heads := make(chan string, 1)
	tr := scripted(f, "unix", origin.Options{}, func(p *peer) {
		for h := p.head(); h != ""; h = p.head() {
			heads <- h
			p.send(ok)
		}
	})
	f.Fuzz(func(t *testing.T, uri, name, value string) {
		r := get(uri)
		r.Header = origin.HeaderFields(http.Header{name: {value}})
		resp, err := tr.Do(t.Context(), r)
		if err != nil {
			wants(t, asError(t, err), origin.KindBadRequest, true, "")
			return
		}
		resp.Body.Close()
		line, rest, _ := strings.Cut(<-heads, "\r\n")
		got := strings.TrimSuffix(strings.TrimPrefix(line, "GET "), " HTTP/1.1")
		if uri == "" {
			uri = "/"
		}
		if got != uri && !strings.HasPrefix(uri, "//") {
			t.Errorf("target %q was sent as %q", uri, got)
		}
		if n := strings.Count(rest, "\r\n"); n > 3 || strings.ContainsAny(got, " \r\n") {
			t.Errorf("%q %q %q: the head is %q", uri, name, value, rest)
		}
	})
}

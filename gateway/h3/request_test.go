package h3_test

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/h3"
	"headgate/gateway/wire"
)

// echoed is what a handler has seen.
type echoed struct {
	wire.Request
	Body string
	Err  string
}

// echo hands what it sees to a channel.
func echo(seen chan<- echoed) handlerFunc {
	return func(s wire.Stream, r *wire.Request) {
		e := echoed{Request: *r}
		e.Fields = append(wire.Fields(nil), r.Fields...)
		b, err := io.ReadAll(s)
		if e.Body = string(b); err != nil {
			e.Err = err.Error()
		}
		seen <- e
		answer(s, 200, e.Body)
	}
}

func TestRequestIsAsItCame(t *testing.T) {
	seen := make(chan echoed, 1)
	s := start(t, h3.Settings{}, echo(seen))
	c := s.dial(nil)
	h := head{
		{":method", "PATCH"},
		{":authority", "localhost:8443"},
		{":scheme", "HTTPS"},
		{":path", "/a%2Fb?q=1#f"},
		{"x-second", "2"},
		{"cookie", "a=1"},
		{"accept", ""},
		{"x-first", "\xff 1"},
		{"cookie", "b=2"},
		{"x-second", "22"},
	}
	got := read(raw(t, c, true, join(frame(0x21, []byte("grease")), h.frame(), data("some "), frame(0x40, nil), data(""), data("body"), frame(1, head{{"x-trailer", "t"}}.block()))))
	if got.err != nil || got.status() != 200 || got.body != "some body" {
		t.Errorf("got %+v, want 200 and the body", got)
	}
	want := echoed{Body: "some body", Request: wire.Request{
		Method: "PATCH", Target: "/a%2Fb?q=1#f", Host: "localhost:8443", Scheme: "https", Major: 3, ContentLength: -1,
		Fields: wire.Fields{
			{Name: "x-second", Value: "2"}, {Name: "cookie", Value: "a=1; b=2"}, {Name: "accept"}, {Name: "x-first", Value: "\xff 1"}, {Name: "x-second", Value: "22"},
		},
	}}
	if d := cmp.Diff(want, <-seen); d != "" {
		t.Error(d)
	}
}

func TestLengthOfBody(t *testing.T) {
	seen := make(chan echoed, 1)
	s := start(t, h3.Settings{}, echo(seen))
	c := s.dial(nil)
	for _, test := range []struct {
		name   string
		send   []byte
		length int64
		body   string
		err    string
	}{
		{"none", getHead().frame(), 0, "", ""},
		{"declared", join(postHead([2]string{"content-length", "3"}).frame(), data("a"), data("bc")), 3, "abc", ""},
		{"declared twice", join(postHead([2]string{"content-length", "3"}, [2]string{"content-length", "3"}).frame(), data("abc")), 3, "abc", ""},
		{"declared zero", postHead([2]string{"content-length", "0"}).frame(), 0, "", ""},
		{"not declared", join(postHead().frame(), data("abc")), -1, "abc", ""},
		{"too short", join(postHead([2]string{"content-length", "3"}).frame(), data("ab")), 3, "ab", "1 bytes of the declared length are missing: unexpected EOF"},
		{"nothing", postHead([2]string{"content-length", "3"}).frame(), 3, "", "3 bytes of the declared length are missing: unexpected EOF"},
		{"too long", join(postHead([2]string{"content-length", "3"}).frame(), data("ab"), data("cd")), 3, "ab", "the body is longer than its declared length"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := read(raw(t, c, true, test.send))
			e := <-seen
			if e.ContentLength != test.length || e.Body != test.body || e.Err != test.err {
				t.Errorf("the handler got length %d, body %q, error %q; want %d, %q, %q", e.ContentLength, e.Body, e.Err, test.length, test.body, test.err)
			}
			if got.err != nil || got.body != test.body {
				t.Errorf("the client got %+v", got)
			}
		})
	}
}

func TestEchoOverHTTP3(t *testing.T) {
	seen := make(chan echoed, 1)
	s := start(t, h3.Settings{}, echo(seen))
	c := s.client()
	for _, size := range []int{0, 1, 1000, 5000, 100_000, 3 << 20} {
		text := strings.Repeat("x", size)
		resp, body := do(t, c, request(t, http.MethodPost, "/", strings.NewReader(text)))
		if resp.StatusCode != 200 || body != text || resp.ContentLength != int64(size) {
			t.Errorf("%d bytes: got %d with %d bytes, declared %d", size, resp.StatusCode, len(body), resp.ContentLength)
		}
		if e := <-seen; e.Body != text || e.Err != "" || e.ContentLength != int64(size) {
			t.Errorf("%d bytes: the handler got %d, error %q, declared %d", size, len(e.Body), e.Err, e.ContentLength)
		}
	}
}

func TestConnInfo(t *testing.T) {
	infos := make(chan h3.ConnInfo, 1)
	s := startWith(t, h3.Settings{}, func(i h3.ConnInfo) wire.Handler {
		infos <- i
		return handlerFunc(ok)
	})
	c := s.dial(nil)
	if got := read(raw(t, c, true, getHead().frame())); got.status() != 200 {
		t.Fatalf("got %+v", got)
	}
	i := recv(t, "the handler of the connection", infos)
	if got, want := i.Remote.String(), c.LocalAddr().String(); got != want {
		t.Errorf("Remote: got %s, want %s", got, want)
	}
	if got, want := i.Local.String(), s.Addr().String(); got != want {
		t.Errorf("Local: got %s, want %s", got, want)
	}
	if i.TLS == nil || i.TLS.ServerName != "localhost" || i.TLS.NegotiatedProtocol != "h3" || !i.TLS.HandshakeComplete {
		t.Errorf("TLS: got %+v", i.TLS)
	}
	if s.Open() != 1 || s.Accepted() != 1 {
		t.Errorf("got %d of %d connections, want 1 of 1", s.Open(), s.Accepted())
	}
	_ = c.CloseWithError(0x100, "")
	eventually(t, "the connection is counted out", func() bool { return s.Open() == 0 })
}

func TestContinue(t *testing.T) {
	read100 := make(chan struct{})
	s := start(t, h3.Settings{}, func(s wire.Stream, r *wire.Request) {
		if r.Target == "/refuse" {
			answer(s, 403, "no")
			return
		}
		<-read100
		b, _ := io.ReadAll(s)
		answer(s, 200, string(b))
	})
	c := s.dial(nil)
	expect := [2]string{"expect", "100-Continue"}
	st := raw(t, c, false, postHead(expect).frame())
	close(read100)
	// the client sends the body only when it was told to
	h := make([]byte, 3)
	if _, err := io.ReadFull(st, h); err != nil || h[0] != 1 {
		t.Fatalf("got %x, %v; want the head of an interim answer", h, err)
	}
	if _, err := io.ReadFull(st, make([]byte, int(h[1])<<8&0x3fff+int(h[2]))); err != nil {
		t.Fatal(err)
	}
	_, _ = st.Write(data("body"))
	_ = st.Close()
	if got := read(st); got.body != "body" || len(got.heads) != 1 {
		t.Errorf("got %+v", got)
	}
	refused := postHead(expect)
	refused[3][1] = "/refuse"
	if got := read(raw(t, c, false, refused.frame())); got.status() != 403 || len(got.heads) != 1 {
		t.Errorf("a body that nobody reads: got %+v, want 403 alone", got)
	}
}

func TestInterim(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		for _, status := range []int{103, 101, 200} { // the last two cannot be interim answers
			if err := s.Interim(status, wire.Fields{{Name: "Link", Value: "</a>"}, {Name: "Connection", Value: "x"}}); err != nil {
				t.Error(err)
			}
		}
		answer(s, 200, "ok")
		if err := s.Interim(103, nil); err != nil {
			t.Error(err)
		}
	})
	var codes []int
	var link string
	r := request(t, http.MethodGet, "/", nil)
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		codes = append(codes, code)
		link = h.Get("Link")
		return nil
	}}))
	resp, body := do(t, s.client(), r)
	if !cmp.Equal(codes, []int{103}) || link != "</a>" || resp.StatusCode != 200 || body != "ok" || resp.Header.Get("Link") != "" {
		t.Errorf("got %v with %q, then %d %q", codes, link, resp.StatusCode, body)
	}
}

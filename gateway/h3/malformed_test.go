package h3_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"headgate/gateway/h3"
	"headgate/gateway/wire"
)

func without(name string) head {
	var h head
	for _, f := range getHead() {
		if f[0] != name {
			h = append(h, f)
		}
	}
	return h
}

func with(name, value string) head {
	h := getHead()
	for i := range h {
		if h[i][0] == name {
			h[i][1] = value
			return h
		}
	}
	return append(h, [2]string{name, value})
}

func TestMalformedRequests(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, r *wire.Request) {
		t.Errorf("it was served: %+v", *r)
	})
	c := s.dial(nil)
	for name, h := range map[string]head{
		"no method":            without(":method"),
		"empty method":         with(":method", ""),
		"bad method":           with(":method", "G ET"),
		"no scheme":            without(":scheme"),
		"no path":              without(":path"),
		"empty path":           with(":path", ""),
		"path is no path":      with(":path", "index.html"),
		"absolute path":        with(":path", "https://localhost/"),
		"asterisk of GET":      with(":path", "*"),
		"space in the path":    with(":path", "/a b"),
		"no authority":         without(":authority"),
		"empty authority":      with(":authority", ""),
		"user in authority":    with(":authority", "me@localhost"),
		"host disagrees":       with("host", "other"),
		"two hosts":            append(with("host", "localhost"), [2]string{"host", "localhost"}),
		"status":               append(head{{":status", "200"}}, getHead()...),
		"protocol":             append(head{{":protocol", "websocket"}}, getHead()...),
		"unknown pseudo":       append(head{{":x", "1"}}, getHead()...),
		"pseudo twice":         append(head{{":path", "/"}}, getHead()...),
		"pseudo behind fields": append(head{{"accept", "*/*"}}, getHead()...),
		"connection":           with("connection", "close"),
		"keep-alive":           with("keep-alive", "1"),
		"proxy-connection":     with("proxy-connection", "close"),
		"transfer-encoding":    with("transfer-encoding", "chunked"),
		"upgrade":              with("upgrade", "websocket"),
		"te":                   with("te", "gzip"),
		"upper case":           with("X-Upper", "1"),
		"bad name":             with("x y", "1"),
		"empty name":           with("", "1"),
		"colon alone":          append(head{{":", "1"}}, getHead()...),
		"line end in value":    with("x-a", "a\r\nb"),
		"NUL in value":         with("x-a", "a\x00"),
		"space before value":   with("x-a", " a"),
		"tab behind value":     with("x-a", "a\t"),
		"two lengths":          append(with("content-length", "1"), [2]string{"content-length", "2"}),
		"negative length":      with("content-length", "-1"),
		"signed length":        with("content-length", "+1"),
		"empty length":         with("content-length", ""),
		"list of lengths":      with("content-length", "1, 1"),
		"huge length":          with("content-length", "9223372036854775808"),
		"CONNECT with path":    with(":method", "CONNECT"),
		"CONNECT to nowhere":   {{":method", "CONNECT"}},
	} {
		if got := read(raw(t, c, true, h.frame())); code(got.err) != "stream 0x10e" {
			t.Errorf("%s: got %s with %+v, want H3_MESSAGE_ERROR", name, code(got.err), got)
		}
	}
	if c.Context().Err() != nil {
		t.Error("the connection was closed")
	}
}

func TestUnusualRequests(t *testing.T) {
	seen := make(chan echoed, 1)
	s := start(t, h3.Settings{}, echo(seen))
	c := s.dial(nil)
	for name, test := range map[string]struct {
		send head
		want string
	}{
		"host in place of authority": {append(without(":authority"), [2]string{"host", "h:1"}), "GET https h:1 / [{host h:1}]"},
		"both":                       {with("host", "localhost"), "GET https localhost / [{host localhost}]"},
		"asterisk":                   {append(head{{":method", "OPTIONS"}, {":path", "*"}}, without(":path")[1:]...), "OPTIONS https localhost * []"},
		"http":                       {with(":scheme", "http"), "GET http localhost / []"},
		"CONNECT":                    {head{{":method", "CONNECT"}, {":authority", "other:443"}}, "CONNECT  other:443  []"},
		"te":                         {with("te", "trailers"), "GET https localhost / [{te trailers}]"},
		"underscore":                 {with("x_a", "1"), "GET https localhost / [{x_a 1}]"},
	} {
		if got := read(raw(t, c, true, test.send.frame())); got.status() != 200 {
			t.Fatalf("%s: got %+v", name, got)
		}
		e := <-seen
		if got := fmt.Sprint(e.Method, " ", e.Scheme, " ", e.Host, " ", e.Target, " ", e.Fields); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// TestBrokenFraming: what breaks the framing, or comes on the wrong stream, ends the connection.
func TestBrokenFraming(t *testing.T) {
	s := start(t, h3.Settings{}, func(s wire.Stream, r *wire.Request) {
		buf := make([]byte, 100)
		for {
			if _, err := s.Read(buf); err != nil {
				break
			}
		}
		answer(s, 200, "ok")
	})
	ok := getHead().frame()
	for name, test := range map[string]struct {
		send []byte
		want string
	}{
		"data first":           {data("x"), "0x105"},
		"settings":             {frame(4, nil), "0x105"},
		"goaway":               {frame(7, []byte{0}), "0x105"},
		"priority":             {frame(0xf0700, []byte{0, 'u', '=', '1'}), "0x105"},
		"push promise":         {frame(5, []byte{0, 0, 0}), "0x105"},
		"a frame of HTTP/2":    {frame(8, []byte{0}), "0x105"},
		"settings in body":     {join(ok, frame(4, nil)), "0x105"},
		"data behind trailers": {join(ok, frame(1, head{{"a", "b"}}.block()), data("x")), "0x105"},
		"third head":           {join(ok, frame(1, head{{"a", "b"}}.block()), frame(1, head{{"a", "b"}}.block())), "0x105"},
		"cut head":             {ok[:len(ok)-1], "0x106"},
		"cut type":             {[]byte{0x40}, "0x106"},
		"cut length":           {[]byte{1}, "0x106"},
		"cut unknown":          {[]byte{0x21, 5, 1}, "0x106"},
		"cut data":             {join(ok, []byte{0, 5, 'x'}), "0x106"},
		"cut head of data":     {join(ok, []byte{0}), "0x106"},
		"cut trailers":         {join(ok, []byte{1, 5, 0}), "0x106"},
		"cut unknown in body":  {join(ok, []byte{0x21, 5, 1}), "0x106"},
		"empty block":          {frame(1, nil), "0x200"},
		"dynamic table":        {frame(1, []byte{0, 0, 0x80}), "0x200"},
		"insert count":         {frame(1, []byte{1, 0, 0xd1}), "0x200"},
		"beyond the table":     {frame(1, []byte{0, 0, 0xff, 0x24}), "0x200"},
		"endless integer":      {frame(1, append([]byte{0, 0, 0xff}, bytes.Repeat([]byte{0xff}, 20)...)), "0x200"},
		"cut string":           {frame(1, []byte{0, 0, 0x51, 5, 'a'}), "0x200"},
		"bad Huffman":          {frame(1, []byte{0, 0, 0x51, 0x81, 0}), "0x200"},
		"bad trailers":         {join(ok, frame(1, []byte{0, 0, 0x80})), "0x200"},
	} {
		c := s.dial(nil)
		st := raw(t, c, true, test.send)
		if got := read(st); code(got.err) != "connection "+test.want {
			t.Errorf("%s: got %s with %+v, want %s", name, code(got.err), got, test.want)
		}
	}
}

func TestStreamsThatAreNoRequest(t *testing.T) {
	s := start(t, h3.Settings{}, ok)
	c := s.dial(nil)
	for name, b := range map[string][]byte{"nothing": {0x21, 0}, "empty": nil} {
		if got := read(raw(t, c, true, b)); code(got.err) != "stream 0x10d" {
			t.Errorf("%s: got %s, want H3_REQUEST_INCOMPLETE", name, code(got.err))
		}
	}
	st := raw(t, c, false, getHead().frame()[:5])
	st.CancelWrite(0x10c)
	if got := read(st); code(got.err) != "stream 0x10d" {
		t.Errorf("reset: got %s, want H3_REQUEST_INCOMPLETE", code(got.err))
	}
	if got := read(raw(t, c, true, getHead().frame())); got.status() != 200 {
		t.Errorf("the connection does not go on: %+v", got)
	}
}

func TestBadTrailers(t *testing.T) {
	errs := make(chan error, 1)
	s := start(t, h3.Settings{Fields: 10}, func(s wire.Stream, _ *wire.Request) {
		var err error
		for buf := make([]byte, 10); err == nil; {
			_, err = s.Read(buf)
		}
		errs <- err
		answer(s, 400, "bad")
	})
	c := s.dial(nil)
	for name, trailers := range map[string]head{"pseudo": {{":path", "/"}}, "upper case": {{"A", "b"}}, "many": make(head, 11)} {
		for i := range trailers {
			if trailers[i][0] == "" {
				trailers[i] = [2]string{"a", "b"}
			}
		}
		got := read(raw(t, c, true, join(postHead().frame(), data("x"), frame(1, trailers.block()))))
		if err := <-errs; !strings.Contains(err.Error(), "trailers") && !strings.Contains(err.Error(), "name") || got.status() != 400 {
			t.Errorf("%s: got %v and %+v", name, err, got)
		}
	}
}

func TestControlStream(t *testing.T) {
	s := start(t, h3.Settings{}, ok)
	settings := []byte{4, 0}
	for name, test := range map[string]struct {
		send [][]byte // each on a stream of its own
		end  bool
		want string // "": the connection goes on
	}{
		"good":                  {[][]byte{join([]byte{0}, frame(4, []byte{6, 0x40, 100, 1, 0, 0x21, 9}), frame(0x21, []byte("grease")), frame(7, []byte{4}), frame(7, []byte{0}), frame(0xd, []byte{1}), frame(0xf0700, []byte("\x00u=1, i"))), {2}, {3}}, false, ""},
		"unknown":               {[][]byte{{0x21, 1, 2}}, true, ""},
		"QPACK":                 {[][]byte{{0, 4, 0}, {2, 0x20}, {3, 0x40}}, false, ""},
		"no settings":           {[][]byte{{0, 7, 1, 0}}, false, "0x10a"},
		"settings twice":        {[][]byte{join([]byte{0}, settings, settings)}, false, "0x105"},
		"setting twice":         {[][]byte{{0, 4, 4, 6, 0, 6, 0}}, false, "0x109"},
		"setting of HTTP/2":     {[][]byte{{0, 4, 2, 2, 0}}, false, "0x109"},
		"cut setting":           {[][]byte{{0, 4, 1, 6}}, false, "0x106"},
		"many settings":         {[][]byte{{0, 4, 0x60, 0}}, false, "0x107"},
		"closed":                {[][]byte{{0, 4, 0}}, true, "0x104"},
		"closed inside":         {[][]byte{{0, 4, 0, 0x21, 9, 1}}, true, "0x104"},
		"second control":        {[][]byte{{0, 4, 0}, {0, 4, 0}}, false, "0x103"},
		"second encoder":        {[][]byte{{2}, {2}}, false, "0x103"},
		"push":                  {[][]byte{{1, 0}}, false, "0x103"},
		"data":                  {[][]byte{join([]byte{0}, settings, data("x"))}, false, "0x105"},
		"headers":               {[][]byte{join([]byte{0}, settings, getHead().frame())}, false, "0x105"},
		"a frame of HTTP/2":     {[][]byte{join([]byte{0}, settings, frame(6, nil))}, false, "0x105"},
		"cancel push":           {[][]byte{join([]byte{0}, settings, frame(3, []byte{0}))}, false, "0x108"},
		"goaway grows":          {[][]byte{join([]byte{0}, settings, frame(7, []byte{0}), frame(7, []byte{4}))}, false, "0x108"},
		"max push id shrinks":   {[][]byte{join([]byte{0}, settings, frame(0xd, []byte{4}), frame(0xd, []byte{0}))}, false, "0x108"},
		"goaway of two":         {[][]byte{join([]byte{0}, settings, frame(7, []byte{0, 0}))}, false, "0x106"},
		"goaway too long":       {[][]byte{join([]byte{0}, settings, frame(7, make([]byte, 9)))}, false, "0x106"},
		"empty goaway":          {[][]byte{join([]byte{0}, settings, frame(7, nil))}, false, "0x106"},
		"priority of a push":    {[][]byte{join([]byte{0}, settings, frame(0xf0701, []byte{0}))}, false, "0x108"},
		"priority of no stream": {[][]byte{join([]byte{0}, settings, frame(0xf0700, []byte{3}))}, false, "0x108"},
		"empty priority":        {[][]byte{join([]byte{0}, settings, frame(0xf0700, nil))}, false, "0x106"},
		"long priority":         {[][]byte{join([]byte{0}, settings, frame(0xf0700, make([]byte, 2000)))}, false, "0x107"},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial(nil)
			for _, b := range test.send {
				u, err := c.OpenUniStream()
				if err != nil {
					t.Fatal(err)
				}
				if _, err = u.Write(b); err == nil && test.end {
					err = u.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if test.want == "" {
				if got := read(raw(t, c, true, getHead([2]string{"priority", "u=5, i"}).frame())); got.status() != 200 {
					t.Errorf("got %+v", got)
				}
				return
			}
			recv(t, "the end of the connection", c.Context().Done())
			if got := code(context.Cause(c.Context())); got != "connection "+test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestManyUnknownStreams: streams that are not known do not use up what a client may open.
func TestManyUnknownStreams(t *testing.T) {
	s := start(t, h3.Settings{}, ok)
	c := s.dial(nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := range 50 {
		u, err := c.OpenUniStreamSync(ctx)
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		_, _ = u.Write([]byte{0x21, 0})
		_ = u.Close()
	}
}

func TestLimitsOfHead(t *testing.T) {
	refusals := make(chan *wire.Refusal, 1)
	s := start(t, h3.Settings{HeadBytes: 10_000, Fields: 50}, func(s wire.Stream, r *wire.Request) {
		refusals <- r.Refusal
		if r.Refusal == nil {
			answer(s, 200, "ok")
			return
		}
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("a body was read")
		}
		answer(s, r.Refusal.Status, "refused")
	})
	c := s.dial(nil)
	many := getHead()
	for range 47 {
		many = append(many, [2]string{"x-a", "b"})
	}
	for name, test := range map[string]struct {
		send head
		kind string
	}{
		"in the limits":      {with("x-big", strings.Repeat("~", 6_000)), ""},
		"a long field":       {with("x-big", strings.Repeat("~", 10_000)), "header_bytes"},
		"well packed":        {with("x-big", strings.Repeat("a", 12_000)), "header_bytes"},
		"fields":             {many, "headers"},
		"just enough fields": {many[:50], ""},
	} {
		got := read(raw(t, c, true, test.send.frame()))
		r := recv(t, name, refusals)
		switch {
		case test.kind == "" && (r != nil || got.status() != 200):
			t.Errorf("%s: got %+v, refusal %v", name, got, r)
		case test.kind != "" && (r == nil || r.Kind != test.kind || r.Status != http.StatusRequestHeaderFieldsTooLarge || got.status() != r.Status || got.body != "refused"):
			t.Errorf("%s: got %+v, refusal %v", name, got, r)
		}
	}
	// what is too long is not awaited
	got := read(raw(t, c, false, join([]byte{1, 0x80, 0x10, 0, 0}, make([]byte, 100))))
	if r := recv(t, "the refusal", refusals); r == nil || r.Kind != "header_bytes" || got.status() != 431 {
		t.Errorf("got %+v, refusal %v", got, r)
	}
}

func TestHeadTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, h3.Settings{HeaderTimeout: 200 * time.Millisecond}, ok)
	c := s.dial(&quic.Config{KeepAlivePeriod: 50 * time.Millisecond})
	begin := time.Now()
	if got := read(raw(t, c, false, getHead().frame()[:5])); code(got.err) != "stream 0x10d" {
		t.Errorf("got %s, want H3_REQUEST_INCOMPLETE", code(got.err))
	}
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("it was given %s only", took)
	}
	if got := read(raw(t, c, true, getHead().frame())); got.status() != 200 {
		t.Errorf("the connection does not go on: %+v", got)
	}
}

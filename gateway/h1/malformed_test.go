package h1_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"headgate/gateway/wire"
)

// TestMalformed: each is answered through the Handler, with a refusal that says
// why, and ends the connection. Behind each a request is sent that must not run.
func TestMalformed(t *testing.T) {
	t.Parallel()
	var smuggled atomic.Bool
	s := start(t, func(s wire.Stream, r *wire.Request) {
		if strings.Contains(r.Target, "smuggled") && r.Refusal == nil {
			smuggled.Store(true)
		}
		echo(s, r)
	})
	const host = "Host: a\r\n"
	line := func(l string) string { return l + "\r\n" + host + "\r\n" }
	field := func(f string) string { return "POST / HTTP/1.1\r\n" + host + f + "\r\n\r\n" }
	for _, row := range []struct {
		name, raw string
		status    int
		part      string
	}{
		{"no version", line("GET /"), 400, "first line"},
		{"no target", line("GET HTTP/1.1"), 400, "first line"},
		{"empty target", line("GET  HTTP/1.1"), 400, "first line"},
		{"two spaces behind the method", line("GET  / HTTP/1.1"), 400, "first line"},
		{"two spaces before the version", line("GET /  HTTP/1.1"), 400, "first line"},
		{"space behind the version", line("GET / HTTP/1.1 "), 400, "first line"},
		{"space before the method", line(" GET / HTTP/1.1"), 400, "first line"},
		{"tab for a space", line("GET\t/ HTTP/1.1"), 400, "first line"},
		{"four words", line("GET / x HTTP/1.1"), 400, "first line"},
		{"bad method", line("G@T / HTTP/1.1"), 400, "first line"},
		{"method with a colon", line("GET: / HTTP/1.1"), 400, "first line"},
		{"method of other letters", line("GÉT / HTTP/1.1"), 400, "first line"},
		{"lower case version", line("GET / http/1.1"), 400, "version"},
		{"version of another protocol", line("GET / SIP/1.1"), 400, "version"},
		{"version with more digits", line("GET / HTTP/1.10"), 400, "version"},
		{"version without minor", line("GET / HTTP/1"), 400, "version"},
		{"version with a comma", line("GET / HTTP/1,1"), 400, "version"},
		{"version of letters", line("GET / HTTP/x.y"), 400, "version"},
		{"sign in the version", line("GET / HTTP/+1.1"), 400, "version"},
		{"version 0.9", line("GET / HTTP/0.9"), 505, "HTTP/0.9"},
		{"version 2.0", line("GET / HTTP/2.0"), 505, "HTTP/2.0"},
		{"version 3.0", line("GET / HTTP/3.0"), 505, "HTTP/3.0"},
		{"version 9.9", line("GET / HTTP/9.9"), 505, "HTTP/9.9"},
		{"NUL in the target", line("GET /\x00 HTTP/1.1"), 400, "control"},
		{"tab in the target", line("GET /a\tb HTTP/1.1"), 400, "control"},
		{"DEL in the target", line("GET /0123456789\x7f HTTP/1.1"), 400, "control"},
		{"CR in the target", line("GET /a\rb HTTP/1.1"), 400, "control"},
		{"CR in the line", line("GET / HTTP/1.1\r"), 400, "version"},
		{"asterisk of GET", line("GET * HTTP/1.1"), 400, "OPTIONS"},
		{"asterisk and more", line("OPTIONS *x HTTP/1.1"), 400, "neither"},
		{"relative target", line("GET x HTTP/1.1"), 400, "neither"},
		{"authority form of GET", line("GET a:80 HTTP/1.1"), 400, "neither"},
		{"query alone", line("GET ?x HTTP/1.1"), 400, "neither"},
		{"one slash", line("GET http:/x HTTP/1.1"), 400, "neither"},
		{"no host in the target", line("GET http:///x HTTP/1.1"), 400, "no host"},
		{"no host but a query", line("GET http://?x HTTP/1.1"), 400, "no host"},
		{"other scheme", line("GET ftp://a/ HTTP/1.1"), 400, "scheme"},
		{"no scheme", line("GET ://a/ HTTP/1.1"), 400, "scheme"},
		{"hosts that disagree", line("GET http://b/ HTTP/1.1"), 400, "do not agree"},
		{"ports that disagree", line("GET http://a:81/ HTTP/1.1"), 400, "do not agree"},
		{"user in the target", line("GET http://me@a/ HTTP/1.1"), 400, "do not agree"},
		{"garbage", "\x00\x01\x02\x03\r\n\r\n", 400, "first line"},
		{"garbage without end", "\xff\xfe\xfd", 400, "first line"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "speaks TLS"},
		{"SSH", "SSH-2.0-OpenSSH_9.6\r\n", 400, "first line"},
		{"three empty lines", "\r\n\r\n\r\n" + get("/"), 400, "first line"},
		{"bare LF in the line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "CR and LF"},
		{"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "CR and LF"},
		{"bare LF everywhere", "GET / HTTP/1.1\nHost: a\n\n", 400, "CR and LF"},
		{"empty line of LF", "\n" + get("/"), 400, "not valid"},
		{"bare LF in the header", field("X-A: b\nX-B: c"), 400, "CR and LF"},
		{"bare LF that hides a field", field("X-A: b\nContent-Length: 5"), 400, "CR and LF"},
		{"bare CR in a value", field("X-A: b\rContent-Length: 5"), 400, "control"},
		{"CR CR LF", field("X-A: b\r"), 400, "control"},
		{"NUL in a value", field("X-A: a\x00b"), 400, "control"},
		{"control in a long value", field("X-A: 0123456789abcdef\x1f0123456789"), 400, "control"},
		{"DEL in a value", field("X-A: \x7f"), 400, "control"},
		{"ESC in a value", field("X-A: \x1b[1m"), 400, "control"},
		{"folded by a space", field("X-A: a\r\n b"), 400, "folded"},
		{"folded by a tab", field("X-A: a\r\n\tb"), 400, "folded"},
		{"folded first line", "POST / HTTP/1.1\r\n x: y\r\n" + host + "\r\n", 400, "folded"},
		{"folded coding", field("Transfer-Encoding:\r\n chunked"), 400, "not valid"},
		{"space before the colon", field("X-A : b"), 400, "colon"},
		{"tab before the colon", field("Content-Length\t: 5"), 400, "colon"},
		{"no colon", field("X-A"), 400, "no colon"},
		{"no name", field(": x"), 400, "no valid name"},
		{"space in the name", field("X A: b"), 400, "no valid name"},
		{"NUL in the name", field("X\x00A: b"), 400, "no valid name"},
		{"quote in the name", field("\"X-A\": b"), 400, "no valid name"},
		{"other letters in the name", field("Ünder: b"), 400, "no valid name"},
		{"brackets in the name", field("X[A]: b"), 400, "no valid name"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, "needs a Host"},
		{"two hosts", field("Host: b"), 400, "more than one Host"},
		{"the same host twice", field("hOST: a"), 400, "more than one Host"},
		{"two hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "more than one Host"},
		{"negative length", field("Content-Length: -1"), 400, "length"},
		{"length with a plus", field("Content-Length: +5"), 400, "length"},
		{"length of letters", field("Content-Length: 0x5"), 400, "length"},
		{"empty length", field("Content-Length:"), 400, "length"},
		{"length with a point", field("Content-Length: 5.0"), 400, "length"},
		{"length with a space", field("Content-Length: 1 0"), 400, "length"},
		{"list of lengths", field("Content-Length: 5, 5"), 400, "length"},
		{"two lengths", field("Content-Length: 5\r\nContent-Length: 6"), 400, "length"},
		{"two spellings of a length", field("Content-Length: 5\r\nContent-Length: 05"), 400, "length"},
		{"a length and an empty one", field("Content-Length: 5\r\nContent-Length:"), 400, "length"},
		{"huge length", field("Content-Length: 9223372036854775808"), 400, "length"},
		{"very huge length", field("Content-Length: 99999999999999999999999999"), 400, "length"},
		{"other digits", field("Content-Length: ５"), 400, "length"},
		{"length and coding", field("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400, "both"},
		{"coding and length", field("Transfer-Encoding: chunked\r\nContent-Length: 5"), 400, "both"},
		{"coding and length zero", field("Transfer-Encoding: chunked\r\nContent-Length: 0"), 400, "both"},
		{"two codings", field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400, "more than one"},
		{"coding and identity", field("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), 400, "more than one"},
		{"list of codings", field("Transfer-Encoding: gzip, chunked"), 400, "chunked"},
		{"chunked twice", field("Transfer-Encoding: chunked, chunked"), 400, "chunked"},
		{"chunked with more", field("Transfer-Encoding: chunked;q=1"), 400, "chunked"},
		{"xchunked", field("Transfer-Encoding: xchunked"), 400, "chunked"},
		{"vertical tab in the coding", field("Transfer-Encoding: \x0bchunked"), 400, "control"},
		{"empty coding", field("Transfer-Encoding:"), 400, "Transfer-Encoding"},
		{"identity", field("Transfer-Encoding: identity"), 501, "not known"},
		{"gzip", field("Transfer-Encoding: gzip"), 501, "not known"},
		{"coding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"},
		{"long line", "GET /" + strings.Repeat("x", 40<<10), 414, "first line"},
		{"long line with an end", line("GET /" + strings.Repeat("x", 40<<10) + " HTTP/1.1"), 414, "first line"},
		{"long value", field("X-A: " + strings.Repeat("x", 40<<10)), 431, "32768 bytes"},
		{"long name", field(strings.Repeat("x", 40<<10)), 431, "32768 bytes"},
		{"endless header", "GET / HTTP/1.1\r\n" + strings.Repeat("X-A: 0123456789\r\n", 4000), 431, "32768 bytes"},
		{"many fields", field(strings.Repeat("X: y\r\n", 50) + "X: y"), 431, "50 fields"},
	} {
		for name, write := range map[string]func(*client){
			"": func(c *client) { c.send(row.raw + get("/smuggled")) },
			" in bytes": func(c *client) {
				if len(row.raw) > 200 {
					c.send(row.raw + get("/smuggled"))
					return
				}
				for i := range len(row.raw) {
					if _, err := c.Write([]byte{row.raw[i]}); err != nil {
						return // it was refused before
					}
				}
			},
		} {
			t.Run(row.name+name, func(t *testing.T) {
				c := s.dial()
				c.t = t
				write(c)
				got := c.next(http.MethodPost)
				if got.StatusCode != row.status || !strings.Contains(got.body, row.part) || !got.Close {
					t.Errorf("got %d %q (closes: %v), want %d with %q", got.StatusCode, got.body, got.Close, row.status, row.part)
				}
				c.wantEnd()
			})
		}
	}
	if smuggled.Load() {
		t.Error("what came behind a refused request was served")
	}
}

// TestAccepted: what must not be refused, and what it means.
func TestAccepted(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	for _, row := range []struct{ name, raw, want string }{
		{"plain", get("/x?y"), `GET /x?y a HTTP/1.1 0 ""`},
		{"empty lines before", "\r\n\r\n" + get("/"), `GET / a HTTP/1.1 0 ""`},
		{"no space behind the colon", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", `GET / a HTTP/1.1 0 ""`},
		{"spaces around the value", "GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n", `GET / a HTTP/1.1 0 ""`},
		{"other case", "GET / HTTP/1.1\r\nhOsT: a\r\n\r\n", `GET / a HTTP/1.1 0 ""`},
		{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", `GET /  HTTP/1.1 0 ""`},
		{"empty value", "GET / HTTP/1.1\r\nHost: a\r\nX-A:\r\n\r\n", `GET / a HTTP/1.1 0 ""`},
		{"tab in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: a\tb345678\r\n\r\n", `GET / a HTTP/1.1 0 ""`},
		{"other letters in a value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: Köln und Ærø\r\n\r\n", `GET / a HTTP/1.1 0 ""`},
		{"other letters in the target", "GET /café HTTP/1.1\r\nHost: a\r\n\r\n", `GET /café a HTTP/1.1 0 ""`},
		{"any method", "m-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", `m-SEARCH / a HTTP/1.1 0 ""`},
		{"1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", `GET / a HTTP/1.1 0 ""`},
		{"1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", `GET /  HTTP/1.0 0 ""`},
		{"absolute", "GET http://A/x?y HTTP/1.1\r\nHost: a\r\n\r\n", `GET /x?y A HTTP/1.1 0 ""`},
		{"absolute without path", "GET HTTPS://a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", `GET / a:1 HTTP/1.1 0 ""`},
		{"absolute with a query", "GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", `GET /?q a HTTP/1.1 0 ""`},
		{"absolute in 1.0", "GET http://a/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", `GET / a HTTP/1.0 0 ""`},
		{"address in the query", "GET /?http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", `GET /?http://b/ a HTTP/1.1 0 ""`},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", `OPTIONS * a HTTP/1.1 0 ""`},
		{"length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", `POST / a HTTP/1.1 3 "abc"`},
		{"length with zeros", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0003\r\n\r\nabc", `POST / a HTTP/1.1 3 "abc"`},
		{"the same length twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", `POST / a HTTP/1.1 3 "abc"`},
		{"body of GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", `GET / a HTTP/1.1 3 "abc"`},
		{"body in 1.0", "POST / HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 3\r\n\r\nabc", `POST /  HTTP/1.0 3 "abc"`},
		{"empty body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", `POST / a HTTP/1.1 0 ""`},
		{"chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", `POST / a HTTP/1.1 -1 "abc"`},
		{"chunks, extensions, trailer", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0003;a=\"b\tc\"\r\nabc\r\na\r\n0123456789\r\n0;x\r\nX-A: b\r\nX-B:\r\n\r\n", `POST / a HTTP/1.1 -1 "abc0123456789"`},
		{"no chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", `POST / a HTTP/1.1 -1 ""`},
		{"unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: the-worst\r\nContent-Length: 1\r\n\r\nx", `POST / a HTTP/1.1 1 "x"`},
		{"underscores", "GET / HTTP/1.1\r\nHost: a\r\nX_A: b\r\n\r\n", `GET / a HTTP/1.1 0 ""`},
		{"50 fields", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 49) + "\r\n", `GET / a HTTP/1.1 0 ""`},
		{"long value", "GET / HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("x", 30<<10) + "\r\n\r\n", `GET / a HTTP/1.1 0 ""`},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := s.dial()
			c.t = t
			c.send(row.raw)
			c.want(200, row.want)
			for i := range len(row.raw) { // and again, in pieces
				if len(row.raw) > 1<<10 {
					break
				}
				c.send(row.raw[i : i+1])
			}
			if len(row.raw) <= 1<<10 {
				c.want(200, row.want)
			}
			c.send(row.raw + row.raw + get("/end")) // and as others behind each other
			c.want(200, row.want)
			c.want(200, row.want)
			c.want(200, "GET /end a")
		})
	}
}

func TestConnectIsTheGatewaysToRefuse(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	for _, target := range []string{"a:443", "/", "http://a/"} {
		c := s.dial()
		c.send("CONNECT " + target + " HTTP/1.1\r\nHost: a\r\n\r\n" + get("/smuggled"))
		if got := c.want(200, "CONNECT "+target+" a"); !got.Close {
			t.Error("the connection stays open")
		}
		c.wantEnd()
	}
}

// TestFieldsAreAsSent: order, names, and strings that live longer than the request.
func TestFieldsAreAsSent(t *testing.T) {
	t.Parallel()
	var kept []wire.Field
	s := start(t, func(s wire.Stream, r *wire.Request) {
		kept = append(kept, r.Fields...)
		say(s, 200, "")
	})
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\nx-B: 1\r\nx-a: 2\r\nX-b: \r\n\r\n")
	c.want(200, "")
	c.send("GET / HTTP/1.1\r\nHost: other\r\nx-other: " + strings.Repeat("y", 5000) + "\r\n\r\n")
	c.want(200, "")
	want := []wire.Field{{Name: "Host", Value: "a"}, {Name: "x-B", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "X-b", Value: ""}}
	if len(kept) != 6 {
		t.Fatalf("got %q", kept)
	}
	for i, f := range want {
		if kept[i] != f {
			t.Errorf("got %q, want %q", kept[i], f)
		}
	}
}

// TestSmallLimit: a head that is all there may still be too much.
func TestSmallLimit(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	o := defaults()
	o.HeadBytes = 100
	s.Configure(o)
	for head, status := range map[string]int{
		get("/"): 200, get("/" + strings.Repeat("x", 65)): 200, get("/" + strings.Repeat("x", 75)): 431, get("/" + strings.Repeat("x", 200)): 414,
		"POST / HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("x", 200) + "\r\n\r\n": 431,
	} {
		c := s.dial()
		c.send(head)
		c.want(status, "")
	}
}

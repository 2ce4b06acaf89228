package gateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"headgate/gateway/gatewaytest"
)

func TestHostIsOne(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	host := func(v ...string) (f [][2]string) {
		for _, s := range v {
			f = append(f, [2]string{"Host", s})
		}
		return f
	}
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		type row struct {
			name string
			head gatewaytest.Head
			want string // HTTP_HOST; "" for 400
		}
		rows := []row{
			{"plain", gatewaytest.Head{Authority: gatewaytest.Host}, gatewaytest.Host},
			{"port", gatewaytest.Head{Authority: gatewaytest.Host + ":8443"}, gatewaytest.Host + ":8443"},
			{"none", gatewaytest.Head{}, ""},
			{"two that disagree", gatewaytest.Head{Authority: gatewaytest.Host, Fields: host("evil.localhost")}, ""},
			{"bad byte", gatewaytest.Head{Authority: "a_b/c"}, ""},
			{"user", gatewaytest.Head{Authority: "me@" + gatewaytest.Host}, ""},
			{"bad port", gatewaytest.Head{Authority: gatewaytest.Host + ":99999"}, ""},
		}
		if c.Protocol.Major() == 1 {
			rows = append(rows,
				row{"absolute form", gatewaytest.Head{Target: "http://" + gatewaytest.Host + "/x?y", Authority: gatewaytest.Host}, gatewaytest.Host},
				row{"absolute form of another host", gatewaytest.Head{Target: "http://" + gatewaytest.Host + "/x?y", Authority: "other.localhost"}, ""},
				row{"absolute form without path", gatewaytest.Head{Target: "http://" + gatewaytest.Host, Authority: gatewaytest.Host}, gatewaytest.Host},
			)
		} else {
			rows = append(rows, row{"two that agree", gatewaytest.Head{Authority: gatewaytest.Host, Fields: host(gatewaytest.Host)}, gatewaytest.Host},
				row{"Host alone", gatewaytest.Head{Fields: host(gatewaytest.Host)}, gatewaytest.Host})
		}
		for _, row := range rows {
			got, err := c.Raw(row.head, "")
			switch {
			case row.want != "":
				if err != nil || got.Code != 200 {
					t.Errorf("%s: got %+v, %v", row.name, got, err)
					continue
				}
				checkEnv(t, w, map[string]string{"HTTP_HOST": row.want})
			case err != nil:
				if c.Protocol.Major() == 1 {
					t.Errorf("%s: no answer: %v", row.name, err)
				} // h2 and h3 may reset a malformed request (RFC 9113, 8.1.1)
			case got.Code != 400:
				t.Errorf("%s: got %d %q, want 400", row.name, got.Code, got.Body)
			}
		}
	})
}

// TestAuthorityAndHostDisagree is about the 400 with its page: h2 and h3 carry
// both.
func TestAuthorityAndHostDisagree(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		if c.Protocol.Major() == 1 {
			t.Skip("HTTP/1 has no authority beside Host")
		}
		if c.Protocol == gatewaytest.H3 { // a stream error H3_MESSAGE_ERROR (RFC 9114, 4.3.1)
			if _, err := c.Raw(gatewaytest.Head{Authority: gatewaytest.Host, Fields: [][2]string{{"host", "evil.localhost"}}}, ""); !errors.Is(err, gatewaytest.ErrReset) {
				t.Errorf("got %v, want a reset", err)
			}
			return
		}
		got, err := c.Raw(gatewaytest.Head{Authority: gatewaytest.Host, Fields: [][2]string{{"host", "evil.localhost"}, {"x-request-id", "disagree-" + c.Protocol.String()}}}, "")
		if err != nil || got.Code != 400 || !strings.Contains(got.Body, "do not agree") {
			t.Fatalf("got %+v, %v", got, err)
		}
		line := c.Gateway.Request("disagree-" + c.Protocol.String())
		if line.Number("status") != 400 || !strings.Contains(line.Text("err"), "do not agree") {
			t.Errorf("access log: %v", line)
		}
		if len(w.Requests()) != 0 {
			t.Error("a worker got the request")
		}
	})
}

func TestOnePathForRoutesAndWorkers(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	conf := before(w)
	conf.Routes = `{path: /admin/, respond: {status: 403, body: "no"}}, {mount: /blog, pool: app}, {pool: app}`
	gatewaytest.Each(t, conf.String(), func(t *testing.T, c *gatewaytest.Client) {
		for _, row := range []struct {
			target, script, path string
			code                 int
		}{
			{"/x", "", "/x", 200},
			{"/", "", "/", 200},
			{"//x///y/", "", "/x/y/", 200},
			{"/%61%2Fb", "", "/a/b", 200},
			{"/x/./y/../z", "", "/x/z", 200},
			{"/x/%2e%2e/z", "", "/z", 200},
			{"/100%25", "", "/100%", 200},
			{"/100%2541", "", "/100%41", 200}, // decoded once
			{"/a;b=c?d", "", "/a;b=c", 200},
			{"/?", "", "/", 200},
			{"/caf%C3%A9", "", "/café", 200},
			{"/%ff", "", "/\xff", 200},
			{"/blog", "/blog", "", 200},
			{"/blog/", "/blog", "/", 200},
			{"/blog/a%20b", "/blog", "/a b", 200},
			{"/blogger", "", "/blogger", 200},
			{"/x/../blog/y", "/blog", "/y", 200},
			{"/admin/x", "", "", 403},
			{"/%61dmin/x", "", "", 403},
			{"//admin//x", "", "", 403},
			{"/blog/../admin/x", "", "", 403},
			{"/blog/%2e%2e%2fadmin/x", "", "", 403},
			{"/admin%2fx", "", "", 403},
			{"/%", "", "", 400},
			{"/%zz", "", "", 400},
			{"/%00", "", "", 400},
			{"/..", "", "", 400},
			{"/a/../..", "", "", 400},
		} {
			n := len(w.Requests())
			got, err := c.Raw(gatewaytest.Head{Target: row.target, Authority: gatewaytest.Host}, "")
			if row.code == 400 && errors.Is(err, gatewaytest.ErrReset) {
				continue // malformed for the library of h2 or h3 (RFC 9113, 8.1.1)
			}
			if err != nil || got.Code != row.code {
				t.Errorf("%s: got %+v, %v, want %d", row.target, got, err, row.code)
				continue
			}
			if row.code != 200 {
				if len(w.Requests()) != n {
					t.Errorf("%s went to the worker", row.target)
				}
				continue
			}
			_, query, _ := strings.Cut(row.target, "?")
			checkEnv(t, w, map[string]string{"PATH_INFO": row.path, "SCRIPT_NAME": row.script, "REQUEST_URI": row.target, "QUERY_STRING": query})
		}
	})
}

// TestAbsoluteFormIsAsGoodAsOrigin: REQUEST_URI is the origin form, and the path
// is that of the target.
func TestAbsoluteFormIsAsGoodAsOrigin(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	c := alone(t, gatewaytest.H1, before(w))
	for target, want := range map[string]string{
		"http://app.localhost/a%20b?c": "/a%20b?c", "http://app.localhost": "/", "http://app.localhost?q": "/?q", "HTTP://app.localhost/x": "/x",
	} {
		got, err := c.Raw(gatewaytest.Head{Target: target, Authority: gatewaytest.Host}, "")
		if err != nil || got.Code != 200 {
			t.Errorf("%s: got %+v, %v", target, got, err)
			continue
		}
		checkEnv(t, w, map[string]string{"REQUEST_URI": want, "HTTP_HOST": gatewaytest.Host})
	}
	for _, target := range []string{"x", "*", "app.localhost:80", "http:/x", "http:///x", "/\x80 b", "ftp:x"} {
		n := len(w.Requests())
		if got, err := c.Raw(gatewaytest.Head{Target: target, Authority: gatewaytest.Host}, ""); err != nil || got.Code != 400 {
			t.Errorf("%q: got %+v, %v, want 400", target, got, err)
		}
		if len(w.Requests()) != n {
			t.Errorf("%q went to the worker", target)
		}
	}
}

func TestHTTP10(t *testing.T) {
	t.Parallel()
	w := app(t, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+answerOK)
	c := alone(t, gatewaytest.H1, before(w))
	conn, err := c.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /x HTTP/1.0\r\n\r\n")
	var b strings.Builder
	if _, err := copyAll(&b, conn); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.HasPrefix(got, "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\nok") || strings.Contains(got, "chunked") {
		t.Errorf("got %q", got) // RFC 9110, 15.2: no 1xx for HTTP/1.0
	}
	checkEnv(t, w, map[string]string{"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": "127.0.0.1", "PATH_INFO": "/x"})
}

func TestMethods(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY"} {
			if got := c.Do(c.Request(m, "/", nil)); got.Code != 200 {
				t.Errorf("%s: got %d", m, got.Code)
			}
			checkEnv(t, w, map[string]string{"REQUEST_METHOD": m})
		}
		n := len(w.Requests())
		got := c.Do(c.Request(http.MethodTrace, "/", nil))
		refusal{code: 405, cause: "the method TRACE is not served"}.check(t, c, got)
		if got.Header.Get("Allow") == "" {
			t.Error("405 without Allow")
		}
		if c.Protocol.Major() == 1 {
			for _, head := range []gatewaytest.Head{{Method: "CONNECT", Target: "app.localhost:443", Authority: "app.localhost:443"}, {Method: "CONNECT", Target: "/", Authority: gatewaytest.Host}} {
				if got, err := c.Raw(head, ""); err != nil || got.Code != 405 && got.Code != 400 {
					t.Errorf("CONNECT: got %+v, %v", got, err)
				}
			}
			if got, err := c.Raw(gatewaytest.Head{Method: "OPTIONS", Target: "*", Authority: gatewaytest.Host}, ""); err != nil || got.Code != 204 {
				t.Errorf("OPTIONS *: got %+v, %v", got, err)
			}
		} else if got, err := c.Raw(gatewaytest.Head{Method: "OPTIONS", Target: "*", Authority: gatewaytest.Host}, ""); err != nil || got.Code != 204 {
			t.Errorf("OPTIONS *: got %+v, %v", got, err)
		}
		if len(w.Requests()) != n {
			t.Error("a refused method went to the worker")
		}
	})
}

package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"headgate/gateway"
	"headgate/gateway/config"
	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

// server starts an HTTP server, of HTTP/1.1 and h2c, as a member of a pool.
func server(t *testing.T, h http.HandlerFunc) (addr string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestOnePathForRoutesAndHTTPMembers: what the gateway refuses under one path must
// not be had under another way to write it. Starlette, FastAPI and aiohttp take no
// dot segments out.
func TestOnePathForRoutesAndHTTPMembers(t *testing.T) {
	t.Parallel()
	addr := server(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RequestURI, " ", r.Header.Get("X-Forwarded-Prefix"))
	})
	conf := gatewaytest.Conf{Members: []string{addr}, Routes: "{path: /admin/, respond: {status: 403}}, {mount: /blog, pool: app}, {pool: app}"}
	for _, protocol := range []string{"http", "h2c"} {
		conf.Pool = "protocol: " + protocol
		t.Run(protocol, func(t *testing.T) {
			gatewaytest.Each(t, conf.String(), checkTargets)
		})
	}
}

func checkTargets(t *testing.T, c *gatewaytest.Client) {
	for _, row := range []struct{ target, want string }{ // "" for 403
		{"/x", "/x "},
		{"/", "/ "},
		{"/?", "/? "},
		{"/x?a=/../b&c=%2F", "/x?a=/../b&c=%2F "},
		{"/admin/files/../../x", "/x "},
		{"/admin/files/%2e%2e/%2e%2e/x?q", "/x?q "},
		{"/admin/..//admin", "/admin "},
		{"/x/..%2fadmin/y", ""},
		{"/%61dmin/x", ""},
		{"//x///y/", "/x/y/ "},
		{"/a%2Fb", "/a/b "},
		{"/100%25", "/100%25 "},
		{"/100%2541", "/100%2541 "},
		{"/a%3Fb%23c?d", "/a%3Fb%23c?d "},
		{"/caf%C3%A9/%ff", "/caf%C3%A9/%FF "},
		{"/a;b=c,(d)'!*~$&+:@", "/a;b=c,(d)'!*~$&+:@ "},
		{"/a%20b%5C", "/a%20b%5C "},
		{"/blog", "/ /blog"},
		{"/blog?x", "/?x /blog"},
		{"/blog/", "/ /blog"},
		{"/x/../blog/a%20b?y", "/a%20b?y /blog"},
		{"/blog/blog", "/blog /blog"},
		{"/blogger", "/blogger "},
	} {
		got, err := c.Raw(gatewaytest.Head{Target: row.target, Authority: gatewaytest.Host}, "")
		switch {
		case err != nil:
			t.Errorf("%s: %v", row.target, err)
		case row.want == "" && got.Code != http.StatusForbidden:
			t.Errorf("%s: got %d, and the member was asked for %q; want 403", row.target, got.Code, got.Body)
		case row.want != "" && got.Body != row.want:
			t.Errorf("%s: got %d, and the member was asked for %q; want %q", row.target, got.Code, got.Body, row.want)
		}
	}
}

func TestExplainShowsTheRequestOfHTTPMembers(t *testing.T) {
	t.Parallel()
	for protocol, version := range map[string]string{"http": "HTTP/1.1", "h2c": "HTTP/2"} {
		c, err := config.Parse("headgate.yaml", fmt.Appendf(nil, `listen: {http: "127.0.0.1:0"}
pools: {app: {protocol: %s, members: ["127.0.0.1:8000"]}}
sites: [{http: serve, routes: [{mount: /blog, pool: app}]}]
`, protocol), nil)
		if err != nil {
			t.Fatal(err)
		}
		e, err := gateway.Explain(c, "POST", "http://x/blog/a/../b%20c?d", nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := "POST /b%20c?d " + version; e.Request != want || !strings.Contains(e.String(), "request   "+want+"\n") || e.Dialect != protocol {
			t.Errorf("it says of dialect %s %q, want %q\n%s", e.Dialect, e.Request, want, e)
		}
	}
}

// TestCheckOfSitesWithoutHost: a check always names a host, without which HTTP
// members cannot be asked.
func TestCheckOfSitesWithoutHost(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"http", "h2c", "uwsgi"} {
		for site, want := range map[string]string{"": "localhost", `hosts: ["*.example.com"]`: "localhost", `hosts: ["a.example.com"]`: "a.example.com"} {
			t.Run(protocol+" "+want+" "+site, func(t *testing.T) {
				t.Parallel()
				hosts := make(chan string, 1)
				saw := func(host string) {
					select {
					case hosts <- host:
					default:
					}
				}
				conf := gatewaytest.Conf{Pool: "protocol: " + protocol + ", check: {path: /h}", Site: site}
				if protocol == "uwsgi" {
					conf.Members = []string{checkedWorker(t, saw)}
				} else {
					conf.Members = []string{server(t, func(_ http.ResponseWriter, r *http.Request) { saw(r.Host) })}
				}
				g := gatewaytest.Start(t, conf.String())
				until(t, "the member to pass its check", func() bool { return poolOf(g).Members[0].State == "up" })
				if got := <-hosts; got != want {
					t.Errorf("the check asked for %q, want %q", got, want)
				}
			})
		}
	}
}

// checkedWorker starts a worker that tells saw the host of each request.
func checkedWorker(t *testing.T, saw func(host string)) (addr string) {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if r := c.Receive(); r != nil {
			saw(r.Var("HTTP_HOST"))
			c.Send(answerOK)
		}
	}).Addr().String()
}

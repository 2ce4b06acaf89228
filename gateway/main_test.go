package gateway_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() == "" {
		_ = flag.Set("test.parallel", "8") // they wait more than they compute
	}
	goleak.VerifyTestMain(m)
}

// app starts a worker that gives every request the same answer.
func app(t *testing.T, answer string) *uwsgitest.Worker {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			c.Send(answer)
		}
	})
}

const answerOK = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"

// before is the configuration of a site in front of workers.
func before(workers ...*uwsgitest.Worker) gatewaytest.Conf {
	var c gatewaytest.Conf
	for _, w := range workers {
		c.Members = append(c.Members, w.Addr().String())
	}
	return c
}

// alone starts a gateway and returns the only client of it.
func alone(t *testing.T, p gatewaytest.Protocol, conf gatewaytest.Conf) *gatewaytest.Client {
	t.Helper()
	return gatewaytest.Start(t, conf.String()).Client(t, p)
}

// refusal is what a failed request must show, everywhere it shows.
type refusal struct {
	code  int
	cause string // part of the page, of the access log and, from 500 on, of the log
	cure  string // part of the page and of the log; "": not looked for
	retry bool   // there is a Retry-After
}

// check holds a response against what it must show to the client, in the access
// log and in the log.
func (want refusal) check(t *testing.T, c *gatewaytest.Client, got *gatewaytest.Response) {
	t.Helper()
	want.checkPage(t, got)
	line := c.Gateway.Request(got.ID)
	if line.Number("status") != float64(want.code) || !strings.Contains(line.Text("err"), want.cause) ||
		line.Text("proto") != c.Protocol.Proto() || line.Text("client") != "127.0.0.1" || line.Text("host") != gatewaytest.Host {
		t.Errorf("access log has %v, want %d and %q", line, want.code, want.cause)
	}
	if want.code < 500 {
		return
	}
	record := c.Gateway.Logged("request failed", got.ID)
	if !strings.Contains(record.Text("cause"), want.cause) || !strings.Contains(record.Text("cure"), want.cure) || record.Number("status") != float64(want.code) {
		t.Errorf("log has %v, want %q and %q", record, want.cause, want.cure)
	}
}

func (want refusal) checkPage(t *testing.T, got *gatewaytest.Response) {
	t.Helper()
	if got.Code != want.code || got.BodyErr != nil {
		t.Fatalf("got %d %q (%v), want %d", got.Code, got.Body, got.BodyErr, want.code)
	}
	if got.Length != int64(len(got.Body)) || !strings.Contains(got.Body, want.cause) || !strings.Contains(got.Body, want.cure) || !strings.Contains(got.Body, got.ID) {
		t.Errorf("the page is %q (%d bytes announced), want %q, %q and %q in it", got.Body, got.Length, want.cause, want.cure, got.ID)
	}
	h := got.Header
	if h.Get("X-Request-Id") != got.ID || h.Get("Cache-Control") != "no-store" || (h.Get("Retry-After") != "") != want.retry {
		t.Errorf("the page's header is %v", h)
	}
	if !strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		t.Errorf("the page is %s, want text/plain", h.Get("Content-Type"))
	}
}

// get asks for / and checks that it is refused.
func (want refusal) get(t *testing.T, c *gatewaytest.Client, header ...string) {
	t.Helper()
	want.check(t, c, c.Get("/", header...))
}

func TestPageIsWhatTheClientAccepts(t *testing.T) {
	t.Parallel()
	conf := gatewaytest.Conf{Routes: "{path: /here, respond: {status: 200}}"}
	gatewaytest.Each(t, conf.String(), func(t *testing.T, c *gatewaytest.Client) {
		const cause = `no route of the site * matches the path "/<b>"`
		html := c.Get("/%3cb%3e", "Accept: text/html,application/xhtml+xml")
		if html.Code != 404 || html.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
			!strings.HasPrefix(html.Body, "<!doctype html>") || !strings.Contains(html.Body, "/&lt;b&gt;") || strings.Contains(html.Body, "<b>\"") {
			t.Errorf("html: got %v", html)
		}
		text := c.Get("/%3cb%3e", "Accept: */*")
		if text.Code != 404 || text.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.Contains(text.Body, cause) {
			t.Errorf("text: got %v", text)
		}
		got := c.Get("/%3cb%3e", "Accept: application/problem+json, application/json")
		var page struct {
			Status                   int
			Title, Cause, Cure, Hint string
			Request                  string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(got.Body), &page); err != nil || got.Header.Get("Content-Type") != "application/json" {
			t.Fatalf("json: got %v: %v", got, err)
		}
		if page.Status != 404 || page.Title != "Not Found" || page.Cause != cause || page.Cure == "" || page.Request != got.ID {
			t.Errorf("json: got %+v", page)
		}
		head := c.Do(c.Request(http.MethodHead, "/none", nil))
		if head.Code != 404 || head.Body != "" || head.Length <= 0 {
			t.Errorf("HEAD: got %+v", head)
		}
	})
}

// TestCauseIsForOperators: what is wrong behind the gateway is not told to the
// world, nor to a request that came through a proxy that is not trusted.
func TestCauseIsForOperators(t *testing.T) {
	t.Parallel()
	conf := gatewaytest.Conf{Members: []string{"unix:/nowhere/w.sock"}, Pool: "queue: {timeout: 50ms}"}
	gatewaytest.Each(t, conf.String(), func(t *testing.T, c *gatewaytest.Client) {
		for _, header := range []string{"X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 proxy"} {
			got := c.Get("/", header)
			if got.Code != 503 || strings.Contains(got.Body, "nowhere") || strings.Contains(got.Body, "hint") || !strings.Contains(got.Body, got.ID) {
				t.Errorf("%s: got %d %q", header, got.Code, got.Body)
			}
		}
	})
	conf.More = `admin: {operators: ["192.0.2.0/24"]}`
	gatewaytest.Each(t, conf.String(), func(t *testing.T, c *gatewaytest.Client) {
		if got := c.Get("/"); got.Code != 503 || strings.Contains(got.Body, "nowhere") {
			t.Errorf("got %d %q", got.Code, got.Body)
		}
	})
}

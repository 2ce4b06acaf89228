package gateway_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

// onDemand is a gateway that asks for permission.
func onDemand(t *testing.T, conf gatewaytest.Conf, ask string) (*gatewaytest.Gateway, *publicCA) {
	t.Helper()
	ca := newPublicCA(t)
	conf.More += fmt.Sprintf("\ntls: {issuer: acme, storage: %q, on_demand: {ask: %q}}\n", "file:"+t.TempDir(), ask)
	g := gatewaytest.StartWith(t, conf.String(), ca.issuer)
	g.Trust(ca.root.Raw)
	return g, ca
}

// shake makes a handshake for name, and returns the certificate that is shown.
func shake(t *testing.T, g *gatewaytest.Gateway, name string) (*x509.Certificate, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{RootCAs: g.Roots, ServerName: name}}
	c, err := d.DialContext(ctx, "tcp", g.Address("https"))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// asker is an app that says yes to names below .good.example, and serves.
func asker(t *testing.T, hold <-chan struct{}) *uwsgitest.Worker {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		switch {
		case r == nil:
		case r.Var("PATH_INFO") == "/slow":
			<-hold
			c.Send(answerOK)
		case r.Var("PATH_INFO") != "/may have":
			c.Send(answerOK)
		case strings.HasSuffix(r.Var("QUERY_STRING"), ".good.example"):
			c.Send("HTTP/1.1 204 No Content\r\n\r\n")
		case strings.HasSuffix(r.Var("QUERY_STRING"), ".broken.example"):
			c.Send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
		default:
			c.Send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
		}
	})
}

func TestAskAPool(t *testing.T) {
	t.Parallel()
	w := asker(t, nil)
	conf := before(w)
	g, ca := onDemand(t, conf, "pool://app/may%20have?tenant=7&x")
	cert, err := shake(t, g, "one.good.example")
	if err != nil || cert.VerifyHostname("one.good.example") != nil {
		t.Fatalf("got %v, %v", cert, err)
	}
	r := w.Requests()[0]
	for key, want := range map[string]string{
		"REQUEST_METHOD": "GET", "PATH_INFO": "/may have", "QUERY_STRING": "tenant=7&x&domain=one.good.example",
		"REQUEST_URI": "/may%20have?tenant=7&x&domain=one.good.example", "HTTP_HOST": "one.good.example", "SERVER_NAME": "one.good.example",
		"REMOTE_ADDR": "127.0.0.1", "HTTP_X_HEADGATE_ASK": "certificate", "REQUEST_SCHEME": "https", "HTTPS": "on", "CONTENT_LENGTH": "",
		"HTTP_X_FORWARDED_PROTO": "https", "HTTP_USER_AGENT": "headgate",
	} {
		if got := r.Var(key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if len(r.Var("HTTP_X_REQUEST_ID")) != 32 {
		t.Errorf("no request id: %v", r.Vars)
	}
	if _, err := shake(t, g, "one.bad.example"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a name that is not allowed: %v", err)
	}
	for range 3 {
		if _, err := shake(t, g, "one.broken.example"); err == nil {
			t.Error("a name about which nobody knows has got a certificate")
		}
	}
	complaint := g.Logged("nobody says whether a name may have a certificate, so it gets none", "")
	if !strings.Contains(complaint.Text("err"), "500") || !strings.Contains(complaint.Text("cure"), "404 for no") || complaint.Text("host") != "one.broken.example" {
		t.Errorf("log has %v", complaint)
	}
	if got := ca.Orders(); !slices.Equal(got, []string{"one.good.example"}) {
		t.Errorf("orders: %v", got)
	}
	if n := g.Snapshot().CertificateCounts; n.Orders != 1 || n.Issued != 1 || n.Asks < 3 || n.Denied < 2 {
		t.Errorf("counts: %+v", n)
	}
}

// TestAskAnHTTPServer: it is told the same as a worker.
func TestAskAnHTTPServer(t *testing.T) {
	t.Parallel()
	asked := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r }))
	defer s.Close()
	conf := gatewaytest.Conf{Members: []string{s.Listener.Addr().String()}, Pool: "protocol: http"}
	g, _ := onDemand(t, conf, "pool://app/may?tenant=7")
	if _, err := shake(t, g, "one.good.example"); err != nil {
		t.Fatal(err)
	}
	r := <-asked
	if r.RequestURI != "/may?tenant=7&domain=one.good.example" || r.Host != "one.good.example" {
		t.Errorf("asked for %s of %s", r.RequestURI, r.Host)
	}
	for name, want := range map[string]string{"User-Agent": "headgate", "X-Headgate-Ask": "certificate", "X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

// TestAskHostIsKnownToTheApp: frameworks refuse requests for unknown hosts.
func TestAskHostIsKnownToTheApp(t *testing.T) {
	t.Parallel()
	w := asker(t, nil)
	conf := before(w).String()
	conf = strings.Replace(conf, "sites:\n", "sites:\n- {hosts: [\"*.x.example\", shop.example], http: serve, tls: {issuer: internal}, routes: [{pool: app}]}\n", 1)
	ca := newPublicCA(t)
	g := gatewaytest.StartWith(t, conf+fmt.Sprintf("tls: {issuer: acme, storage: %q, on_demand: {ask: \"pool://app/may%%20have\"}}\n", "file:"+t.TempDir()), ca.issuer)
	g.Trust(ca.root.Raw)
	if _, err := shake(t, g, "a.good.example"); err != nil {
		t.Fatal(err)
	}
	if r := w.Requests()[0]; r.Var("HTTP_HOST") != "shop.example" || r.Var("SERVER_NAME") != "shop.example" || r.Var("QUERY_STRING") != "domain=a.good.example" {
		t.Errorf("the app saw %v", r.Vars)
	}
}

// TestAskWaitsForAWorker: the only worker is busy when the question comes.
func TestAskWaitsForAWorker(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	w := asker(t, hold)
	conf := before(w)
	conf.Pool = "slots: 1"
	g, _ := onDemand(t, conf, "pool://app/may%20have")
	c := g.Client(t, gatewaytest.H1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if got, err := c.Try(c.Request("GET", "/slow", nil)); err != nil || got.Code != 200 {
			t.Errorf("the slow request: %+v, %v", got, err)
		}
	})
	until(t, "the slow request", func() bool { return len(w.Requests()) == 1 })
	wg.Go(func() {
		if _, err := shake(t, g, "a.good.example"); err != nil {
			t.Errorf("the handshake: %v", err)
		}
	})
	until(t, "the question in the queue", func() bool {
		p := g.Snapshot().Pools
		return len(p) == 1 && p[0].Queued == 1
	})
	close(hold)
	wg.Wait()
}

// TestNoClientCanAsk: the mark of a question is the gateway's own.
func TestNoClientCanAsk(t *testing.T) {
	t.Parallel()
	w := app(t, answerOK)
	gatewaytest.Each(t, before(w).String(), func(t *testing.T, c *gatewaytest.Client) {
		if got := c.Get("/ask", "X-Headgate-Ask: certificate", "X-headgate-ASK: y"); got.Code != 200 {
			t.Fatalf("got %d", got.Code)
		}
		for _, r := range w.Requests() {
			if got := r.Var("HTTP_X_HEADGATE_ASK"); got != "" {
				t.Errorf("the app was told %q", got)
			}
		}
	})
}

func TestAskAURL(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex // guards asked
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.RawQuery)
		mu.Unlock()
		user, password, _ := r.BasicAuth()
		switch {
		case user != "me" || password != "p w":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasPrefix(r.URL.Query().Get("domain"), "moved."):
			http.Redirect(w, r, "/yes", http.StatusFound)
		case strings.HasPrefix(r.URL.Query().Get("domain"), "yes."):
			fmt.Fprint(w, strings.Repeat("yes ", 1<<18)) // a body that nobody wants
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path, u.RawQuery = url.UserPassword("me", "p w"), "/ask", "key=se%2Fcret"
	g, ca := onDemand(t, before(app(t, answerOK)), u.String())
	for name, want := range map[string]bool{"yes.example": true, "no.example": false, "moved.example": false} {
		if _, err := shake(t, g, name); (err == nil) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if got := ca.Orders(); !slices.Equal(got, []string{"yes.example"}) {
		t.Errorf("orders: %v", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 3 || !slices.Contains(asked, "key=se%2Fcret&domain=yes.example") {
		t.Errorf("asked: %q", asked)
	}
	complaint := g.Logged("nobody says whether a name may have a certificate, so it gets none", "")
	if !strings.Contains(complaint.Text("cure"), "answers itself") || strings.Contains(fmt.Sprint(complaint), "cret") || strings.Contains(fmt.Sprint(complaint), "p w") {
		t.Errorf("log has %v", complaint)
	}
}

// TestAskNobody: an app that is not there is no yes, and is said to be missing once.
func TestAskNobody(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	g, ca := onDemand(t, before(app(t, answerOK)), "http://"+addr+"/ask")
	for i := range 3 {
		if _, err := shake(t, g, fmt.Sprintf("n%d.example", i)); err == nil {
			t.Error("a certificate without permission")
		}
	}
	n := 0
	for _, l := range g.Log.All() {
		if l.Text("msg") == "nobody says whether a name may have a certificate, so it gets none" {
			n++
			if !strings.Contains(l.Text("err"), "refused") || !strings.Contains(l.Text("cure"), "start what answers there") {
				t.Errorf("log has %v", l)
			}
		}
	}
	if n != 1 || len(ca.Orders()) != 0 {
		t.Errorf("said %d times, orders %v", n, ca.Orders())
	}
}

// TestOneQuestionForAThousandHandshakes, and one order.
func TestOneQuestionForAThousandHandshakes(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand handshakes")
	}
	w := asker(t, nil)
	g, ca := onDemand(t, before(w), "pool://app/may%20have")
	const n = 1000
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			<-start
			if _, err := shake(t, g, "many.good.example"); err != nil {
				t.Errorf("handshake: %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	if got := len(w.Requests()); got != 1 {
		t.Errorf("%d questions, want 1", got)
	}
	if got := ca.Orders(); len(got) != 1 {
		t.Errorf("orders: %v, want one", got)
	}
	if c := g.Snapshot().CertificateCounts; c.Asks != 1 || c.Orders != 1 {
		t.Errorf("counts: %+v", c)
	}
}

package uwsgi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

func TestRoundTrip(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		c.Send("HTTP/1.1 201 Made\r\nX: y\r\n\r\n" + r.Var("REQUEST_METHOD") + " " + r.Var("HTTP_HOST") + " " + r.Var("SERVER_PORT") + " " +
			r.Var("REQUEST_URI") + " " + r.Var("PATH_INFO") + " " + r.Var("QUERY_STRING") + " " + r.Var("CONTENT_LENGTH") + " " + string(r.Body))
	})
	client := &http.Client{Transport: newTransport(t, w.Addr(), uwsgi.Options{Dialect: uwsgi.DialectUWSGI})}
	// A reader without a length: it has to be spooled.
	resp, err := client.Post("http://shop.example.com/a%20b?c=d", "text/plain", io.MultiReader(strings.NewReader("hello")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if want := "POST shop.example.com 80 /a%20b?c=d /a b c=d 5 hello"; string(body) != want || err != nil {
		t.Errorf("got %q, %v; want %q", body, err, want)
	}
	if resp.StatusCode != 201 || resp.Status != "201 Made" || resp.Header.Get("X") != "y" {
		t.Errorf("got %v", resp)
	}
}

func TestRoundTripUpgrade(t *testing.T) {
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Receive()
		c.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		io.Copy(c, c)
	})
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "keep-alive, Upgrade")
	r.Header.Set("Upgrade", "echo")
	resp, err := newTransport(t, w.Addr(), uwsgi.Options{}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatal("the body cannot be written to")
	}
	io.WriteString(rwc, "ping")
	got := make([]byte, 4)
	if _, err := io.ReadFull(rwc, got); string(got) != "ping" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestMemberSpeaksHTTP: a length of ten is a line feed in the packet, at which
// an HTTP server stops waiting.
func TestMemberSpeaksHTTP(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	req := get("/")
	req.Header = uwsgi.HeaderFields{"X-Ten": {"0123456789"}}
	e := doError(t, newTransport(t, uwsgi.Address{Network: "tcp", Addr: u.Host}, uwsgi.Options{}), req)
	wantError(t, e, uwsgi.StageHead, uwsgi.KindBadAnswer, true, "speak HTTP, not uwsgi")
	if !strings.Contains(e.Cure, "--protocol uwsgi") {
		t.Errorf("cure %q", e.Cure)
	}
}

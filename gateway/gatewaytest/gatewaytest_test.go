package gatewaytest_test

import (
	"testing"

	"go.uber.org/goleak"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func worker(t *testing.T) *uwsgitest.Worker {
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		if r := c.Receive(); r != nil {
			c.Send("HTTP/1.1 200 OK\r\nX-Proto: " + r.Var("SERVER_PROTOCOL") + "\r\n\r\nhello " + r.Var("PATH_INFO") + string(r.Body))
		}
	})
}

func TestEachSpeaksItsProtocol(t *testing.T) {
	conf := gatewaytest.Conf{Members: []string{worker(t).Addr().String()}}.String()
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		got := c.Get("/x")
		if got.Code != 200 || got.Body != "hello /x" || got.Proto != c.Protocol.Proto() || got.Header.Get("X-Proto") != got.Proto {
			t.Errorf("got %+v", got)
		}
		line := c.Gateway.Request(got.ID)
		if line.Text("proto") != c.Protocol.Proto() || line.Number("status") != 200 {
			t.Errorf("got the line %v", line)
		}
	})
}

func TestRawSpeaksItsProtocol(t *testing.T) {
	conf := gatewaytest.Conf{Members: []string{worker(t).Addr().String()}}.String()
	gatewaytest.Each(t, conf, func(t *testing.T, c *gatewaytest.Client) {
		got, err := c.Raw(gatewaytest.Head{Method: "POST", Target: "/x", Authority: gatewaytest.Host}, "body")
		if err != nil {
			t.Fatal(err)
		}
		if got.Code != 200 || got.Body != "hello /xbody" || got.BodyErr != nil || got.Header.Get("X-Proto") != c.Protocol.Proto() {
			t.Errorf("got %+v", got)
		}
	})
}

func TestTryReturnsTheErrorOfTheStart(t *testing.T) {
	if _, err := gatewaytest.Try(t, "listen: {http: nonsense}"); err == nil {
		t.Error("started")
	}
}

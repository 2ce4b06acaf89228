package gateway_test

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

// TestStreamedBodyIsNotSentAgainFromItsMiddle: a member refuses the stream after it
// has had a part of the body, which is not at hand any more.
func TestStreamedBodyIsNotSentAgainFromItsMiddle(t *testing.T) {
	t.Parallel()
	gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
		var seen atomic.Int32
		addr := rawMember(t, func(peer *rawPeer) {
			f := peer.frames()
			for f != nil {
				frame, err := f.ReadFrame()
				if err != nil {
					return
				}
				switch frame := frame.(type) {
				case *http2.SettingsFrame:
					if !frame.IsAck() {
						_ = f.WriteSettingsAck()
					}
				case *http2.HeadersFrame:
					seen.Add(1)
				case *http2.DataFrame:
					if seen.Load() == 1 {
						_ = f.WriteRSTStream(frame.StreamID, http2.ErrCodeRefusedStream)
					} else if frame.StreamEnded() {
						answer(f, frame.StreamID)
					}
				}
			}
		})
		conf := gatewaytest.Conf{Members: []string{addr}, Pool: "protocol: h2c, slots: 4", Routes: "{pool: app, request_body: stream}"}
		c := alone(t, p, conf)
		body, rest := io.Pipe()
		go func() {
			_, _ = io.WriteString(rest, "01234")
			until(t, "the answer", func() bool { return poolOf(c.Gateway).Members[0].InFlight == 0 || seen.Load() > 1 })
			_, _ = io.WriteString(rest, "56789")
			rest.Close()
		}()
		r := c.Request("POST", "/", body)
		r.ContentLength = 10
		got, err := c.Try(r)
		if err != nil || got.Code != 502 || seen.Load() != 1 {
			t.Errorf("got %+v, %v; sent %d times, want 502 and once", got, err, seen.Load())
		}
	})
}

// TestMemberThatDiesDuringAStreamedUpload: it is the member's fault, whatever is
// spoken on both sides.
func TestMemberThatDiesDuringAStreamedUpload(t *testing.T) {
	t.Parallel()
	worker := uwsgitest.Start(t, func(c *uwsgitest.Conn) { _, _ = io.ReadFull(c.Conn, make([]byte, 100)) })
	server := rawMember(t, func(p *rawPeer) {
		if p.request() != nil {
			_, _ = io.ReadFull(p.in, make([]byte, 5))
		}
	})
	for protocol, member := range map[string]string{"uwsgi": worker.Addr().String(), "http": server} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			gatewaytest.EachAlone(t, func(t *testing.T, p gatewaytest.Protocol) {
				conf := gatewaytest.Conf{Members: []string{member}, Pool: "slots: 4, protocol: " + protocol, Routes: "{pool: app, request_body: stream}"}
				c := alone(t, p, conf)
				body, rest := io.Pipe()
				defer rest.Close()
				go func() {
					_, _ = io.WriteString(rest, "01234")
					<-t.Context().Done()
					rest.Close()
				}()
				r := c.Request("POST", "/", body)
				r.ContentLength = 10
				if got, err := c.Try(r); err != nil || got.Code != 502 {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		})
	}
}

// TestSafeIsLearnedForTheQueryToo: what is found by one query is paid for by another.
func TestSafeIsLearnedForTheQueryToo(t *testing.T) {
	t.Parallel()
	var paid, found atomic.Int32
	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		r := c.Receive()
		switch {
		case r == nil:
		case r.Var("QUERY_STRING") == "m=pay":
			paid.Add(1) // and dies
		case found.Add(1) == 2: // dies too
		default:
			c.Send("HTTP/1.1 200 OK\r\nX-Headgate-Retry: safe\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	c := alone(t, gatewaytest.H1, before(w))
	for range 2 {
		if got := c.Post("/rpc?m=find", "q"); got.Code != 200 || got.Header.Get("X-Headgate-Retry") != "" {
			t.Errorf("find: got %+v", got)
		}
	}
	if got := c.Post("/rpc?m=pay", "money"); got.Code != 502 || paid.Load() != 1 {
		t.Errorf("pay: got %d, and it was paid %d times", got.Code, paid.Load())
	}
	if n := found.Load(); n != 3 {
		t.Errorf("find was sent %d times, want 3", n)
	}
	if line := c.Gateway.Request(c.Post("/rpc?m=find", "q").ID); !strings.Contains(line.Text("path"), "/rpc") || line.Number("retries") != 0 {
		t.Errorf("access log: %v", line)
	}
}

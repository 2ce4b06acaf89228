package origin_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"headgate/upstream/origin"
)

// frames is the member's end of a connection of HTTP/2.
type frames struct {
	*http2.Framer
	p *peer
}

// framed serves each connection with f, after its preface and SETTINGS.
func framed(t testing.TB, settings []http2.Setting, f func(c *frames)) *origin.Transport {
	return scripted(t, "unix", origin.Options{HTTP2: true}, func(p *peer) {
		if _, err := io.ReadFull(p.in, make([]byte, len(http2.ClientPreface))); err != nil {
			return // it was asked whether it is there
		}
		c := &frames{Framer: http2.NewFramer(p, p.in), p: p}
		c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		c.WriteSettings(settings...)
		f(c)
	})
}

// request reads up to the next request and returns its stream and path.
func (c *frames) request() (stream uint32, path string) {
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return 0, ""
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.WriteSettingsAck()
			}
		case *http2.PingFrame:
			c.WritePing(true, f.Data)
		case *http2.MetaHeadersFrame:
			return f.StreamID, f.PseudoValue("path")
		}
	}
}

// respond answers 200 with an empty body.
func (c *frames) respond(stream uint32) {
	var b strings.Builder
	hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(b.String()), EndHeaders: true, EndStream: true})
}

func bare(method string) *origin.Request {
	r := get("/")
	r.Method = method
	return r
}

func TestRefusedStreamNeverRan(t *testing.T) {
	tr := framed(t, nil, func(c *frames) {
		for stream, _ := c.request(); stream != 0; stream, _ = c.request() {
			c.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}
	})
	for range 2 {
		e := fails(t, tr, bare("POST"))
		wants(t, e, origin.KindNoAnswer, true, "refused the stream")
		if !e.Full() {
			t.Error("not full")
		}
	}
}

// TestRefusedStreamWithABodyThatIsGone: what is left of it must not be sent as all
// of it. One that can be read again is still sent again.
func TestRefusedStreamWithABodyThatIsGone(t *testing.T) {
	tr := framed(t, nil, func(c *frames) {
		for stream, _ := c.request(); stream != 0; stream, _ = c.request() {
			for {
				f, err := c.ReadFrame()
				if err != nil {
					return
				}
				if f.Header().Type == http2.FrameData {
					break
				}
			}
			c.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}
	})
	e := fails(t, tr, newSlowBody("ab").request())
	if wants(t, e, origin.KindNoAnswer, false, "refused the stream"); e.Full() {
		t.Error("full, which is sent again")
	}
	e = fails(t, tr, post("ab"))
	if wants(t, e, origin.KindNoAnswer, true, "refused the stream"); !e.Full() {
		t.Error("not full")
	}
}

func TestGoAwayWithABodyThatIsGone(t *testing.T) {
	tr := framed(t, nil, func(c *frames) {
		c.request()
		for {
			f, err := c.ReadFrame()
			if err != nil {
				return
			}
			if f.Header().Type == http2.FrameData {
				break
			}
		}
		c.WriteGoAway(0, http2.ErrCodeNo, nil)
		c.p.untilClosed()
	})
	wants(t, fails(t, tr, newSlowBody("ab").request()), origin.KindNoAnswer, false, "did not take the request")
}

func TestResetStreamMayHaveRun(t *testing.T) {
	var requests atomic.Int64
	tr := framed(t, nil, func(c *frames) {
		for stream, _ := c.request(); stream != 0; stream, _ = c.request() {
			requests.Add(1)
			c.WriteRSTStream(stream, http2.ErrCodeInternal)
		}
	})
	wants(t, fails(t, tr, bare("POST")), origin.KindNoAnswer, false, "reset the stream with code 2")
	wants(t, fails(t, tr, bare("POST")), origin.KindNoAnswer, false, "reset the stream with code 2")
	if n := requests.Load(); n != 2 {
		t.Errorf("the member saw %d requests, want 2", n)
	}
}

// TestGoAway: what is behind the last stream never ran, and goes on another
// connection.
func TestGoAway(t *testing.T) {
	tr := framed(t, nil, func(c *frames) {
		stream, _ := c.request()
		c.respond(stream)
		if c.p.nth > 1 {
			c.request()
			return
		}
		c.request()
		c.WriteGoAway(stream, http2.ErrCodeNo, nil)
		c.p.untilClosed()
	})
	read(t, tr, bare("POST"))
	read(t, tr, bare("POST"))
}

func TestGoAwayOnAFreshConnection(t *testing.T) {
	tr := framed(t, nil, func(c *frames) {
		c.request()
		c.WriteGoAway(0, http2.ErrCodeNo, nil)
		c.p.untilClosed()
	})
	wants(t, fails(t, tr, bare("POST")), origin.KindNoAnswer, true, "did not take the request")
}

func TestGoAwayThatTookTheRequest(t *testing.T) {
	tr := framed(t, nil, func(c *frames) {
		stream, _ := c.request()
		c.WriteGoAway(stream, http2.ErrCodeNo, nil)
	})
	wants(t, fails(t, tr, bare("POST")), origin.KindNoAnswer, false, "in the middle of the request")
}

func TestConnectionLostInTheMiddle(t *testing.T) {
	var posts atomic.Int64
	tr := framed(t, nil, func(c *frames) {
		stream, _ := c.request()
		c.respond(stream)
		if stream, _ = c.request(); stream != 0 {
			posts.Add(1)
		}
	})
	read(t, tr, get("/"))
	wants(t, fails(t, tr, bare("POST")), origin.KindNoAnswer, false, "connection was lost")
	read(t, tr, get("/"))
	read(t, tr, get("/")) // of what is idempotent one more attempt is made
	if posts.Load() != 2 {
		t.Errorf("%d requests were lost, want 2", posts.Load())
	}
}

// TestStreamsThatTheMemberAllows: more requests at once than one connection
// takes.
func TestStreamsThatTheMemberAllows(t *testing.T) {
	const limit, all = serverStreams, 3 * serverStreams
	var conns, arrived atomic.Int64
	together := make(chan struct{})
	tr, _ := server(t, "unix", origin.Options{HTTP2: true}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" && arrived.Add(1) == all {
			close(together)
		}
		if r.URL.Path == "/wait" {
			<-together
		}
	}, func(state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	})
	read(t, tr, get("/")) // the settings are in
	var done sync.WaitGroup
	for range all {
		done.Go(func() {
			for {
				resp, err := tr.Do(t.Context(), get("/wait"))
				if err == nil {
					resp.Body.Close()
					return
				}
				if e := asError(t, err); !e.Full() || !e.Unsent() { // of a connection whose settings are not in yet
					t.Errorf("%v", e)
					return
				}
			}
		})
	}
	done.Wait()
	if n := conns.Load(); n < all/limit || n > 16 {
		t.Errorf("%d connections for %d requests of %d streams each", n, all, limit)
	}
}

func TestHeaderThatTheMemberDoesNotAllow(t *testing.T) {
	tr := framed(t, []http2.Setting{{ID: http2.SettingMaxHeaderListSize, Val: 1000}}, func(c *frames) {
		for stream, _ := c.request(); stream != 0; stream, _ = c.request() {
			c.respond(stream)
		}
	})
	read(t, tr, get("/")) // the settings are in
	r := bare("POST")
	r.Header = origin.HeaderFields(http.Header{"Cookie": {strings.Repeat("x", 2000)}})
	wants(t, fails(t, tr, r), origin.KindBadRequest, true, "larger than the member allows")
}

package h2_test

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"headgate/gateway/h2"
	"headgate/gateway/wire"
)

// flood sends what f writes until the server ends the connection, which has to be
// with ENHANCE_YOUR_CALM.
func flood(t *testing.T, h wire.Handler, before func(k *script), f func(k *script, i int) error) {
	t.Helper()
	s := start(t, false, h2.Settings{}, h)
	k := dial(t, s)
	if before != nil {
		before(k)
	}
	go func() {
		for i := range 200_000 {
			if f(k, i) != nil {
				return
			}
		}
	}()
	k.wantGoAway(http2.ErrCodeEnhanceYourCalm)
}

func TestFloodsEndTheConnection(t *testing.T) {
	post := func(k *script) { k.post(1) }
	none := func(s wire.Stream, r *wire.Request) { io.Copy(io.Discard, s) }
	for name, test := range map[string]struct {
		before func(k *script)
		f      func(k *script, i int) error
	}{
		"ping":                 {nil, func(k *script, i int) error { return k.WritePing(false, [8]byte{}) }},
		"ping answers":         {nil, func(k *script, i int) error { return k.WritePing(true, [8]byte{}) }},
		"settings":             {nil, func(k *script, i int) error { return k.WriteSettings() }},
		"settings answers":     {nil, func(k *script, i int) error { return k.WriteSettingsAck() }},
		"empty data":           {post, func(k *script, i int) error { return k.WriteData(1, false, nil) }},
		"priority":             {nil, func(k *script, i int) error { return k.WritePriority(1, http2.PriorityParam{Weight: 1}) }},
		"window of connection": {nil, func(k *script, i int) error { return k.WriteWindowUpdate(0, 1) }},
		"window of stream":     {post, func(k *script, i int) error { return k.WriteWindowUpdate(1, 1) }},
		"window of ended":      {nil, func(k *script, i int) error { return k.WriteWindowUpdate(1, 1) }},
		"resets of one":        {func(k *script) { k.post(1) }, func(k *script, i int) error { return k.WriteRSTStream(1, http2.ErrCodeCancel) }},
		"unknown frames":       {nil, func(k *script, i int) error { return k.WriteRawFrame(99, 0, 0, nil) }},
		"rapid reset": {nil, func(k *script, i int) error {
			id := uint32(2*i + 1)
			err := k.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x82, 0x87, 0x84}, EndStream: true, EndHeaders: true})
			if err != nil {
				return err
			}
			return k.WriteRSTStream(id, http2.ErrCodeCancel)
		}},
		"made you reset": {nil, func(k *script, i int) error {
			id := uint32(2*i + 1)
			err := k.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x82, 0x87, 0x84}, EndStream: true, EndHeaders: true})
			if err != nil {
				return err
			}
			return k.WriteWindowUpdate(id, 0)
		}},
		"malformed": {nil, func(k *script, i int) error {
			return k.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: []byte{0x82, 0x82}, EndStream: true, EndHeaders: true})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "window of ended" {
				test.before = func(k *script) { k.request(1, true); k.wantReset(1, http2.ErrCodeInternal) }
			}
			h := handlerFunc(none)
			if strings.HasPrefix(name, "rapid") || strings.HasPrefix(name, "made") {
				h = func(s wire.Stream, r *wire.Request) { <-s.Context().Done() }
			}
			flood(t, h, test.before, test.f)
		})
	}
}

func TestContinuationsAreBounded(t *testing.T) {
	s := start(t, false, h2.Settings{HeadBytes: 16 << 10}, echo)
	for name, part := range map[string][]byte{"empty": {}, "small": {0x82}, "large": bytes.Repeat([]byte{0, 1, 'a', 1, 'b'}, 3000)} {
		t.Run(name, func(t *testing.T) {
			k := dial(t, s)
			k.must(k.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: k.block(":method", "GET"), EndStream: true}))
			go func() {
				for k.WriteContinuation(1, false, part) == nil {
				}
			}()
			k.wantGoAway(http2.ErrCodeEnhanceYourCalm)
		})
	}
}

// A field of 4000 bytes in the table can be named with one byte.
func TestHeaderBombIsRefused(t *testing.T) {
	s := start(t, false, h2.Settings{}, echo)
	k := dial(t, s)
	k.request(1, true, "bomb", strings.Repeat("b", 4000))
	k.wantStatus(1, "200")
	k.wantEnd(1)
	named := k.block("bomb", strings.Repeat("b", 4000))
	if len(named) != 1 {
		t.Fatalf("the field takes %d bytes, want 1", len(named))
	}
	k.must(k.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 3, BlockFragment: append([]byte{0x82, 0x87, 0x84}, bytes.Repeat(named, 16000)...), EndStream: true, EndHeaders: true,
	}))
	k.wantStatus(3, "431")
}

func TestResetStreamsCountUntilTheirHandlersReturn(t *testing.T) {
	release := make(chan struct{})
	var running, most atomic.Int64
	s := start(t, false, h2.Settings{MaxStreams: 4}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		answer(s, 200, "")
	}))
	k := dial(t, s)
	for i := range 4 {
		k.request(uint32(2*i+1), true)
		k.must(k.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel))
	}
	until(t, "the handlers run", func() bool { return running.Load() == 4 })
	for i := 4; i < 20; i++ {
		k.request(uint32(2*i+1), true)
		k.wantReset(uint32(2*i+1), http2.ErrCodeRefusedStream)
	}
	close(release)
	until(t, "the handlers return", func() bool { return running.Load() == 0 })
	k.request(101, true)
	k.wantStatus(101, "200")
	if most.Load() != 4 {
		t.Errorf("%d handlers ran at once, want 4", most.Load())
	}
}

// A client that asks and takes nothing must not make the server keep more than
// its bounds.
func TestClientThatTakesNothingKeepsNoMemory(t *testing.T) {
	big := make([]byte, 1<<20)
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		s.WriteHead(200, nil, -1)
		for {
			if _, err := s.Write(big); err != nil {
				return
			}
		}
	}))
	k := dial(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	k.must(k.WriteWindowUpdate(0, 1<<31-1-65535))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 100 {
		k.request(uint32(2*i+1), true)
	}
	var pings atomic.Int64
	go func() {
		for k.WritePing(false, [8]byte{}) == nil {
			pings.Add(1)
		}
	}()
	var last, same int64
	until(t, "the server takes no more", func() bool { // of what it could not answer
		now := pings.Load()
		if same++; now != last || now == 0 {
			same = 0
		}
		last = now
		return same > 100
	})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 4<<20 {
		t.Errorf("the heap has grown by %d KiB, want less than 4 MiB", grown>>10)
	}
}

func TestBodiesAreHeldWithinTheWindow(t *testing.T) {
	stop := make(chan struct{})
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) { <-stop }))
	defer close(stop)
	for _, test := range []struct {
		name   string
		stream bool
		limit  int
	}{{"stream", true, 256 << 10}, {"connection", false, 1 << 20}} {
		t.Run(test.name, func(t *testing.T) {
			k := dial(t, s)
			sent, id := 0, uint32(1)
			k.post(id)
			for sent+16384 <= test.limit {
				k.must(k.WriteData(id, false, make([]byte, 16384)))
				if sent += 16384; !test.stream && sent%(256<<10) == 0 && sent < test.limit {
					id += 2
					k.post(id)
				}
			}
			if !test.stream {
				id += 2
				k.post(id)
			}
			k.must(k.WriteData(id, false, []byte("x")))
			if test.stream {
				k.wantReset(id, http2.ErrCodeFlowControl)
			} else {
				k.wantGoAway(http2.ErrCodeFlowControl)
			}
		})
	}
}

func TestLongDownloadsAreNoFlood(t *testing.T) {
	h := handlerFunc(func(s wire.Stream, r *wire.Request) {
		p := make([]byte, 64<<10)
		s.WriteHead(200, nil, 30<<20)
		for range 480 {
			s.Write(p)
		}
	})
	each(t, h2.Settings{}, h, func(t *testing.T, s *server, c *http.Client) {
		r, err := c.Get(s.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if n, err := io.Copy(io.Discard, r.Body); n != 30<<20 || err != nil {
			t.Errorf("got %d bytes, %v", n, err)
		}
	})
}

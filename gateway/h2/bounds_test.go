package h2_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"headgate/gateway/h2"
	"headgate/gateway/wire"
)

// watch reads until the PING with data is answered, which it reports, or the
// connection has ended.
func (k *script) watch(data [8]byte) <-chan bool {
	answered := make(chan bool, 1)
	go func() {
		for {
			f, err := k.ReadFrame()
			if err != nil {
				answered <- false
				return
			}
			if p, ok := f.(*http2.PingFrame); ok && p.IsAck() && p.Data == data {
				answered <- true
				return
			}
		}
	}()
	return answered
}

// TestBudgetIsNotEarnedByEmptyFrames: a client pays for its rapid resets (10
// each) with frames of no use, an empty DATA frame with END_STREAM on a stream
// that the server has reset, which earns 2 and costs 1.
func TestBudgetIsNotEarnedByEmptyFrames(t *testing.T) {
	var served atomic.Int64
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		served.Add(1)
		<-s.Context().Done()
	}))
	k := dial(t, s)
	k.headers(1, true, ":method", "GET") // malformed: the server resets it
	k.wantReset(1, http2.ErrCodeProtocol)
	last := [8]byte{'l', 'a', 's', 't'}
	answered := k.watch(last)
	const resets = 5000
	id := uint32(3)
	for range resets {
		if k.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: k.block(":method", "GET", ":scheme", "https", ":path", "/", ":authority", "localhost"), EndStream: true, EndHeaders: true}) != nil ||
			k.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			return // it was ended, as it has to be
		}
		id += 2
		for range 11 {
			if k.WriteData(1, true, nil) != nil {
				return
			}
		}
	}
	if k.WritePing(false, last) == nil && <-answered {
		t.Errorf("%d resets in a row were taken, %d handlers ran: want ENHANCE_YOUR_CALM", resets, served.Load())
	}
}

// TestBudgetIsNotEarnedByCrumbs: the same with an open stream and DATA of one byte
// each, against a flood of PINGs.
func TestBudgetIsNotEarnedByCrumbs(t *testing.T) {
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		b := make([]byte, 4096)
		for {
			if _, err := s.Read(b); err != nil {
				return
			}
		}
	}))
	k := dial(t, s)
	k.post(1)
	last := [8]byte{'l', 'a', 's', 't'}
	answered := k.watch(last)
	const pings = 50000
	for range pings {
		if k.WriteData(1, false, []byte("x")) != nil || k.WritePing(false, [8]byte{}) != nil || k.WriteSettings() != nil {
			return
		}
	}
	if k.WritePing(false, last) == nil && <-answered {
		t.Errorf("%d PINGs and SETTINGS were answered: want ENHANCE_YOUR_CALM", 2*pings)
	}
}

// TestEndedStreamLeavesRoomForTheNext: what was announced as SETTINGS_MAX_CONCURRENT_STREAMS
// counts streams (RFC 9113, 5.1.2): one whose answer has ended is closed, and a
// client may begin another, though its handler has not returned yet.
func TestEndedStreamLeavesRoomForTheNext(t *testing.T) {
	hold := make(chan struct{})
	s := start(t, false, h2.Settings{MaxStreams: 1}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		s.WriteHead(200, nil, 2)
		s.Write([]byte("ok"))
		s.Flush()
		if r.Target == "/first" {
			<-hold
		}
	}))
	k := dial(t, s)
	k.headers(1, true, ":method", "GET", ":scheme", "https", ":path", "/first", ":authority", "localhost")
	k.wantEnd(1)
	k.request(3, true)
	e, ok := k.next()
	close(hold)
	if ok && e.kind == http2.FrameRSTStream {
		t.Errorf("stream 3 was reset with %v, though stream 1 has ended", e.code)
	}
}

// TestEarlyAnswersToManyUploads: every stream that the server allows uploads
// within its windows, and all are refused early: what is on its way then is no
// reason to end the connection.
func TestEarlyAnswersToManyUploads(t *testing.T) {
	all := make(chan struct{})
	var begun atomic.Int64
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		if r.Target == "/last" {
			s.WriteHead(204, nil, 0)
			return
		}
		if begun.Add(1) == 127 {
			close(all)
		}
		<-all
		s.WriteHead(413, nil, 0)
	}))
	k := dial(t, s)
	for i := range uint32(127) {
		k.post(1 + 2*i)
	}
	var resets int
	for resets < 127 { // the answers are on their way; the client's DATA too
		e, ok := k.next()
		if !ok {
			t.Fatal("the connection ended")
		}
		if e.kind == http2.FrameRSTStream {
			resets++
		}
	}
	part := []byte(strings.Repeat("x", 1<<10))
	for range 4 {
		for i := range uint32(127) {
			if err := k.WriteData(1+2*i, false, part); err != nil {
				t.Fatalf("the connection was ended: %v", err)
			}
		}
	}
	k.headers(1+2*127, true, ":method", "GET", ":scheme", "https", ":path", "/last", ":authority", "localhost")
	for {
		e, ok := k.next()
		switch {
		case !ok || e.kind == http2.FrameGoAway:
			t.Fatalf("the connection was ended: %+v", e)
		case e.kind == http2.FrameHeaders && e.stream == 1+2*127:
			return
		}
	}
}

// TestHeadsAreBoundedWhileNobodyReads: answers with large heads wait for room,
// one after the other: what is held for a client that reads nothing is about the
// bound of what may be waiting, not a head of every stream.
func TestHeadsAreBoundedWhileNobodyReads(t *testing.T) {
	const streams = 120
	big := strings.Repeat("x", 60<<10)
	var headed atomic.Int64
	go1 := make(chan struct{})
	k, _, _ := pipe(t, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		<-go1
		s.WriteHead(200, wire.Fields{{Name: "x-big", Value: big}}, 2)
		headed.Add(1)
		s.Write([]byte("ok"))
	}))
	k.c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() {
		for i := range uint32(streams) {
			k.request(1+2*i, true)
		}
		close(go1)
	}()
	for range 3 { // the server's settings, and some of what follows; then nothing more is read
		if _, err := k.ReadFrame(); err != nil {
			t.Fatal(err)
		}
	}
	<-go1
	buf := make([]byte, 70<<10)
	for n := 0; n < 140<<10; { // lets the writer take one turn or two
		m, err := k.c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		<-tick.C
	}
	if n := headed.Load(); n > 10 {
		t.Errorf("%d heads of 60 KiB are held for a client that has read two", n)
	}
}

// TestWindowComesBackAfterResets: what a client has sent on streams that it then
// resets, that nobody read, and that were refused, comes back to the window of
// the connection.
func TestWindowComesBackAfterResets(t *testing.T) {
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		if r.Method == "POST" {
			if r.Fields.Has("x-read") {
				s.Read(make([]byte, 1000))
			}
			<-s.Context().Done()
			return
		}
		s.WriteHead(204, nil, 0)
	}))
	k := dial(t, s)
	window := int64(65535)
	var mu sync.Mutex
	wide := sync.NewCond(&mu)
	over := false
	go func() {
		for {
			f, err := k.ReadFrame()
			mu.Lock()
			if err != nil {
				over = true
				wide.Broadcast()
				mu.Unlock()
				return
			}
			if u, ok := f.(*http2.WindowUpdateFrame); ok && u.StreamID == 0 {
				window += int64(u.Increment)
				wide.Broadcast()
			}
			mu.Unlock()
		}
	}()
	part := make([]byte, 16<<10)
	for i := range uint32(100) {
		id := 1 + 2*i
		if i%2 == 0 {
			k.post(id, "x-read", "1")
		} else {
			k.post(id)
		}
		for range 5 {
			mu.Lock()
			for window < int64(len(part))+256 && !over {
				wide.Wait()
			}
			if over {
				mu.Unlock()
				t.Fatalf("stream %d: the connection ended", id)
			}
			window -= int64(len(part))
			mu.Unlock()
			if i%3 == 0 {
				k.must(k.WriteDataPadded(id, false, part[:len(part)-201], make([]byte, 200)))
			} else {
				k.must(k.WriteData(id, false, part))
			}
		}
		k.must(k.WriteRSTStream(id, http2.ErrCodeCancel))
	}
}

// TestSettingsInFlight: a window that becomes negative, a table that goes away and
// comes back, and frames of another size, while an answer is under way.
func TestSettingsInFlight(t *testing.T) {
	body := strings.Repeat("0123456789", 30<<10)
	s := start(t, false, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
		s.WriteHead(200, wire.Fields{{Name: "x-same", Value: "value"}, {Name: "x-own", Value: r.Target}}, int64(len(body)))
		s.Write([]byte(body))
	}))
	k := dial(t, s, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 20000})
	for i := range uint32(20) {
		id := 1 + 2*i
		k.must(k.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 20000}))
		k.headers(id, true, ":method", "GET", ":scheme", "https", ":path", "/"+strings.Repeat("p", int(i)), ":authority", "localhost")
		e := k.wantStatus(id, "200")
		if v := e.header[1].Value; len(v) != int(i)+1 {
			t.Fatalf("stream %d: %+v", id, e.header)
		}
		var got strings.Builder
		for got.Len() < 20000 {
			e, ok := k.next()
			if !ok || e.kind != http2.FrameData {
				t.Fatalf("got %+v", e)
			}
			got.WriteString(e.data)
		}
		size := []uint32{0, 4096, 100, 65536}[i%4]
		k.ReadMetaHeaders.SetAllowedMaxDynamicTableSize(4096)
		k.must(k.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: size}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20}))
		k.must(k.WriteWindowUpdate(0, 400000))
		k.must(k.WriteWindowUpdate(id, 19990)) // 0 now
		k.must(k.WriteWindowUpdate(id, 400000))
		for end := false; !end; {
			e, ok := k.next()
			if !ok || e.kind != http2.FrameData {
				t.Fatalf("got %+v", e)
			}
			got.WriteString(e.data)
			end = e.end
		}
		if got.String() != body {
			t.Fatalf("stream %d: another body, of %d bytes", id, got.Len())
		}
	}
}

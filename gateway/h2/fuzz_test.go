package h2_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"headgate/gateway/h2"
	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// FuzzConn sends any bytes behind the preface. The server must neither panic nor
// hang, and everything it sends must be frames that a client can read.
func FuzzConn(f *testing.F) {
	seed := func(write func(fr *http2.Framer)) {
		var b bytes.Buffer
		fr := http2.NewFramer(&b, nil)
		fr.AllowIllegalWrites = true
		fr.WriteSettings()
		write(fr)
		f.Add(b.Bytes())
	}
	get := []byte{0x82, 0x87, 0x84}
	post := []byte{0x83, 0x87, 0x84}
	seed(func(fr *http2.Framer) {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: get, EndStream: true, EndHeaders: true})
		fr.WritePing(false, [8]byte{})
		fr.WriteRSTStream(1, http2.ErrCodeCancel)
	})
	seed(func(fr *http2.Framer) {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: post, EndHeaders: true, PadLength: 3})
		fr.WriteDataPadded(1, false, []byte("abc"), make([]byte, 9))
		fr.WriteData(1, true, []byte("def"))
		fr.WriteWindowUpdate(1, 5)
		fr.WriteWindowUpdate(0, 5)
	})
	seed(func(fr *http2.Framer) {
		fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 50}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: post[:1], Priority: http2.PriorityParam{StreamDep: 3}})
		fr.WriteContinuation(1, true, post[1:])
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: get, EndStream: true, EndHeaders: true})
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0, 1, 'a', 1, 'b'}, EndStream: true, EndHeaders: true})
		fr.WriteGoAway(0, 0, nil)
		fr.WritePriority(1, http2.PriorityParam{})
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		near, far := net.Pipe()
		near.SetDeadline(time.Now().Add(30 * time.Second))
		s := h2.NewServer(nil)
		s.Configure(h2.Settings{MaxStreams: 4, HeadBytes: 2000, Fields: 10})
		done := make(chan struct{})
		go func() {
			defer close(done)
			sock := socket.New(far, nil)
			s.ServeConn(sock, sock, nil, handlerFunc(fuzzed))
		}()
		read := make(chan error, 1)
		go func() { read <- readFrames(near) }()
		io.WriteString(near, http2.ClientPreface)
		near.Write(data)
		near.SetReadDeadline(time.Now().Add(time.Millisecond))
		if err := <-read; err != nil {
			t.Error(err)
		}
		near.Close()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatal("the connection has not ended")
		}
		s.Close()
	})
}

func fuzzed(s wire.Stream, r *wire.Request) {
	if r.Refusal == nil {
		io.Copy(io.Discard, s)
	}
	s.WriteHead(200, r.Fields, -1)
	s.Write([]byte("some bytes"))
}

// readFrames reads until the connection ends, and says what is wrong with what it reads.
func readFrames(c net.Conn) error {
	b, _ := io.ReadAll(c)
	for fr := http2.NewFramer(nil, bytes.NewReader(b)); ; {
		switch _, err := fr.ReadFrame(); err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF: // the client has gone in the middle
			return nil
		default:
			return err
		}
	}
}

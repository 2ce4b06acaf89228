package h2_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"headgate/gateway/h2"
	"headgate/gateway/socket"
	"headgate/gateway/wire"
)

// frames reads everything that the server sends, so that it never has to wait.
// PINGs are not answered then.
func (k *script) frames() <-chan event {
	k.mute = true
	c := make(chan event, 10_000)
	over := make(chan struct{})
	k.tb.Cleanup(func() {
		k.c.Close() // it may be by now
		<-over      // it logs
	})
	go func() {
		defer close(over)
		defer close(c)
		for {
			e, ok := k.next()
			if !ok {
				return
			}
			c <- e
		}
	}()
	return c
}

// goAways returns the codes and last streams of the GOAWAYs up to the end.
func goAways(c <-chan event) (list []event) {
	for e := range c {
		if e.kind == http2.FrameGoAway {
			list = append(list, e)
		}
	}
	return list
}

func TestIdleConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		k, _, done := pipe(t, h2.Settings{IdleTimeout: time.Minute}, echo)
		c := k.frames()
		time.Sleep(40 * time.Second)
		k.request(1, true)
		<-done
		list := goAways(c)
		if took := time.Since(begun).Round(time.Second); took < 100*time.Second || took > 103*time.Second {
			t.Errorf("it ended after %v, want 100 s", took)
		}
		if len(list) != 2 || list[0].last != 1<<31-1 || list[1].last != 1 || list[1].code != http2.ErrCodeNo {
			t.Errorf("GOAWAYs: %+v", list)
		}
	})
}

func TestStreamKeepsConnectionFromBeingIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _, done := pipe(t, h2.Settings{IdleTimeout: time.Minute}, handlerFunc(func(s wire.Stream, r *wire.Request) {
			time.Sleep(time.Hour)
			answer(s, 200, "late")
		}))
		c := k.frames()
		k.request(1, true)
		if e := <-c; e.status != "200" {
			t.Errorf("got %+v", e)
		}
		<-done
	})
}

func TestPrefaceAndHeadHaveATimeout(t *testing.T) {
	for name, sent := range map[string]string{
		"nothing":       "",
		"half preface":  http2.ClientPreface[:10],
		"preface":       http2.ClientPreface,
		"half settings": http2.ClientPreface + "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00",
		"half header":   http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00",
		"half headers":  http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x10\x01\x05\x00\x00\x00\x01\x82",
		"no end":        http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x01\x01\x01\x00\x00\x00\x01\x82",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				s := h2.NewServer(nil)
				defer s.Close()
				s.Configure(h2.Settings{HeaderTimeout: 10 * time.Second, IdleTimeout: time.Hour})
				go io.Copy(io.Discard, near)
				go io.WriteString(near, sent)
				begun := time.Now()
				sock := socket.New(far, nil)
				s.ServeConn(sock, sock, nil, echo)
				if took := time.Since(begun); took < 10*time.Second || took > 12*time.Second {
					t.Errorf("it ended after %v, want 10 s", took)
				}
				near.Close()
			})
		})
	}
}

func TestSlowBodyIsNoSlowHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _, _ := pipe(t, h2.Settings{HeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}, echo)
		c := k.frames()
		k.post(1)
		frame := append([]byte{0, 0, 100, 0, 1, 0, 0, 0, 1}, make([]byte, 100)...)
		for _, b := range frame {
			k.c.Write([]byte{b})
			if b == 0 {
				time.Sleep(time.Second / 2)
			}
		}
		if e := <-c; e.status != "200" {
			t.Errorf("got %+v", e)
		}
	})
}

func TestReadTimeoutAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _, _ := pipe(t, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
			p := make([]byte, 10)
			s.SetReadTimeout(5 * time.Second)
			begun := time.Now()
			if n, err := s.Read(p); n != 2 || err != nil {
				t.Errorf("Read = %d, %v", n, err)
			}
			if _, err := s.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 9*time.Second {
				t.Errorf("Read: %v after %v", err, time.Since(begun))
			}
			s.SetReadTimeout(0)
			time.AfterFunc(time.Hour, s.StopRead)
			for range 2 {
				if _, err := s.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Read after StopRead: %v", err)
				}
			}
			if !s.Unread() {
				t.Error("the body was not read")
			}
			answer(s, 200, "")
		}))
		c := k.frames()
		k.post(1)
		time.Sleep(4 * time.Second)
		k.must(k.WriteData(1, false, []byte("ab")))
		if e := <-c; e.status != "200" || !e.end {
			t.Errorf("got %+v", e)
		}
		if e := <-c; e.kind != http2.FrameRSTStream || e.code != http2.ErrCodeNo {
			t.Errorf("got %+v, want a reset without error", e)
		}
	})
}

func TestWriteTimeoutForTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		k, _, _ := pipe(t, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
			if r.Target == "/other" {
				answer(s, 200, "")
				return
			}
			s.SetWriteTimeout(10 * time.Second)
			s.WriteHead(200, nil, -1)
			begun := time.Now()
			_, err := s.Write(make([]byte, 100_000))
			if took := time.Since(begun); took != 18*time.Second {
				t.Errorf("Write ended after %v, want 18 s", took)
			}
			_, again := s.Write([]byte("x"))
			ended <- errors.Join(err, again)
		}))
		c := k.frames()
		k.request(1, true)
		time.Sleep(8 * time.Second)
		k.must(k.WriteWindowUpdate(1, 1)) // it takes something, but not enough
		k.must(k.WriteWindowUpdate(0, 1))
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: %v", err)
		}
		k.headers(3, true, ":method", "GET", ":scheme", "https", ":path", "/other", ":authority", "a")
		var reset, other bool
		for !reset || !other {
			e := <-c
			reset = reset || e.kind == http2.FrameRSTStream && e.stream == 1 && e.code == http2.ErrCodeCancel
			other = other || e.stream == 3 && e.status == "200"
		}
	})
}

func TestWriteTimeoutForTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _, done := pipe(t, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
			s.SetWriteTimeout(10 * time.Second)
			s.WriteHead(200, nil, -1)
			for {
				if _, err := s.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}))
		for range 3 { // what is written before anybody asks for a timeout
			if _, err := k.ReadFrame(); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		k.request(1, true)
		<-done // nobody has read
		if took := time.Since(begun); took < 10*time.Second || took > 25*time.Second {
			t.Errorf("the connection ended after %v, want 10 s", took)
		}
	})
}

func TestShutdownLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s, done := pipe(t, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
			time.Sleep(5 * time.Second)
			answer(s, 200, "whole")
		}))
		c := make(chan event, 100)
		pings := make(chan [8]byte, 1)
		go func() {
			defer close(c)
			for {
				f, err := k.ReadFrame()
				if err != nil {
					return
				}
				switch f := f.(type) {
				case *http2.PingFrame:
					pings <- f.Data
				case *http2.GoAwayFrame:
					c <- event{kind: http2.FrameGoAway, last: f.LastStreamID, code: f.ErrCode}
				case *http2.DataFrame:
					c <- event{kind: http2.FrameData, stream: f.StreamID, data: string(f.Data())}
				}
			}
		}()
		k.request(1, true)
		synctest.Wait()
		var err error
		shut := make(chan struct{})
		go func() { defer close(shut); err = s.Shutdown(context.Background()) }()
		if e := <-c; e.last != 1<<31-1 {
			t.Errorf("first GOAWAY: %+v", e)
		}
		ping := <-pings
		k.request(3, true) // begun before it knew
		k.must(k.WritePing(true, ping))
		if e := <-c; e.kind != http2.FrameGoAway || e.last != 3 || e.code != http2.ErrCodeNo {
			t.Errorf("second GOAWAY: %+v", e)
		}
		k.request(5, true) // against its word
		var sum uint32
		for range 2 {
			e := <-c
			if sum += e.stream; e.data != "whole" {
				t.Errorf("got %+v, want the answer on 1 or 3", e)
			}
		}
		if sum != 1+3 {
			t.Error("an answer is missing")
		}
		if e, ok := <-c; ok {
			t.Errorf("got %+v behind the end", e)
		}
		k.c.Close()
		<-shut
		<-done
		if err != nil {
			t.Error(err)
		}
	})
}

func TestShutdownGivesUpAndCloseCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		k, s, done := pipe(t, h2.Settings{}, handlerFunc(func(s wire.Stream, r *wire.Request) {
			<-s.Context().Done()
			close(ended)
		}))
		k.frames()
		k.request(1, true)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		s.Close()
		<-ended
		<-done
	})
}

// The workers that are not needed any more end, though the server goes on.
func TestIdleWorkersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := h2.NewServer(nil) // not closed: the bubble would not end with a goroutine in it
		go func() {
			sock := socket.New(far, nil)
			s.ServeConn(sock, sock, nil, echo)
		}()
		k := begin(t, near)
		k.frames()
		for i := range 50 {
			k.request(uint32(2*i+1), true)
		}
		synctest.Wait()
		near.Close()
		time.Sleep(time.Minute)
	})
}

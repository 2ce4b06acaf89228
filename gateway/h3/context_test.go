package h3_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"

	"headgate/gateway/h3"
	"headgate/gateway/wire"
)

// waiting starts a server whose requests wait until their context has ended.
func waiting(t *testing.T) (s *server, begun, ended <-chan struct{}) {
	b, e := make(chan struct{}, 1), make(chan struct{}, 1)
	s = start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		ctx := s.Context()
		if ctx != s.Context() || ctx.Err() != nil {
			t.Error("the context is another one, or has ended")
		}
		b <- struct{}{}
		<-ctx.Done()
		e <- struct{}{}
	})
	return s, b, e
}

func TestContextEndsWithReset(t *testing.T) {
	s, begun, ended := waiting(t)
	st := raw(t, s.dial(nil), true, getHead().frame())
	recv(t, "the request", begun)
	st.CancelRead(0x10c)
	recv(t, "the end of its context", ended)
}

func TestContextEndsWithConnection(t *testing.T) {
	s, begun, ended := waiting(t)
	c := s.dial(nil)
	raw(t, c, true, getHead().frame())
	recv(t, "the request", begun)
	_ = c.CloseWithError(0x100, "")
	recv(t, "the end of its context", ended)
}

// TestContextSaysWhoHasGone: the context knows it also when it is asked for, or
// looked at, only after the client has gone.
func TestContextSaysWhoHasGone(t *testing.T) {
	begun, got := make(chan struct{}), make(chan error, 2)
	s := start(t, h3.Settings{}, func(s wire.Stream, r *wire.Request) {
		early := s.Context()
		begun <- struct{}{}
		_, _ = io.ReadAll(s)
		got <- early.Err()
		got <- s.Context().Err()
	})
	c := s.dial(nil)
	raw(t, c, false, join(postHead().frame(), data("part")))
	recv(t, "the request", begun)
	_ = c.CloseWithError(0x100, "")
	for range 2 {
		if err := recv(t, "the end of the body", got); err != context.Canceled {
			t.Errorf("got %v, want that it has ended", err)
		}
	}
}

func TestContextEndsWithServe(t *testing.T) {
	kept := make(chan context.Context, 2)
	s := start(t, h3.Settings{}, func(s wire.Stream, r *wire.Request) {
		ctx := s.Context()
		if r.Target == "/watched" {
			ctx.Done()
		}
		kept <- ctx
		answer(s, 200, "ok")
	})
	c := s.client()
	for _, path := range []string{"/", "/watched"} {
		get(t, c, path)
		recv(t, "the end of the context", (<-kept).Done())
	}
}

// TestResetWhileReading: half a request gets no answer.
func TestResetWhileReading(t *testing.T) {
	reading, errs := make(chan struct{}), make(chan error, 1)
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		ctx := s.Context()
		close(reading)
		_, err := io.ReadAll(s)
		errs <- err
		<-ctx.Done()
	})
	st := raw(t, s.dial(nil), false, join(postHead().frame(), data("part")))
	recv(t, "the request", reading)
	st.CancelWrite(quic.StreamErrorCode(0x10c))
	if err := recv(t, "the end of the body", errs); err == nil || !strings.Contains(err.Error(), "the client reset the stream with code 0x10c") {
		t.Errorf("got %v", err)
	}
	if got := read(st); code(got.err) != "stream 0x102" {
		t.Errorf("the client got %s", code(got.err))
	}
}

func TestWriteToOneWhoHasGone(t *testing.T) {
	gone, errs := make(chan struct{}), make(chan error, 1)
	s := start(t, h3.Settings{}, func(s wire.Stream, _ *wire.Request) {
		s.WriteHead(200, nil, -1)
		_ = s.Flush()
		<-gone
		for {
			if _, err := s.Write(make([]byte, 5000)); err != nil {
				errs <- err
				return
			}
		}
	})
	st := raw(t, s.dial(nil), true, getHead().frame())
	if _, err := st.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	st.CancelRead(0x10c)
	close(gone)
	if err := recv(t, "the error of Write", errs); !strings.Contains(err.Error(), "the client reset the stream with code 0x10c") {
		t.Errorf("got %v", err)
	}
}

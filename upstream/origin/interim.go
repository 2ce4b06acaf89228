package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"runtime/debug"
	"strconv"
	"sync"
)

// interims hands on interim responses from a goroutine of its own: the one that
// reads them must not wait for a client, since of HTTP/2 it reads for all.
type interims struct {
	f   func(status int, header http.Header)
	end context.CancelCauseFunc // of the exchange

	mu    sync.Mutex // guards the fields below
	count int
	queue chan interim
	over  bool
	done  chan struct{} // closed when f is not called any more
	panic any           // of f; read after done
}

type interim struct {
	status int
	header http.Header
}

var errInterims = errors.New("more than " + strconv.Itoa(maxInterim) + " interim responses")

// add is httptrace.ClientTrace.Got1xxResponse.
func (i *interims) add(status int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.count++; i.count > maxInterim {
		return errInterims
	}
	h := http.Header(header)
	if cause, _ := fault(h); i.over || cause != "" {
		return nil
	}
	forClient(h)
	if i.queue == nil {
		i.queue, i.done = make(chan interim, maxInterim), make(chan struct{})
		go i.run()
	}
	i.queue <- interim{status, h} // there is room for all
	return nil
}

func (i *interims) run() {
	defer close(i.done)
	defer i.recover()
	for one := range i.queue {
		i.f(one.status, one.header)
	}
}

// recover keeps a panic of f and ends the exchange: nobody above this goroutine
// would recover it.
func (i *interims) recover() {
	switch p := recover(); p {
	case nil:
		return
	case http.ErrAbortHandler:
		i.panic = p
	default:
		i.panic = fmt.Sprintf("%v\n\n%s", p, debug.Stack()) // which says where
	}
	i.end(errGivenUp)
}

// finish waits until everything has been handed on. It returns what the caller is
// to panic with, or nil. A nil one has nothing.
func (i *interims) finish() any {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	i.over = true
	if i.queue != nil {
		close(i.queue)
	}
	i.mu.Unlock()
	if i.done == nil {
		return nil
	}
	<-i.done
	return i.panic
}

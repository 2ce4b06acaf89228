package origin

import (
	"errors"
	"net/http"
	"net/textproto"
	"strconv"
	"sync"
)

// interims hands on interim responses from a goroutine of its own: the one that
// reads them must not wait for a client, since of HTTP/2 it reads for all.
type interims struct {
	f func(status int, header http.Header)

	mu    sync.Mutex // guards the fields below
	count int
	queue chan interim
	over  bool
	done  chan struct{} // closed when f is not called any more
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
	for one := range i.queue {
		i.f(one.status, one.header)
	}
}

// finish waits until everything has been handed on. A nil one has nothing.
func (i *interims) finish() {
	if i == nil {
		return
	}
	i.mu.Lock()
	i.over = true
	if i.queue != nil {
		close(i.queue)
	}
	i.mu.Unlock()
	if i.done != nil {
		<-i.done
	}
}

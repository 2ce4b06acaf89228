package uwsgi_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
)

// shopkeeper is a real uWSGI that is stopped, started, reloaded and beaten while
// posts keep coming. Its app writes down which attempt it runs before it reads
// the body.
type shopkeeper struct {
	t                 *testing.T
	socket, fifo, log string
	processes         int

	mu              sync.Mutex        // guards the fields below
	proven          map[string]string // attempts that never ran, and what said so
	lost            []string
	answered, tries int
}

func newShopkeeper(t *testing.T, processes int) *shopkeeper {
	t.Helper()
	dir := shortDir(t)
	k := &shopkeeper{
		t: t, socket: filepath.Join(dir, "u.sock"), fifo: filepath.Join(dir, "fifo"), log: filepath.Join(dir, "log"),
		processes: processes, proven: map[string]string{},
	}
	if err := os.WriteFile(k.log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k.open()
	return k
}

func (k *shopkeeper) open() {
	k.t.Helper()
	startUWSGI(k.t, unixAt(k.socket), "--socket", k.socket, "--processes", strconv.Itoa(k.processes), "--master-fifo", k.fifo, "--disable-logging")
}

func (k *shopkeeper) say(command string) {
	k.t.Helper()
	waitFor(k.t, "masters that listen", func() bool {
		f, err := os.OpenFile(k.fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return false
		}
		defer f.Close()
		_, err = f.WriteString(command)
		return err == nil
	})
}

// restart stops all with a command, and starts all anew after a pause. A command
// may get lost while uWSGI starts, and a second one does no harm.
func (k *shopkeeper) restart(command string, pause time.Duration) {
	k.t.Helper()
	said := time.Time{}
	waitFor(k.t, "closed listeners", func() bool {
		c, err := net.Dial("unix", k.socket)
		if err != nil {
			return !errors.Is(err, syscall.EAGAIN)
		}
		c.Close()
		if time.Since(said) > 3*time.Second {
			said = time.Now()
			k.say(command)
		}
		return false
	})
	<-time.After(pause)
	k.open()
}

// killWorker kills the worker that began the last request.
func (k *shopkeeper) killWorker() {
	k.t.Helper()
	lines := k.ran()
	pid, _, _ := strings.Cut(lines[len(lines)-1], " ")
	if n, err := strconv.Atoi(pid); err == nil && n > 1 {
		_ = syscall.Kill(n, syscall.SIGKILL) // or it is gone already
	}
}

// ran returns the lines "PID ATTEMPT" of what was begun.
func (k *shopkeeper) ran() []string {
	k.t.Helper()
	b, err := os.ReadFile(k.log)
	if err != nil {
		k.t.Fatal(err)
	}
	return strings.Split(string(bytes.TrimSpace(b)), "\n")
}

// customer posts until done is closed. What never ran is sent again with the same
// body and another number.
func (k *shopkeeper) customer(tr *uwsgi.Transport, name, size int, done <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		body := &watchedBody{r: strings.NewReader(strings.Repeat("x", size))}
		for try := 0; !k.post(tr, fmt.Sprintf("%d.%d.%d", name, i, try), body, size, i%2 == 0); try++ {
			<-time.After(2 * time.Millisecond)
		}
	}
}

// post makes one attempt, and reports whether there is an answer, or may have been.
func (k *shopkeeper) post(tr *uwsgi.Transport, id string, body *watchedBody, size int, hand bool) bool {
	req := get("/once")
	req.Method, req.Body, req.ContentLength, req.Query = "POST", body, int64(size), k.log
	req.Header = uwsgi.HeaderFields{"X-Id": {id}}
	if hand {
		req.Rewind = func() (io.Reader, error) { return nil, io.ErrUnexpectedEOF }
	}
	resp, err := tr.Do(k.t.Context(), req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tries++
	var e *uwsgi.Error
	switch {
	case err == nil:
		k.answered++
		return true
	case errors.As(err, &e) && e.NeverRan:
		if body.read.Load() != 0 {
			k.t.Errorf("%s: %d bytes of the body were read: %v", id, body.read.Load(), err)
		}
		if e.Stage != uwsgi.StageDial {
			k.proven[id] = err.Error()
		}
		return false
	}
	k.lost = append(k.lost, id+": "+err.Error())
	return true
}

// judge compares what was told with what was run.
func (k *shopkeeper) judge() {
	k.t.Helper()
	times := map[string]int{}
	for _, line := range k.ran() {
		_, id, _ := strings.Cut(line, " ")
		if times[id]++; times[id] > 1 {
			k.t.Errorf("%s ran twice", id)
		}
		if cause, ok := k.proven[id]; ok {
			k.t.Errorf("%s ran and was said not to have: %s", id, cause)
		}
	}
	k.t.Logf("%d attempts, %d answered, %d begun; %d resets that prove that nobody ran them; %d lost", k.tries, k.answered, len(times), len(k.proven), len(k.lost))
	for i, l := range k.lost {
		if i < 5 {
			k.t.Log("lost: ", l)
		}
	}
}

// trade runs f while customers post bodies of 100 bytes and of 64 KiB.
func (k *shopkeeper) trade(f func()) {
	tr := newTransport(k.t, unixAt(k.socket), uwsgi.Options{Dialect: uwsgi.DialectUWSGI, ResponseTimeout: 10 * time.Second})
	done := make(chan struct{})
	var all sync.WaitGroup
	for i := range 4 * k.processes {
		all.Go(func() { k.customer(tr, i, []int{100, 64 << 10}[i%2], done) })
	}
	f()
	close(done)
	all.Wait()
	k.judge()
}

// TestRealUWSGIStopped: what was said never to have run did not run, whatever
// happens to the server. One that is stopped in good order loses nothing, and
// otherwise a worker loses what it was at.
func TestRealUWSGIStopped(t *testing.T) {
	t.Parallel()
	const processes, rounds, pause = 2, 2, 200 * time.Millisecond
	for _, tt := range []struct {
		name string
		lost int // at most
		beat func(k *shopkeeper)
	}{
		{"stop", 0, func(k *shopkeeper) { k.restart("q", pause) }},
		{"brutal stop", rounds * processes, func(k *shopkeeper) { k.restart("Q", pause) }},
		{"brutal reload", rounds * processes, func(k *shopkeeper) { k.say("R") }},
		{"kill", rounds, func(k *shopkeeper) { k.killWorker() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := newShopkeeper(t, processes)
			k.trade(func() {
				for range rounds {
					<-time.After(300 * time.Millisecond)
					tt.beat(k)
				}
				<-time.After(300 * time.Millisecond)
			})
			if k.answered == 0 || len(k.lost) > tt.lost {
				t.Errorf("%d were answered, %d lost", k.answered, len(k.lost))
			}
		})
	}
}

package gateway

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"headgate/gateway/config"
	"headgate/gateway/expression"
	"headgate/gateway/forwarded"
	"headgate/gateway/notation"
)

// maintenance answers 503 to all but a few, while it is on.
type maintenance struct {
	switched *atomic.Bool // by an operator; of the whole site
	site     string
	on       bool
	flag     *flagFile           // nil: none
	when     *expression.Program // nil: none
	except   *expression.Program // nil: nobody
	allow    forwarded.Trust
	retry    time.Duration
	page     *pageFile // nil: a plain one
}

// newMaintenance makes what c says; nil is what holds for every site, that an
// operator can switch it on.
func newMaintenance(c *config.Maintenance, site string, switched *atomic.Bool) (*maintenance, error) {
	m := &maintenance{switched: switched, site: site, retry: 5 * time.Minute}
	if c == nil {
		return m, nil
	}
	m.on, m.retry = c.On == notation.On, c.RetryAfter
	if c.Flag != "" {
		m.flag = &flagFile{path: c.Flag}
	}
	var err error
	if m.allow, err = forwarded.ParseTrust(c.Allow); err != nil {
		return nil, fmt.Errorf("maintenance.allow: %w", err)
	}
	if m.when, err = condition("maintenance.when", c.When); err != nil {
		return nil, err
	}
	if m.except, err = condition("maintenance.except", c.Except); err != nil {
		return nil, err
	}
	if c.File != "" {
		if m.page, err = newPageFile(c.File); err != nil {
			return nil, fmt.Errorf("maintenance.file: %w", err)
		}
	}
	return m, nil
}

// condition compiles one that may be absent.
func condition(key, source string) (*expression.Program, error) {
	if source == "" {
		return nil, nil
	}
	p, err := expression.Compile(source, expression.Bool)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return p, nil
}

// maintained lets nobody pass, but for a few, while there is maintenance.
type maintained struct {
	next action
	by   *maintenance
}

func (a *maintained) serve(x *exchange) {
	if !a.by.stops(x) {
		a.next.serve(x)
	}
}

// stops answers x if it has to wait until the maintenance is over. What the gateway
// itself leads a request to goes on: it was let through. One that was rewritten is as
// if the client had asked so.
func (m *maintenance) stops(x *exchange) bool {
	if x.answering != nil && !x.answering.sameRequest() || !m.active(x) || m.passes(x) {
		return false
	}
	f := m.failure()
	if m.page != nil {
		x.note(f)
		m.page.serve(x, f)
	} else {
		x.fail(f)
	}
	return true
}

func (m *maintenance) failure() *failure {
	f := &failure{
		status: http.StatusServiceUnavailable, kind: "maintenance",
		cause: "the site " + m.site + " is under maintenance", cure: m.cure(),
	}
	return f.retryIn(m.retry)
}

func (m *maintenance) active(x *exchange) bool {
	switch {
	case m.on, m.switched.Load(), m.flag != nil && m.flag.exists(x.entry.Time):
		return true
	case m.when == nil:
		return false
	}
	on, err := m.when.Bool(x.view())
	return on || err != nil // nobody passes by a request that confuses the condition
}

func (m *maintenance) passes(x *exchange) bool {
	if m.allow.Contains(x.client.Addr()) {
		return true
	}
	if m.except == nil {
		return false
	}
	ok, err := m.except.Bool(x.view())
	return ok && err == nil
}

// cure says how to end it.
func (m *maintenance) cure() string {
	switch {
	case m.switched.Load():
		return "headgate maintenance off " + quoted(m.site)
	case m.on:
		return "remove maintenance from the configuration and reload"
	case m.flag != nil && m.flag.there.Load():
		return "remove the file " + m.flag.path
	}
	return "it ends when the condition maintenance.when does"
}

// flagFile is a file whose existence is the message. It is looked for at most once
// in a while.
type flagFile struct {
	path  string
	next  atomic.Int64 // when to look again, as Unix nanoseconds
	there atomic.Bool
}

const flagPause = 200 * time.Millisecond

func (f *flagFile) exists(now time.Time) bool {
	n := now.UnixNano()
	if next := f.next.Load(); n >= next && f.next.CompareAndSwap(next, n+int64(flagPause)) {
		_, err := os.Stat(f.path)
		f.there.Store(err == nil)
	}
	return f.there.Load()
}

// switches are what operators have switched on for sites. They outlive generations.
type switches struct {
	mu  sync.Mutex // guards the field below
	all map[string]*atomic.Bool
}

// of returns that of a site.
func (s *switches) of(site string) *atomic.Bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]*atomic.Bool)
	}
	b := s.all[site]
	if b == nil {
		b = new(atomic.Bool)
		s.all[site] = b
	}
	return b
}

// on reports whether a site is switched on.
func (s *switches) on(site string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.all[site]
	return b != nil && b.Load()
}

// quoted is the name of a site as a shell takes it.
func quoted(site string) string {
	if strings.Contains(site, "*") {
		return "'" + site + "'"
	}
	return site
}

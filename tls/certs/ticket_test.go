package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

// anySession offers the last session wherever it goes, as an attacker would.
type anySession struct{ last *tls.ClientSessionState }

func (a *anySession) Get(string) (*tls.ClientSessionState, bool) { return a.last, a.last != nil }
func (a *anySession) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		a.last = s
	}
}

func TestNoResumptionAcrossPolicies(t *testing.T) {
	ca, other := newClientCA(t, "Staff"), newClientCA(t, "Other")
	roots := file(t, "ca.pem", certPEM(ca.certs[0]))
	both := file(t, "ca.pem", certPEM(ca.certs[0], other.certs[0]))
	s := siteStore(t, nil, certs.Options{},
		certs.Site{Hosts: []string{"open.test", "open2.test"}},
		authSite("staff.test", certs.ClientAuth{CA: roots}),
		authSite("staff2.test", certs.ClientAuth{CA: file(t, "copy.pem", certPEM(ca.certs[0]))}), // means the same
		authSite("maybe.test", certs.ClientAuth{CA: roots, Mode: "request"}),
		authSite("both.test", certs.ClientAuth{CA: both}),
	)
	ann := ca.client(t, 0)
	hosts := []string{"open.test", "open2.test", "staff.test", "staff2.test", "maybe.test", "both.test"}
	policy := map[string]string{"open.test": "0", "open2.test": "0", "staff.test": "1", "staff2.test": "1", "maybe.test": "2", "both.test": "3"}
	for v, version := range versions {
		for _, from := range hosts {
			for _, to := range hosts {
				cache := &anySession{}
				first, second := visitor(from, version, ann), visitor(to, version, ann)
				first.ClientSessionCache, second.ClientSessionCache = cache, cache
				if m := meet(t, s.TLSConfig(), first); m.err != nil || m.client.DidResume || cache.last == nil {
					t.Fatalf("%s %s: %v, resumed %v, ticket %v", v, from, m.err, m.client.DidResume, cache.last)
				}
				m := meet(t, s.TLSConfig(), second)
				want := policy[from] == policy[to]
				if m.err != nil || m.client.DidResume != want {
					t.Errorf("%s: a ticket of %s at %s: %v, resumed %v, want %v", v, from, to, m.err, m.client.DidResume, want)
				}
				if to != "open.test" && to != "open2.test" && len(m.server.VerifiedChains) == 0 {
					t.Errorf("%s: a ticket of %s at %s: no certificate", v, from, to)
				}
				// Who has no certificate of its own cannot enter with a ticket.
				third := visitor("staff.test", version)
				third.ClientSessionCache = &anySession{cache.last}
				if m := meet(t, s.TLSConfig(), third); policy[to] != "1" && m.err == nil {
					t.Errorf("%s: a ticket of %s lets a client without a certificate into staff.test", v, to)
				}
			}
		}
	}
}

// memory is a storage that several Stores share, and that can fail.
type memory struct {
	mu     sync.Mutex // guards the fields below
	values map[string][]byte
	locks  map[string]bool
	err    error
	stores int
}

func newMemory() *memory { return &memory{values: map[string][]byte{}, locks: map[string]bool{}} }

func (m *memory) Load(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	if m.err == nil && !ok {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(v), m.err
}

func (m *memory) Store(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.values[key] = bytes.Clone(value)
		m.stores++
	}
	return m.err
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return m.err
}

func (m *memory) List(_ context.Context, prefix string, _ bool) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for k := range m.values {
		if strings.HasPrefix(k, path.Clean(prefix)+"/") {
			out = append(out, k)
		}
	}
	return out, m.err
}

func (m *memory) Lock(ctx context.Context, name string) error {
	for {
		if ok, err := m.TryLock(ctx, name); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (m *memory) TryLock(_ context.Context, name string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil || m.locks[name] {
		return false, m.err
	}
	m.locks[name] = true
	return true, nil
}

func (m *memory) Unlock(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.locks, name)
	return nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memory) set(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = []byte(value)
}

func (m *memory) get(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.values[key])
}

// keysIn counts the keys of a list in the storage.
func (m *memory) keysIn(t *testing.T, key string) int {
	t.Helper()
	var list []any
	if err := json.Unmarshal([]byte(m.get(key)), &list); err != nil {
		t.Fatalf("%s: %v in %q", key, err, m.get(key))
	}
	return len(list)
}

const ticketKey = "tickets/keys.json"

// member is one gateway of several with the same storage.
func member(t *testing.T, m *memory, j *journal, pair certs.Pair, o certs.Options, sites ...certs.Site) *certs.Store {
	t.Helper()
	s := certs.New(certs.Setup{Log: j.log(), Storage: func(context.Context, string) (certs.Storage, error) { return m, nil }})
	o.Storage, o.Certificates = "redis://localhost:6379/0", []certs.Pair{pair}
	s.Swap(siteSet(t, s, o, append(sites, certs.Site{Hosts: []string{"a.test"}})...))
	run(t, s.RunPolling)
	return s
}

// opens reports whether b opens tickets of a.
func opens(t *testing.T, a, b *certs.Store) bool {
	t.Helper()
	c := visitor("a.test", 0)
	c.ClientSessionCache = &anySession{}
	if m := meet(t, a.TLSConfig(), c); m.err != nil || m.client.DidResume {
		t.Fatalf("first handshake: %v, resumed %v", m.err, m.client.DidResume)
	}
	m := meet(t, b.TLSConfig(), c)
	if m.err != nil {
		t.Fatal(m.err)
	}
	return m.client.DidResume
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestGatewaysShareTickets: at every moment of two days, each opens what the other
// has made.
func TestGatewaysShareTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		m, pair := newMemory(), sharedPair(t)
		a := member(t, m, &j, pair, certs.Options{})
		pass(17 * time.Second)
		b := member(t, m, &j, pair, certs.Options{})
		pass(3 * time.Second)
		first := m.get(ticketKey)
		for i := range 2 * 24 * 2 {
			if !opens(t, a, b) || !opens(t, b, a) || !opens(t, a, a) {
				t.Fatalf("after %v: tickets are not shared", time.Duration(i)*30*time.Minute)
			}
			// Around a rotation twice a minute.
			if i%24 == 23 || i%24 == 0 {
				for range 60 {
					pass(30 * time.Second)
					if !opens(t, a, b) || !opens(t, b, a) {
						t.Fatalf("around %v: tickets are not shared", time.Duration(i)*30*time.Minute)
					}
				}
				continue
			}
			pass(30 * time.Minute)
		}
		if n := m.keysIn(t, ticketKey); n != 3 || m.get(ticketKey) == first {
			t.Errorf("%d keys after two days, want 3", n)
		}
		if m.stores > 5 {
			t.Errorf("%d writes in two days", m.stores)
		}
		if j.count("level=ERROR") > 0 {
			t.Errorf("the log complains:\n%s", j.buf.String())
		}
	})
}

// TestRestartKeepsTickets: keys are in the storage, and so is what was handed out
// before they were.
func TestRestartKeepsTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		m, pair := newMemory(), sharedPair(t)
		a := member(t, m, &j, pair, certs.Options{})
		c := visitor("a.test", 0)
		c.ClientSessionCache = &anySession{}
		meet(t, a.TLSConfig(), c) // perhaps before Run has looked at the storage
		pass(time.Second)
		b := member(t, m, &j, pair, certs.Options{})
		pass(time.Second)
		if m := meet(t, b.TLSConfig(), c); m.err != nil || !m.client.DidResume {
			t.Errorf("after a restart: %v, resumed %v", m.err, m.client.DidResume)
		}
	})
}

func TestTicketStorageFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		m, pair := newMemory(), sharedPair(t)
		a, b := member(t, m, &j, pair, certs.Options{}), member(t, m, &j, pair, certs.Options{})
		pass(2 * time.Second)
		m.fail(errors.New("connection refused"))
		for range 13 {
			pass(time.Hour)
			if !opens(t, a, b) {
				t.Fatal("keys are lost while the storage fails")
			}
		}
		if n := j.count("cannot be shared through the storage"); n != 2 {
			t.Errorf("two gateways complain %d times:\n%s", n, j.buf.String())
		}
		m.fail(nil)
		pass(2 * time.Minute)
		if n := j.count("ticket keys are kept and shared again"); n != 2 {
			t.Errorf("two gateways are content %d times:\n%s", n, j.buf.String())
		}
		if n := m.keysIn(t, ticketKey); n != 2 {
			t.Errorf("%d keys, want 2: the one that was due for an hour is there", n)
		}
		for _, bad := range []string{"", "junk", "[]", "{}", `[{"made":"2026-01-01T00:00:00Z","secret":"AAAA"}]`, strings.Repeat("[", 1<<20)} {
			m.set(ticketKey, bad)
			pass(2 * time.Minute)
			if n := m.keysIn(t, ticketKey); n != 2 || !opens(t, a, b) || !opens(t, b, a) {
				t.Errorf("%.20q: it is replaced by %d keys", bad, n)
			}
		}
		if n := j.count("are damaged and are replaced"); n != 6 {
			t.Errorf("damage is reported %d times, want 6:\n%s", n, j.buf.String())
		}
	})
}

// TestClocksDiffer: a gateway whose clock is a year off neither stops the others
// from rotating, nor makes them write all the time.
func TestClocksDiffer(t *testing.T) {
	for _, off := range []time.Duration{-365 * 24 * time.Hour, 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var j journal
			m, pair := newMemory(), sharedPair(t)
			made, err := json.Marshal(time.Now().Add(off))
			if err != nil {
				t.Fatal(err)
			}
			m.set(ticketKey, `[{"made":`+string(made)+`,"secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}]`)
			a, b := member(t, m, &j, pair, certs.Options{}), member(t, m, &j, pair, certs.Options{})
			pass(2 * time.Minute)
			for range 30 {
				pass(time.Hour)
				if !opens(t, a, b) || !opens(t, b, a) {
					t.Fatal("tickets are not shared")
				}
			}
			if m.stores != 3 {
				t.Errorf("%d writes in 30 hours, want 3", m.stores)
			}
		})
	}
}

// FuzzSharedKeys: whatever is in the storage, handshakes go on and good keys take
// its place.
func FuzzSharedKeys(f *testing.F) {
	for _, v := range []string{"", "null", "[]", "[null]", `[{"made":"2026-01-01T00:00:00Z","secret":"AAAA"}]`, `[{"made":"2000-01-01T00:00:00Z","secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","config":"/g0AQwA=","public_name":"cover.test"}]`} {
		f.Add([]byte(v))
	}
	pair := sharedPair(f)
	f.Fuzz(func(t *testing.T, value []byte) {
		synctest.Test(t, func(t *testing.T) {
			var j journal
			m := newMemory()
			m.set(ticketKey, string(value))
			m.set(echKey, string(value))
			s := member(t, m, &j, pair, echOptions)
			pass(2 * time.Second)
			if !opens(t, s, s) {
				t.Error("tickets are not opened")
			}
			if m := meet(t, s.TLSConfig(), hidden("a.test", record(t, s))); m.err != nil {
				t.Error(m.err)
			}
			if m.keysIn(t, ticketKey) == 0 || m.keysIn(t, echKey) == 0 {
				t.Error("bad keys stay in the storage")
			}
		})
	})
}

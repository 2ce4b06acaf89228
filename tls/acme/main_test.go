package acme_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	hg "headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is an authority, and a gateway that answers it.
type stage struct {
	ca         *pebbletest.CA
	storage    *memory
	challenges *certs.Challenges
	journal    *journal
	authority  certs.Authority // to make more issuers of
}

// newStage starts an authority and what answers its challenges.
func newStage(t *testing.T, o pebbletest.Options) *stage {
	t.Helper()
	w := &stage{storage: newMemory(), journal: &journal{}}
	w.challenges = certs.NewChallenges(w.storage)
	o.HTTPPort, o.TLSPort = w.answerHTTP(t), w.answerTLS(t)
	w.ca = pebbletest.Start(t, o)
	w.authority = certs.Authority{
		Name: "test", Email: "ops@headgate.test", Storage: w.storage, Challenges: w.challenges, Log: w.journal.log(),
		Options: certs.ACMEOptions{Directory: w.ca.Directory, Roots: w.ca.RootsFile},
	}
	return w
}

func (w *stage) answerHTTP(t *testing.T) int {
	t.Helper()
	l := listen(t)
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.URL.Path, "/.well-known/acme-challenge/")
		text, ok := w.challenges.Text(r.Context(), token)
		if !ok {
			http.NotFound(rw, r)
			return
		}
		_, _ = rw.Write(text)
	})}
	serve(t, server, func() error { return server.Serve(l) })
	return l.Addr().(*net.TCPAddr).Port
}

func (w *stage) answerTLS(t *testing.T) int {
	t.Helper()
	l := listen(t)
	server := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), TLSConfig: &tls.Config{
		NextProtos: []string{certs.ALPNProto},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return w.challenges.Certificate(hello.Context(), hello.ServerName), nil
		},
	}}
	server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		certs.ALPNProto: func(_ *http.Server, c *tls.Conn, _ http.Handler) { _ = c.Close() },
	}
	serve(t, server, func() error { return server.ServeTLS(l, "", "") })
	return l.Addr().(*net.TCPAddr).Port
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serve(t *testing.T, server *http.Server, run func() error) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); _ = run() }() // ends with Close
	t.Cleanup(func() { _ = server.Close(); <-done })
}

// issuer makes a gateway's issuer; change may be nil.
func (w *stage) issuer(t *testing.T, change func(*certs.Authority)) *hg.Issuer {
	t.Helper()
	a := w.authority
	if change != nil {
		change(&a)
	}
	i, err := hg.New(a)
	if err != nil {
		t.Fatal(err)
	}
	return i.(*hg.Issuer)
}

// with is an issuer that proves control by the challenges.
func with(challenges ...string) func(*certs.Authority) {
	return func(a *certs.Authority) {
		for _, c := range challenges {
			a.Options.Challenges = append(a.Options.Challenges, certs.ChallengeOptions{Type: c})
		}
	}
}

// obtain gets a certificate for names or fails the test.
func (w *stage) obtain(t *testing.T, i *hg.Issuer, names ...string) (certs.Issued, *x509.Certificate) {
	t.Helper()
	return w.order(t, i, certs.Order{Names: names, Key: newKey(t)})
}

func (w *stage) order(t *testing.T, i *hg.Issuer, o certs.Order) (certs.Issued, *x509.Certificate) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), orderTime)
	defer cancel()
	got, err := i.Obtain(ctx, o)
	if err != nil {
		t.Fatalf("obtain %v: %v", o.Names, err)
	}
	return got, w.verify(t, got, o.Names...)
}

// verify checks a chain as a browser would.
func (w *stage) verify(t *testing.T, got certs.Issued, names ...string) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(got.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	between := x509.NewCertPool()
	for _, der := range got.Chain[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		between.AddCert(c)
	}
	for _, name := range names {
		o := x509.VerifyOptions{DNSName: name, Roots: w.ca.Root(), Intermediates: between}
		if _, err := leaf.Verify(o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	return leaf
}

// fails is an Obtain that has to fail in little time, with an error that says all
// of the words.
func fails(t *testing.T, ctx context.Context, i *hg.Issuer, name string, words ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	_, err := i.Obtain(ctx, certs.Order{Names: []string{name}, Key: newKey(t)})
	says(t, err, words...)
	return err
}

func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	t.Logf("error: %v", err)
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

// memory is a storage that can be looked into and made to fail.
type memory struct {
	mu     sync.Mutex // guards the fields below
	values map[string][]byte
	locks  map[string]chan struct{}
	fail   func(op, key string) error
}

func newMemory() *memory {
	return &memory{values: map[string][]byte{}, locks: map[string]chan struct{}{}}
}

func (m *memory) failing(f func(op, key string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

func (m *memory) do(ctx context.Context, op, key string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	fail := m.fail
	m.mu.Unlock()
	if fail != nil {
		if err := fail(op, key); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return f()
}

func (m *memory) Load(ctx context.Context, key string) (value []byte, err error) {
	err = m.do(ctx, "load", key, func() error {
		v, ok := m.values[key]
		if !ok {
			return fs.ErrNotExist
		}
		value = bytes.Clone(v)
		return nil
	})
	return value, err
}

func (m *memory) Store(ctx context.Context, key string, value []byte) error {
	return m.do(ctx, "store", key, func() error { m.values[key] = bytes.Clone(value); return nil })
}

func (m *memory) Delete(ctx context.Context, key string) error {
	return m.do(ctx, "delete", key, func() error { delete(m.values, key); return nil })
}

func (m *memory) List(context.Context, string, bool) ([]string, error) { return m.keys(""), nil }

func (m *memory) lock(name string) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] == nil {
		m.locks[name] = make(chan struct{}, 1)
	}
	return m.locks[name]
}

func (m *memory) Lock(ctx context.Context, name string) error {
	select {
	case m.lock(name) <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) TryLock(_ context.Context, name string) (bool, error) {
	select {
	case m.lock(name) <- struct{}{}:
		return true, nil
	default:
		return false, nil
	}
}

func (m *memory) Unlock(_ context.Context, name string) error { <-m.lock(name); return nil }

func (m *memory) keys(part string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m.values)) {
		if strings.Contains(k, part) {
			out = append(out, k)
		}
	}
	return out
}

// account returns the key and the value of the one account.
func (m *memory) account(t *testing.T) (key, value string) {
	t.Helper()
	keys := m.keys("acme/")
	if len(keys) != 1 {
		t.Fatalf("accounts in the storage: %v, want one", keys)
	}
	v, err := m.Load(t.Context(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	return keys[0], string(v)
}

// journal is a log that tests can read.
type journal struct {
	mu  sync.Mutex // guards the field below
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (j *journal) has(level slog.Level, text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.buf.String()) {
		if strings.Contains(line, "level="+level.String()) && strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// problem answers one kind of request with a problem.
func problem(kind string, a *pebbletest.Answer) func(pebbletest.Request) *pebbletest.Answer {
	return func(r pebbletest.Request) *pebbletest.Answer {
		if r.Kind == kind {
			return a
		}
		return nil
	}
}

const soon = 100 * time.Millisecond

// silence is an address where connections are taken and nothing is ever said.
func silence(t *testing.T) net.Listener {
	t.Helper()
	l := listen(t)
	var group sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		group.Wait()
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return l
}

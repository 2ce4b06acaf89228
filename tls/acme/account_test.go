package acme_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

func TestAccountSurvivesARestart(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	w.obtain(t, w.issuer(t, nil), "before.example.com")
	w.obtain(t, w.issuer(t, nil), "after.example.com")
	o := w.ca.Orders()
	if o[0].Account == "" || o[0].Account != o[1].Account {
		t.Errorf("accounts = %q and %q, want the same", o[0].Account, o[1].Account)
	}
	if n := w.ca.Count("newAccount"); n != 1 {
		t.Errorf("%d registrations, want 1", n)
	}
	key, value := w.storage.account(t)
	if !strings.HasSuffix(key, "/ops@headgate.test.json") || !strings.Contains(value, o[0].Account) || !strings.Contains(value, "mailto:ops@headgate.test") {
		t.Errorf("stored at %s: %s, want URL and contact", key, value)
	}
}

// TestKilledBetweenRegisteringAndSaving: the key is in the storage before the
// authority hears of it, so that the same account is found again.
func TestKilledBetweenRegisteringAndSaving(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	var keyFirst atomic.Bool
	w.ca.Fault(func(r pebbletest.Request) *pebbletest.Answer {
		if r.Kind != "newAccount" {
			return nil
		}
		keyFirst.Store(len(w.storage.keys("acme/")) == 1)
		return &pebbletest.Answer{Lost: true} // registered, and the gateway never hears of it
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := fails(t, ctx, w.issuer(t, nil), "lost.example.com", "account")
	noRefusal(t, err)
	if !keyFirst.Load() {
		t.Error("the key was not in the storage when the account was registered")
	}
	_, value := w.storage.account(t)
	var before, after struct{ Key, Location string }
	if err := json.Unmarshal([]byte(value), &before); err != nil || before.Location != "" {
		t.Errorf("stored = %s, %v, want a key and no URL", value, err)
	}
	w.ca.Fault(nil)
	w.obtain(t, w.issuer(t, nil), "lost.example.com")
	_, value = w.storage.account(t)
	if err := json.Unmarshal([]byte(value), &after); err != nil || after.Key != before.Key || after.Location == "" {
		t.Errorf("stored = %s, %v, want the same key and a URL", value, err)
	}
}

func TestStorageThatTakesNothing(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	full := errors.New("no space left on device")
	w.storage.failing(func(op, key string) error {
		if op == "store" && strings.HasPrefix(key, "acme/") {
			return full
		}
		return nil
	})
	err := fails(t, t.Context(), w.issuer(t, nil), "full.example.com", "whose key cannot be kept")
	if !errors.Is(err, full) {
		t.Errorf("error %q does not wrap the storage's", err)
	}
	if n := w.ca.Count("newAccount"); n != 0 {
		t.Errorf("%d registrations of a key that is lost, want none", n)
	}
	var stores atomic.Int32
	w.storage.failing(func(op, key string) error {
		if op == "store" && strings.HasPrefix(key, "acme/") && stores.Add(1) > 1 {
			return full
		}
		return nil
	})
	w.obtain(t, w.issuer(t, nil), "full.example.com") // the key is kept: good enough
	if !w.journal.has(slog.LevelWarn, "cannot be kept") {
		t.Error("nothing is logged")
	}
	w.storage.failing(func(op, key string) error {
		if op == "load" && strings.HasPrefix(key, "acme/") {
			return errors.New("input/output error")
		}
		return nil
	})
	fails(t, t.Context(), w.issuer(t, nil), "unread.example.com", "input/output error")
	if n := w.ca.Count("newAccount"); n != 1 {
		t.Errorf("%d registrations, want 1: a storage that cannot be read has not lost the account", n)
	}
}

func TestCorruptedAccount(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	w.obtain(t, w.issuer(t, nil), "one.example.com")
	key, value := w.storage.account(t)
	half := value[:len(value)/2]
	if err := w.storage.Store(t.Context(), key, []byte(half)); err != nil {
		t.Fatal(err)
	}
	w.obtain(t, w.issuer(t, nil), "two.example.com")
	broken := w.storage.keys(".broken-")
	if len(broken) != 1 {
		t.Fatalf("moved aside: %v, want one", broken)
	}
	if got, _ := w.storage.Load(t.Context(), broken[0]); string(got) != half {
		t.Error("what was moved aside has changed")
	}
	if !w.journal.has(slog.LevelError, "cannot be read") {
		t.Error("no error is logged")
	}
	if o := w.ca.Orders(); o[0].Account == o[1].Account {
		t.Error("the account is the old one, want another")
	}
}

func TestAuthorityThatWasReset(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i, other := w.issuer(t, nil), w.issuer(t, nil)
	w.obtain(t, i, "one.example.com")
	w.obtain(t, other, "other.example.com")
	_, before := w.storage.account(t)
	w.ca.Restart()
	w.obtain(t, i, "two.example.com")
	_, after := w.storage.account(t)
	if before == after {
		t.Error("the account's URL in the storage is the old one")
	}
	registered := w.ca.Count("newAccount")
	w.obtain(t, other, "three.example.com") // finds what the first has registered
	w.obtain(t, w.issuer(t, nil), "four.example.com")
	if n := w.ca.Count("newAccount"); n != registered {
		t.Errorf("%d more registrations, want none", n-registered)
	}
	if !w.journal.has(slog.LevelWarn, "has forgotten the account") {
		t.Error("nothing is logged")
	}
}

func TestContactThatChanges(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	w.obtain(t, w.issuer(t, nil), "one.example.com")
	w.obtain(t, w.issuer(t, func(a *certs.Authority) { a.Email = "Ops@headgate.test" }), "two.example.com")
	key, value := w.storage.account(t)
	if !strings.Contains(value, "mailto:Ops@headgate.test") {
		t.Errorf("%s = %s, want the new address", key, value)
	}
	if n := w.ca.Count("account"); n != 1 {
		t.Errorf("%d changes of the account, want 1", n)
	}
	w.obtain(t, w.issuer(t, func(a *certs.Authority) { a.Email = "" }), "three.example.com")
	if keys := w.storage.keys("/default.json"); len(keys) != 1 {
		t.Errorf("accounts = %v, want one without an address", w.storage.keys("acme/"))
	}
}

// TestBrokenAccountOfTwoGateways: the one that comes late does not move aside what
// the other has registered meanwhile.
func TestBrokenAccountOfTwoGateways(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	w.obtain(t, w.issuer(t, nil), "before.example.com")
	key, _ := w.storage.account(t)
	if err := w.storage.Store(t.Context(), key, []byte("{")); err != nil {
		t.Fatal(err)
	}
	before := w.ca.Count("newAccount")
	read, goOn := make(chan struct{}), make(chan struct{})
	slow := w.issuer(t, func(a *certs.Authority) { a.Storage = &pausing{memory: w.storage, read: read, goOn: goOn} })
	done := make(chan error, 1)
	go func() {
		_, err := slow.Obtain(t.Context(), certs.Order{Names: []string{"slow.example.com"}, Key: newKey(t)})
		done <- err
	}()
	<-read // the slow gateway has seen the broken account
	w.obtain(t, w.issuer(t, nil), "fast.example.com")
	registered, _ := w.storage.Load(t.Context(), key)
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, err := w.storage.Load(t.Context(), key); err != nil || string(got) != string(registered) {
		t.Errorf("stored = %s, %v, want what the fast gateway has registered", got, err)
	}
	if n := w.ca.Count("newAccount") - before; n != 1 {
		t.Errorf("%d registrations, want 1", n)
	}
	if broken := w.storage.keys(".broken-"); len(broken) != 1 {
		t.Errorf("moved aside: %v, want one", broken)
	}
}

// pausing is a storage whose first answer about an account takes its time.
type pausing struct {
	*memory
	once       sync.Once
	read, goOn chan struct{}
}

func (p *pausing) Load(ctx context.Context, key string) ([]byte, error) {
	v, err := p.memory.Load(ctx, key)
	if strings.HasPrefix(key, "acme/") {
		p.once.Do(func() { close(p.read); <-p.goOn })
	}
	return v, err
}

// TestRemovedAccountIsMadeAnew: the cure of the message works without a restart.
func TestRemovedAccountIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newStage(t, pebbletest.Options{})
	i := w.issuer(t, with("http-01"))
	w.obtain(t, i, "a.example.com")
	key, _ := w.storage.account(t)
	w.ca.Fault(problem("newOrder", pebbletest.Problem(401, "unauthorized", "account is deactivated", "")))
	fails(t, t.Context(), i, "b.example.com", "remove "+key+" from the storage to have another account made")
	w.ca.Fault(nil)
	before := w.ca.Count("newAccount")
	w.obtain(t, i, "c.example.com") // it was not removed
	if n := w.ca.Count("newAccount"); n != before {
		t.Errorf("%d registrations, want none: the account is in the storage", n-before)
	}
	w.ca.Fault(problem("newOrder", pebbletest.Problem(401, "unauthorized", "account is deactivated", "")))
	fails(t, t.Context(), i, "d.example.com")
	w.ca.Fault(nil)
	if err := w.storage.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	w.obtain(t, i, "e.example.com")
	if n := w.ca.Count("newAccount"); n != before+1 {
		t.Errorf("%d registrations, want 1: the account was removed", n-before)
	}
}

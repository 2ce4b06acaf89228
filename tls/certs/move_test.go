package certs_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

func TestCustomersMoveToAnotherStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		s := onDemand(t, r, &j, d, certs.Options{})
		asked(t, s, r, "shop.customer.net")
		next := certs.Options{Storage: storage(t), OnDemand: certs.OnDemandOptions{Ask: "https://app.example.com/allowed"}}
		p := plan(next, "")
		p.Ask = d.ask
		set, err := s.Build(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		s.Swap(set)
		time.Sleep(3 * time.Hour)
		again := onDemand(t, r, &j, d, next)
		asked(t, again, r, "shop.customer.net")
		if n := r.count(""); n != 1 {
			t.Errorf("%d orders, want 1: the customer's certificate was never stored in the new storage", n)
		}
	})
}

func TestReloadDuringAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.takes = 10 * time.Second
		s := remoteStore(t, r, &j, certs.Options{Storage: storage(t)}, "a.example.com")
		time.Sleep(3 * time.Second)
		next := certs.Options{Storage: storage(t)}
		swap(t, s, next, "a.example.com")
		time.Sleep(3 * time.Hour)
		remoteStore(t, r, &j, next, "a.example.com")
		time.Sleep(time.Minute)
		if n := r.count(""); n != 1 {
			t.Errorf("%d orders, want 1: what was under way at the reload is in the old storage only", n)
		}
	})
}

// tardy is a storage that is away: every call takes its time, and fails.
type tardy struct{ certs.Storage }

func (tardy) Load(ctx context.Context, _ string) ([]byte, error) {
	select {
	case <-time.After(200 * time.Millisecond):
	case <-ctx.Done():
	}
	return nil, errors.New("i/o timeout")
}

func (tardy) TryLock(ctx context.Context, _ string) (bool, error) {
	_, err := tardy{}.Load(ctx, "")
	return false, err
}

func TestLocalNamesWhileTheStorageIsAway(t *testing.T) {
	var j journal
	r := newRemote(t)
	set := r.setup(&j)
	set.Storage = func(context.Context, string) (certs.Storage, error) { return tardy{}, nil }
	s := certs.New(set)
	var hosts []string
	for i := range 40 {
		hosts = append(hosts, fmt.Sprintf("n%d.localhost", i))
	}
	swap(t, s, certs.Options{Storage: "redis://127.0.0.1:1/0"}, hosts...)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var worst time.Duration
	for _, h := range hosts {
		wg.Go(func() {
			begin := time.Now()
			_, _ = s.Get(&tls.ClientHelloInfo{ServerName: h})
			mu.Lock()
			worst = max(worst, time.Since(begin))
			mu.Unlock()
		})
	}
	wg.Wait()
	if worst > 2*time.Second {
		t.Errorf("a handshake for a local name took %s", worst)
	}
}

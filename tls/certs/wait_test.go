package certs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

func TestStorageReplacedByReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		s := remoteStore(t, r, &j, certs.Options{Storage: storage(t)}, "a.example.com")
		time.Sleep(time.Second)
		next := certs.Options{Storage: storage(t)}
		swap(t, s, next, "a.example.com")
		time.Sleep(5 * time.Hour)
		again := remoteStore(t, r, &j, next, "a.example.com")
		time.Sleep(10 * time.Second)
		_ = again
		if n := r.count(""); n != 1 {
			t.Errorf("%d orders, want 1: the certificate was never stored in the new storage", n)
		}
	})
}

func TestDueStoredCertificateIsShownWhileItIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		o := certs.Options{Storage: storage(t)}
		o.OnDemand.Ask = "https://app.example.com/allowed"
		first := certs.New(r.setup(&j))
		p := plan(o, "")
		p.Ask = d.ask
		set, err := first.Build(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		first.Swap(set)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- first.RunPolling(ctx) }()
		asked(t, first, r, "shop.customer.net")
		time.Sleep(time.Second)
		cancel()
		<-done
		time.Sleep(70 * 24 * time.Hour) // 20 days are left
		r.do(func() { r.takes = 4 * time.Minute })
		again := onDemand(t, r, &j, d, o) // a restart
		begin := time.Now()
		asked(t, again, r, "shop.customer.net")
		if took := time.Since(begin); took > time.Second {
			t.Errorf("a handshake of a name with a good certificate took %s", took)
		}
	})
}

func TestListedDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		o := certs.Options{Storage: storage(t)}
		ctx, cancel := context.WithCancel(t.Context())
		one := certs.New(r.setup(&j))
		swap(t, one, o, "a.example.com")
		done := make(chan error)
		go func() { done <- one.RunPolling(ctx) }()
		time.Sleep(time.Second)
		cancel()
		<-done
		time.Sleep(70 * 24 * time.Hour)
		r.do(func() { r.takes = 4 * time.Minute })
		again := certs.New(r.setup(&j))
		swap(t, again, o, "a.example.com")
		begin := time.Now()
		asked(t, again, r, "a.example.com") // before the loop has looked
		if took := time.Since(begin); took > 50*time.Millisecond {
			t.Errorf("a handshake of a site with a good certificate took %s", took)
		}
		run(t, again.RunPolling)
	})
}

type noDelete struct {
	certs.Storage
	on atomic.Bool
}

func (n *noDelete) Delete(ctx context.Context, key string) error {
	if n.on.Load() && strings.HasSuffix(key, ".pending.key") {
		return errors.New("killed here")
	}
	return n.Storage.Delete(ctx, key)
}

func TestRevokeUsesAnotherKeyThoughThePendingOneIsStillThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		set := r.setup(&j)
		open := set.Storage
		var nd *noDelete
		set.Storage = func(ctx context.Context, url string) (certs.Storage, error) {
			st, err := open(ctx, url)
			nd = &noDelete{Storage: st}
			nd.on.Store(true)
			return nd, err
		}
		s := runningStore(t, set, certs.Options{}, "a.example.com")
		time.Sleep(time.Second)
		nd.on.Store(false)
		c1, _ := s.Get(&tls.ClientHelloInfo{ServerName: "a.example.com"})
		if err := s.Revoke(t.Context(), "a.example.com", 1); err != nil {
			t.Fatal(err)
		}
		c2, _ := s.Get(&tls.ClientHelloInfo{ServerName: "a.example.com"})
		if c1.Leaf.Equal(c2.Leaf) {
			t.Fatal("same cert")
		}
		if c1.PrivateKey.(*ecdsa.PrivateKey).Equal(c2.PrivateKey) {
			t.Error("revoked for key compromise, and the new certificate has the same key")
		}
	})
}

func TestAStrangerCannotSpoilAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := opened(t, strings.TrimPrefix(storage(t), "file:"))
		orders, answers := certs.NewChallenges(st), certs.NewChallenges(st)
		leaf, key := newAuthority(t).leaf(t, order{names: []string{"a.example.com"}})
		if answers.Certificate(t.Context(), "a.example.com") != nil { // a stranger, every two seconds
			t.Fatal("answer before there is one")
		}
		if err := orders.PutCertificate(t.Context(), "a.example.com", &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond) // the authority comes
		if answers.Certificate(t.Context(), "a.example.com") == nil {
			t.Error("the authority gets no answer: the stranger's miss is believed for two seconds")
		}
	})
}

func TestRateCountsOrdersThatAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		r.refuse = func(int, certs.Order) error { return errors.New("connection refused") }
		s := onDemand(t, r, &j, d, certs.Options{OnDemand: certs.OnDemandOptions{Rate: 5}})
		for range 55 {
			for i := range 5 {
				_, _ = s.Get(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("n%d.customer.net", i)})
			}
			time.Sleep(time.Minute)
		}
		if n := r.count(""); n > 5 {
			t.Errorf("%d orders on demand within an hour, and rate is 5", n)
		}
	})
}

func TestStorageOutageDoesNotBurnTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		o := certs.Options{Storage: storage(t), OnDemand: certs.OnDemandOptions{Rate: 3}}
		first := onDemand(t, r, &j, d, o)
		for i := range 3 {
			asked(t, first, r, fmt.Sprintf("n%d.customer.net", i))
		}
		time.Sleep(2 * time.Hour)
		asked(t, first, r, "late.customer.net")
		time.Sleep(2 * time.Hour)

		set := r.setup(&j)
		f := withFaults(&set)
		again := certs.New(set) // a restart while the storage is down
		o.OnDemand.Ask = "https://app.example.com/allowed"
		p := plan(o, "")
		p.Ask = d.ask
		b, err := again.Build(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		again.Swap(b)
		run(t, again.RunPolling)
		down := func(op, key string) error { return errors.New("redis is down") }
		f.set(down)
		for i := range 3 {
			_, _ = again.Get(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("n%d.customer.net", i)})
		}
		_, _ = again.Get(&tls.ClientHelloInfo{ServerName: "late.customer.net"})
		f.set(nil)
		time.Sleep(10 * time.Minute)
		if n := again.Counts().Limited; n > 0 {
			t.Errorf("%d names with certificates in the storage were refused for the rate of orders", n)
		}
		// new customer is refused as well
		if c, _ := again.Get(&tls.ClientHelloInfo{ServerName: "new.customer.net"}); c == nil {
			t.Error("a new customer is refused for an hour: rate was used up by names that needed no order")
		}
	})
}

func TestRenewEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.takes = 4 * time.Minute
		s := remoteStore(t, r, &j, certs.Options{}, "a.example.com")
		time.Sleep(time.Second) // an order is under way
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		_ = s.Renew(ctx, "a.example.com")
		if took := time.Since(begin); took > 11*time.Second {
			t.Errorf("Renew returned %s after its context had 10s", took)
		}
	})
}

func TestAnotherKindOfKeyKeepsTheCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		set := r.setup(&j)
		f := withFaults(&set)
		o := certs.Options{Storage: storage(t)}
		s := runningStore(t, set, o, "a.example.com")
		time.Sleep(time.Second)
		f.set(func(op, key string) error { return errors.New("redis is down") })
		o.ACME.Keys = []string{"p256", "rsa2048"}
		swap(t, s, o, "a.example.com")
		time.Sleep(time.Second)
		if _, real := asked(t, s, r, "a.example.com"); !real {
			t.Error("a site that had a certificate shows an interim one after a reload")
		}
	})
}

func TestPendingNamesAreNotLookedUpAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.takes = 2 * time.Second
		set := r.setup(&j)
		f := withFaults(&set)
		var looks atomic.Int64
		f.set(func(op, key string) error {
			if op == "load" && strings.HasSuffix(key, "p256.pem") {
				looks.Add(1)
			}
			return nil
		})
		var hosts []string
		for i := range 400 {
			hosts = append(hosts, fmt.Sprintf("n%d.example.com", i))
		}
		runningStore(t, set, certs.Options{}, hosts...)
		time.Sleep(2 * time.Minute)
		if r.count("") != 400 {
			t.Fatalf("%d orders", r.count(""))
		}
		if n := looks.Load(); n > 10*400 {
			t.Errorf("%d looks for the certificates of 400 names", n)
		}
	})
}

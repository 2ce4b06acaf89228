package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

func TestBrokenIntermediateIsOrderedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		o := certs.Options{Storage: storage(t)}
		remoteStore(t, r, &j, o, "a.example.com")
		time.Sleep(time.Second)
		file := filepath.Join(strings.TrimPrefix(o.Storage, "file:"), "certificates", "a.example.com", "p256.pem")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.LastIndex(data, []byte("-----BEGIN CERT"))
		block, _ := pem.Decode(data[i:])
		block.Bytes[5] ^= 0x55
		if err := os.WriteFile(file, append(data[:i:i], pem.EncodeToMemory(block)...), 0o600); err != nil {
			t.Fatal(err)
		}
		again := remoteStore(t, r, &j, o, "a.example.com")
		time.Sleep(3 * time.Hour)
		if n := r.count(""); n != 2 {
			t.Errorf("%d orders in three hours, want another one: %+v", n, again.Snapshot()[0].Err)
		}
	})
}

type gate struct {
	certs.Storage
	held atomic.Pointer[chan struct{}]
	in   atomic.Int64
}

func (g *gate) Load(ctx context.Context, key string) ([]byte, error) {
	v, err := g.Storage.Load(ctx, key)
	if c := g.held.Load(); c != nil && strings.HasSuffix(key, "p256.pem") && g.in.Add(1) == 1 {
		<-*c
	}
	return v, err
}

func TestTakeOverOfABrokenCertificateWhileAnOrderFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		r.refuse = func(int, certs.Order) error { return errors.New("connection refused") }
		set := r.setup(&j)
		open := set.Storage
		var g *gate
		set.Storage = func(ctx context.Context, url string) (certs.Storage, error) {
			st, err := open(ctx, url)
			g = &gate{Storage: st}
			return g, err
		}
		o := certs.Options{Storage: storage(t)}
		dir := strings.TrimPrefix(o.Storage, "file:")
		write(t, filepath.Join(dir, "certificates", "a.example.com", "p256.pem"), []byte("half a file"))
		_ = os.Chmod(dir, 0o700)
		runningStore(t, set, o, "a.example.com")
		time.Sleep(time.Second) // one failure, the next try in five seconds
		c := make(chan struct{})
		g.held.Store(&c)
		write(t, filepath.Join(dir, "certificates", "journal.json"), []byte(`{"seq":7,"changes":[{"seq":7,"name":"a.example.com","kind":"p256"}]}`))
		time.Sleep(8 * time.Second) // follow's look hangs, the order fails again
		close(c)
		time.Sleep(time.Second)
	})
}

func TestAppThatIsSilentDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		r.life = 9 * time.Hour
		o := certs.Options{Storage: storage(t), OnDemand: certs.OnDemandOptions{Rate: 100000, Ask: "https://app.example.com/allowed"}}
		s := onDemand(t, r, &j, d, o, "a.example.com")
		for i := range 300 {
			asked(t, s, r, fmt.Sprintf("n%d.customer.net", i))
		}
		time.Sleep(5 * time.Hour)
		var fails []time.Time
		r.do(func() {
			r.refuse = func(n int, o certs.Order) error {
				if o.Names[0] == "a.example.com" {
					r.do(func() { fails = append(fails, time.Now()) })
				}
				return errors.New("connection refused")
			}
		})
		d.mu.Lock()
		d.takes = time.Hour // it hangs until askTimeout
		d.mu.Unlock()
		asks := d.asked.Load()
		time.Sleep(70 * time.Minute)
		r.do(func() {
			for i := 1; i < min(5, len(fails)); i++ {
				t.Logf("gap %d: %s", i, fails[i].Sub(fails[i-1]))
			}
			if len(fails) > 1 && fails[1].Sub(fails[0]) > time.Minute {
				t.Errorf("the second try of a listed name came %s after the first, back-off is 5s", fails[1].Sub(fails[0]))
			}
		})
		t.Logf("%d asks of 300 names within the 10 minutes since they are due", d.asked.Load()-asks)
	})
}

// A silent app is asked at its own pace, however many other flights end.
func TestSilentAppIsNotAskedAtEveryWakeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		r.life = 9 * time.Hour
		o := certs.Options{Storage: storage(t), OnDemand: certs.OnDemandOptions{Rate: 100000, Ask: "https://app.example.com/allowed"}}
		s := onDemand(t, r, &j, d, o, "localhost")
		for i := range 20 {
			asked(t, s, r, fmt.Sprintf("n%d.customer.net", i))
		}
		time.Sleep(330 * time.Minute)
		d.set(true) // down
		time.Sleep(time.Hour)
		d.asked.Store(0)
		for i := range 60 { // strangers, one a second
			_, _ = s.Get(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("x%d.localhost", i)})
			time.Sleep(time.Second)
		}
		if n := d.asked.Load(); n > 2*20 {
			t.Errorf("an app that is down was asked %d times in a minute about 20 names, while a stranger asked for names below localhost", n)
		}
	})
}

func TestStagingOfAnotherGatewayDoesNotReplaceProduction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		prod, staging := newRemote(t), newRemote(t)
		o := certs.Options{Storage: storage(t)}
		s := remoteStore(t, prod, &j, o, "a.example.com")
		time.Sleep(10 * time.Second)
		if _, real := asked(t, s, prod, "a.example.com"); !real {
			t.Fatal("no certificate")
		}
		o.ACME.Directory = "https://acme-staging-v02.api.letsencrypt.org/directory"
		remoteStore(t, staging, &j, o, "a.example.com") // somebody tries something on another gateway
		time.Sleep(10 * time.Second)
		if _, real := asked(t, s, prod, "a.example.com"); !real {
			t.Error("the gateway with the production authority shows the certificate of the staging authority")
		}
		time.Sleep(24 * time.Hour)
		if n := prod.count("") + staging.count(""); n > 4 {
			t.Errorf("%d orders for one name in a day (%d production)", n, prod.count(""))
		}
	})
}

func TestReloadWhileTheStorageIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRemote(t)
		set := r.setup(&j)
		f := withFaults(&set)
		o := certs.Options{Storage: storage(t)}
		s := runningStore(t, set, o, "a.example.com", "localhost")
		time.Sleep(time.Second)
		f.set(func(op, key string) error { return errors.New("redis is down") })
		if _, err := s.Build(t.Context(), plan(o, "a.example.com", "localhost", "b.example.com")); err != nil {
			t.Errorf("no reload during an outage of the storage, though the local authority is known: %v", err)
		}
	})
}

// A private authority that hangs must not hold up the others.
func TestAuthorityThatHangsHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		good, hung := newRemote(t), newRemote(t)
		hung.takes = time.Hour
		set := setup(nil, j.log())
		set.ACME = func(a certs.Authority) (certs.Issuer, error) {
			if a.Name == "private" {
				return &client{hung, a}, nil
			}
			return &client{good, a}, nil
		}
		o := certs.Options{Storage: storage(t), Issuers: []certs.NamedACME{{Name: "private", ACMEOptions: certs.ACMEOptions{Directory: "https://ca.corp.example/dir"}}}}
		var hosts []string
		for i := range 64 {
			hosts = append(hosts, fmt.Sprintf("n%d.corp.example", i))
		}
		s := certs.New(set)
		p := certs.Plan{Options: o, Sites: []certs.Site{{Hosts: hosts, Options: certs.SiteOptions{Issuer: []string{"private"}}}}}
		b, err := s.Build(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		s.Swap(b)
		run(t, s.RunPolling)
		time.Sleep(time.Second)
		p.Sites = append(p.Sites, certs.Site{Hosts: []string{"a.example.com"}})
		b, err = s.Build(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		s.Swap(b)
		begin := time.Now()
		for good.count("") == 0 && time.Since(begin) < time.Hour {
			time.Sleep(time.Second)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("the order at the authority that works was placed after %s", took)
		}
	})
}

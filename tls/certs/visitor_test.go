package certs_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headgate/tls/certs"
)

// doorman answers questions for permission.
type doorman struct {
	asked atomic.Int64

	mu    sync.Mutex // guards the fields below
	takes time.Duration
	allow func(name string) bool
	down  bool
}

func (d *doorman) set(down bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
}

func (d *doorman) ask(ctx context.Context, name string) error {
	d.asked.Add(1)
	d.mu.Lock()
	takes := d.takes
	d.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return silence{}
	}
	if d.allow != nil && !d.allow(name) {
		return errors.New("no customer of ours")
	}
	return nil
}

// onDemand is a running Store of a site that answers for every name, hosts among
// them.
func onDemand(t *testing.T, r *remote, j *journal, d *doorman, o certs.Options, hosts ...string) *certs.Store {
	t.Helper()
	if o.Storage == "" {
		o.Storage = storage(t)
	}
	o.OnDemand.Ask = "https://app.example.com/allowed"
	s := certs.New(r.setup(j))
	p := plan(o, append(hosts, "")...)
	p.Ask = d.ask
	set, err := s.Build(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	s.Swap(set)
	run(t, s.RunPolling)
	return s
}

func refused(t *testing.T, s *certs.Store, name string) {
	t.Helper()
	if c, err := s.Get(&tls.ClientHelloInfo{ServerName: name}); c != nil || err != nil {
		t.Errorf("%s: %v, %v; want neither, which is the alert unrecognized_name", name, c, err)
	}
}

func TestOneQuestionAndOneOrderForManyVisitors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{takes: 50 * time.Millisecond}
		r.takes = 2 * time.Second
		s := onDemand(t, r, &j, d, certs.Options{})
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if _, real := asked(t, s, r, "shop.customer.net"); !real {
					t.Error("not the authority's certificate")
				}
			})
		}
		wg.Wait()
		if d.asked.Load() != 1 || r.count("") != 1 {
			t.Errorf("%d questions, %d orders; want one of each", d.asked.Load(), r.count(""))
		}
		if in := s.Snapshot(); len(in) != 1 || !in[0].OnDemand {
			t.Errorf("snapshot is %+v", in)
		}
	})
}

func TestNamesThatNobodyAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{allow: func(string) bool { return false }}
		s := onDemand(t, r, &j, d, certs.Options{})
		for range 100 {
			refused(t, s, "evil.example.net")
		}
		if d.asked.Load() != 1 {
			t.Errorf("%d questions for one name, want that the answer is remembered", d.asked.Load())
		}
		for i := range 40_000 {
			refused(t, s, fmt.Sprintf("x%d.example.net", i))
		}
		for _, bad := range []string{"a b", strings.Repeat("a.", 200) + "net", "../../etc/passwd", "-x.example.net", "a\x00b.net"} {
			before := d.asked.Load()
			refused(t, s, bad)
			if d.asked.Load() != before {
				t.Errorf("somebody was asked about %q", bad)
			}
		}
		if r.count("") != 0 || len(s.Snapshot()) != 0 {
			t.Errorf("%d orders, %d certificates", r.count(""), len(s.Snapshot()))
		}
		if n := s.Counts().Denied; n < 40_000 {
			t.Errorf("%d handshakes are counted as denied", n)
		}

		// They become a customer.
		d.mu.Lock()
		d.allow = nil
		d.mu.Unlock()
		time.Sleep(6 * time.Minute)
		if _, real := asked(t, s, r, "evil.example.net"); !real {
			t.Error("a name that is allowed now has no certificate")
		}
	})
}

// An app that hangs must not collect handshakes without bound.
func TestQuestionsUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{takes: time.Hour}
		s := onDemand(t, r, &j, d, certs.Options{})
		var wg sync.WaitGroup
		for i := range 2000 {
			wg.Go(func() { refused(t, s, fmt.Sprintf("x%d.example.net", i)) })
		}
		synctest.Wait()
		if n := d.asked.Load(); n != 64 {
			t.Errorf("%d questions at once, want 64", n)
		}
		wg.Wait()
	})
}

func TestRateOfOrdersOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		s := onDemand(t, r, &j, d, certs.Options{OnDemand: certs.OnDemandOptions{Rate: 3}})
		for i := range 10 {
			_, _ = s.Get(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("x%d.example.net", i)})
		}
		if r.count("") != 3 || s.Counts().Limited == 0 {
			t.Errorf("%d orders, want 3; counts are %+v", r.count(""), s.Counts())
		}
		if j.count("raise tls.on_demand.rate") != 1 {
			t.Errorf("the log says it %d times", j.count("raise tls.on_demand.rate"))
		}
		if _, real := asked(t, s, r, "x0.example.net"); !real {
			t.Error("a name that has a certificate lost it to the limit")
		}
		time.Sleep(61 * time.Minute)
		if _, real := asked(t, s, r, "x9.example.net"); !real {
			t.Error("no certificate in the next hour")
		}
	})
}

func TestPermissionIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		r.life = 3 * time.Hour
		o := certs.Options{Storage: storage(t)}
		s := onDemand(t, r, &j, d, o)
		first, _ := asked(t, s, r, "shop.customer.net")

		// A restart: the certificate is in the storage, the permission is not.
		again := onDemand(t, r, &j, d, o)
		if serial, _ := asked(t, again, r, "shop.customer.net"); serial != first || d.asked.Load() != 2 || r.count("") != 1 {
			t.Errorf("after a restart: the same %v, %d questions, %d orders", serial == first, d.asked.Load(), r.count(""))
		}

		time.Sleep(150 * time.Minute)
		if serial, _ := asked(t, s, r, "shop.customer.net"); serial == first {
			t.Error("not renewed")
		}
		d.mu.Lock()
		d.allow = func(string) bool { return false }
		d.mu.Unlock()
		before := r.count("")
		time.Sleep(4 * time.Hour)
		if r.count("") != before {
			t.Error("renewed without permission")
		}
		refused(t, s, "shop.customer.net")
	})
}

func TestOrderOnDemandThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		r.refuse = func(n int, _ certs.Order) error {
			if n == 1 {
				return &certs.Refusal{Err: errors.New("it does not point here")}
			}
			return nil
		}
		s := onDemand(t, r, &j, d, certs.Options{})
		for range 20 {
			if c, err := s.Get(&tls.ClientHelloInfo{ServerName: "shop.customer.net"}); c != nil || err == nil {
				t.Fatalf("got %v, %v", c, err)
			}
		}
		if r.count("") != 1 {
			t.Errorf("%d orders at once, want a back-off", r.count(""))
		}
		time.Sleep(20 * time.Minute)
		if _, real := asked(t, s, r, "shop.customer.net"); !real {
			t.Error("not tried again")
		}
	})
}

// silence is no answer: the app could not be asked.
type silence struct{}

func (silence) Error() string    { return "connection refused" }
func (silence) Unanswered() bool { return true }

func TestAppThatCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{down: true}
		r.life = 3 * time.Hour
		s := onDemand(t, r, &j, d, certs.Options{})
		refused(t, s, "shop.customer.net")
		d.set(false)
		refused(t, s, "shop.customer.net")
		time.Sleep(11 * time.Second)
		first, real := asked(t, s, r, "shop.customer.net")
		if !real {
			t.Error("the lack of an answer is remembered as a no")
		}

		d.set(true)
		time.Sleep(150 * time.Minute) // its renewal is due after two hours
		if serial, _ := asked(t, s, r, "shop.customer.net"); serial != first {
			t.Error("renewed without permission")
		}
		d.set(false)
		time.Sleep(2 * time.Minute)
		if serial, _ := asked(t, s, r, "shop.customer.net"); serial == first {
			t.Error("not renewed when the app is back")
		}
	})
}

// Local names cost nothing, so anybody can have as many as they like: they must not
// push out the customers.
func TestLocalNamesDoNotPushOutCustomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r, d := newRemote(t), &doorman{}
		o := certs.Options{Storage: storage(t), OnDemand: certs.OnDemandOptions{Ask: "https://app.example.com/allowed", Rate: 10_000}}
		s := onDemand(t, r, &j, d, o, "*.localhost")
		for i := range 200 {
			asked(t, s, r, fmt.Sprintf("shop%d.customer.net", i))
		}
		for i := range 2000 {
			if _, err := s.Get(&tls.ClientHelloInfo{ServerName: fmt.Sprintf("x%d.localhost", i)}); err != nil {
				t.Fatal(err)
			}
		}
		customers := 0
		for _, in := range s.Snapshot() {
			if in.Source == "acme" {
				customers++
			}
		}
		if customers != 200 {
			t.Errorf("%d of 200 customers are left", customers)
		}
		d.set(true)
		again := onDemand(t, r, &j, d, o)
		if _, real := asked(t, again, r, "shop7.customer.net"); !real {
			t.Error("a customer whose certificate is in the storage is refused while the app is down")
		}
	})
}

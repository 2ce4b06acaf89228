package certs_test

import (
	"context"
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

// slow is a storage that takes its time.
type slow struct {
	certs.Storage
	takes time.Duration
	loads atomic.Int64
	busy  atomic.Int64
	most  atomic.Int64
}

func (s *slow) Load(ctx context.Context, key string) ([]byte, error) {
	s.loads.Add(1)
	if n := s.busy.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.busy.Add(-1)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Storage.Load(ctx, key)
}

// Authorities look from several places at once, and at any gateway.
func TestChallengeOfAnotherGatewayIsAnsweredToAllWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := opened(t, strings.TrimPrefix(storage(t), "file:"))
		orders := certs.NewChallenges(st)
		behind := &slow{Storage: st, takes: 50 * time.Millisecond}
		answers := certs.NewChallenges(behind)
		const token = "the_token-1"
		if _, ok := answers.Text(t.Context(), token); ok {
			t.Fatal("an answer before there is one")
		}
		if err := orders.PutText(t.Context(), token, []byte("the answer")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // a no is remembered for a moment
		behind.loads.Store(0)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got, ok := answers.Text(t.Context(), token); !ok || string(got) != "the answer" {
					t.Errorf("got %q, %v", got, ok)
				}
			})
		}
		wg.Wait()
		if n := behind.loads.Load(); n != 1 {
			t.Errorf("%d looks at the storage, want one for all", n)
		}
		if err := orders.RemoveText(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if _, ok := answers.Text(t.Context(), token); ok {
			t.Error("an answer that was removed")
		}
	})
}

func TestTokensThatNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := opened(t, strings.TrimPrefix(storage(t), "file:"))
		behind := &slow{Storage: st, takes: 10 * time.Millisecond}
		c := certs.NewChallenges(behind)
		for range 50 {
			if _, ok := c.Text(t.Context(), "guess"); ok {
				t.Fatal("an answer")
			}
		}
		if n := behind.loads.Load(); n != 1 {
			t.Errorf("%d looks for one token at once", n)
		}
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() { c.Text(t.Context(), fmt.Sprintf("guess-%d", i)) })
		}
		wg.Wait()
		if n := behind.most.Load(); n > 32 {
			t.Errorf("%d looks at once", n)
		}
		before := behind.loads.Load()
		for _, bad := range []string{"", "a/b", "../x", "a b", strings.Repeat("a", 300), "a.b", "ä"} {
			if _, ok := c.Text(t.Context(), bad); ok {
				t.Errorf("%q has an answer", bad)
			}
		}
		if behind.loads.Load() != before {
			t.Error("the storage was asked for what cannot be a token")
		}
	})
}

func TestStorageThatFailsIsNotAMiss(t *testing.T) {
	set := setup(nil, nil)
	f := withFaults(&set)
	if _, err := set.Storage(t.Context(), storage(t)); err != nil {
		t.Fatal(err)
	}
	c := certs.NewChallenges(f)
	if err := certs.NewChallenges(f).PutText(t.Context(), "token", []byte("answer")); err != nil {
		t.Fatal(err)
	}
	f.set(func(op, _ string) error { return errors.New("connection reset") })
	if _, ok := c.Text(t.Context(), "token"); ok {
		t.Error("an answer out of nothing")
	}
	f.set(nil)
	if _, ok := c.Text(t.Context(), "token"); !ok {
		t.Error("a failure of the storage is remembered as a no")
	}
}

func TestAnswersThatACrashHasLeftAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		o := certs.Options{Storage: storage(t)}
		st := opened(t, strings.TrimPrefix(o.Storage, "file:"))
		if err := certs.NewChallenges(st).PutText(t.Context(), "left", []byte("answer")); err != nil {
			t.Fatal(err)
		}
		remoteStore(t, newRemote(t), &j, o, "a.example.com")
		time.Sleep(30 * time.Minute)
		if err := certs.NewChallenges(st).PutText(t.Context(), "fresh", []byte("answer")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		look := certs.NewChallenges(st)
		if _, ok := look.Text(t.Context(), "left"); ok {
			t.Error("an answer of before the start is still there")
		}
		if _, ok := look.Text(t.Context(), "fresh"); !ok {
			t.Error("an answer that may be waited for is gone")
		}
	})
}

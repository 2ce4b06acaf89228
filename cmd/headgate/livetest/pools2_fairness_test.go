package livetest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The load of the tests of fairness, at two workers: nine requests of ten take
// 2 ms and one takes 300 ms. Half of them come from one client of ten.
const (
	fairClients = 10
	fairRate    = 0.7 * fairFull
	fairSlow    = "/work?s=0.3"
	fairFull    = 2 / (0.9*0.002 + 0.1*0.3) // requests a second that two workers can answer
)

func fairShot(r *rand.Rand) shot {
	s := shot{path: "/work?s=0.002"}
	if r.IntN(10) == 0 {
		s.path = fairSlow
	}
	if r.IntN(2) == 0 {
		s.client = 1 + r.IntN(fairClients-1)
	}
	return s
}

// firstCome is what became of the shots if they had only to wait for each other.
func firstCome(shots []shot) outcomes {
	var free [2]time.Duration // when each worker is
	out := make(outcomes, len(shots))
	for i, s := range shots {
		w, takes := 0, 2*time.Millisecond
		if free[1] < free[0] {
			w = 1
		}
		if s.path == fairSlow {
			takes = 300 * time.Millisecond
		}
		free[w] = max(free[w], s.at) + takes
		out[i] = outcome{shot: s, ended: free[w], status: http.StatusOK}
	}
	return out
}

// contender is a server in front of two workers of its own.
type contender struct {
	name     string
	clients  func(int) *http.Client
	outcomes outcomes
}

func (c *contender) others() outcomes {
	return c.outcomes.where(func(o outcome) bool { return o.client > 0 })
}

func (c *contender) heavy() outcomes {
	return c.outcomes.where(func(o outcome) bool { return o.client == 0 })
}

// contenders are Headgate with fairness, Headgate without, and nginx.
func contenders(t *testing.T) []*contender {
	t.Helper()
	var out []*contender
	for _, fairness := range []string{"client", "off"} {
		a := startMember(t, filepath.Join(shortDir(t), "a.sock"), "a", 0, "--processes", "2")
		g := startSite(t, poolsConf{
			pools:  fmt.Sprintf("app:\n  members: [\"unix:%s\"]\n  queue: {fairness: \"%s\"}\n", a.socket, fairness),
			routes: "{pool: app}",
		})
		out = append(out, &contender{name: "fairness: " + fairness, clients: from(t, g.http, fairClients)})
	}
	a := startMember(t, filepath.Join(shortDir(t), "a.sock"), "a", 0, "--processes", "2")
	n := startNginx(t, newCertificate(t), a.socket)
	return append(out, &contender{name: "nginx", clients: from(t, n.http, fairClients)})
}

// TestFairness: at 70 % load the other clients wait less when clients take turns.
// All contenders get the same requests at the same times, in each of some rounds
// that run side by side: they sleep more than they work.
func TestFairness(t *testing.T) {
	const rounds, length = 3, 20 * time.Second
	var all [rounds][]*contender
	for i := range all {
		all[i] = contenders(t)
	}
	var wg sync.WaitGroup
	for i, round := range all {
		shots := poisson(uint64(i), fairRate, length, fairShot)
		all[i] = append(round, &contender{name: "in theory, FIFO", outcomes: firstCome(shots)})
		for _, c := range round {
			wg.Go(func() { c.outcomes = shoot(t.Context(), shots, c.clients) })
		}
	}
	wg.Wait()
	p99 := map[string][]time.Duration{}
	var table strings.Builder
	for i, round := range all {
		for _, c := range round {
			c.outcomes.wantAll(t)
			others, heavy := c.others(), c.heavy()
			p99[c.name] = append(p99[c.name], others.quantile(0.99))
			fmt.Fprintf(&table, "round %d  %-16s  the others (%d): p50 %8v  p99 %8v   the heavy one (%d): p50 %8v  p99 %8v\n", i+1, c.name,
				len(others), others.quantile(0.5), others.quantile(0.99), len(heavy), heavy.quantile(0.5), heavy.quantile(0.99))
		}
	}
	t.Logf("two workers, 70 %% load, one client of %d sends half:\n%s", fairClients, table.String())
	fair, off, nginx := middle(p99["fairness: client"]), middle(p99["fairness: off"]), middle(p99["nginx"])
	t.Logf("p99 of the others, median of the rounds: fairness: client %s, off %s, nginx %s", fair, off, nginx)
	if fair > off || fair >= nginx {
		t.Error("fairness does not help the others")
	}
}

// TestFairnessSaturated: one client sends three times what the workers can do,
// and the others hardly notice.
func TestFairnessSaturated(t *testing.T) {
	const length = 8 * time.Second
	shots := poisson(1, 3*fairFull*10/9, length, func(r *rand.Rand) shot {
		s := fairShot(r)
		s.client = 0
		if r.IntN(10) == 0 { // a third of what the workers can do
			s.client = 1 + r.IntN(fairClients-1)
		}
		return s
	})
	all := contenders(t)
	ctx, cancel := context.WithTimeout(t.Context(), length+3*time.Second) // the heavy one's last requests are given up then
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() { c.outcomes = shoot(ctx, shots, c.clients) })
	}
	wg.Wait()
	var table strings.Builder
	for _, c := range all {
		others, heavy := c.others(), c.heavy()
		fmt.Fprintf(&table, "%-16s  the others: %d of %d answered, p50 %8v  p99 %8v   the heavy one: %d of %d answered, p50 %8v  p99 %8v\n", c.name,
			len(others.answered()), len(others), others.quantile(0.5), others.quantile(0.99),
			len(heavy.answered()), len(heavy), heavy.quantile(0.5), heavy.quantile(0.99))
	}
	t.Logf("two workers, one client sends three times what they can do, nine others a third of it:\n%s", table.String())
	all[0].others().wantAll(t)
	if o, h := all[0].others().quantile(0.99), all[0].heavy().quantile(0.99); 3*o > h {
		t.Errorf("p99 of the others is %s, of the heavy one %s", o, h)
	}
}

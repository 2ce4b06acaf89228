package subscribe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"headgate/upstream"
	"headgate/upstream/subscribe"
)

// deed is one thing that happens to a server.
type deed struct {
	What   string // announce, withdraw, wait, rules
	Key    int
	Port   int
	From   int
	Weight int
	Wait   time.Duration
	Rules  int
}

var modelDeeds = strings.Fields("announce announce announce announce announce announce withdraw wait wait wait wait wait wait wait rules")

var deeds = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) deed {
	return deed{
		What: rapid.SampledFrom(modelDeeds).Draw(t, "what"),
		Key:  rapid.IntRange(0, 2).Draw(t, "key"), Port: rapid.IntRange(1, 3).Draw(t, "port"), From: rapid.IntRange(0, 1).Draw(t, "from"),
		Weight: rapid.IntRange(0, 2).Draw(t, "weight"), Rules: rapid.IntRange(0, 2).Draw(t, "rules"),
		Wait: time.Duration(rapid.IntRange(1, 40).Draw(t, "wait")) * 107 * time.Millisecond,
	}
}), 20, 120)

// modelNode is what the model knows of a node.
type modelNode struct {
	from   int
	weight int
	last   time.Time
}

// model is a server as simple as can be: no probes, no signatures, no sockets.
type model struct {
	rules int
	nodes map[[2]int]modelNode // by key and port
}

const (
	modelExpire = 10 * time.Second
	modelKeys   = 2
	modelNodes  = 2
)

// allowed: with rules 0 all, 1 key 0 to nobody, 2 sender 1 nothing.
func (m *model) allowed(key, from int) bool {
	return m.rules != 1 && m.rules != 2 || m.rules == 1 && key != 0 || m.rules == 2 && from != 1
}

func modelRules(n int) []subscribe.Rule {
	ports := []string{"127.0.0.1"}
	switch n {
	case 1:
		return []subscribe.Rule{{Keys: []string{"k1.example", "k2.example", "k3.example"}, Addresses: ports}}
	case 2:
		return []subscribe.Rule{{From: []string{"127.0.0.1"}, Addresses: ports}}
	}
	return []subscribe.Rule{{Addresses: ports}}
}

func (m *model) do(d deed, now time.Time) {
	id := [2]int{d.Key, d.Port}
	old, known := m.nodes[id]
	switch d.What {
	case "announce":
		if !m.allowed(d.Key, d.From) || !known && !m.room(d.Key) {
			return
		}
		m.nodes[id] = modelNode{from: d.From, weight: max(d.Weight, 1), last: now}
	case "withdraw":
		if known && old.from == d.From && m.allowed(d.Key, d.From) {
			delete(m.nodes, id)
		}
	case "rules":
		m.rules = d.Rules
		maps.DeleteFunc(m.nodes, func(id [2]int, n modelNode) bool { return !m.allowed(id[0], n.from) })
	}
}

func (m *model) expire(now time.Time) {
	maps.DeleteFunc(m.nodes, func(_ [2]int, n modelNode) bool { return now.Sub(n.last) >= modelExpire })
}

func (m *model) room(key int) bool {
	keys, of := map[int]bool{}, 0
	for id := range m.nodes {
		keys[id[0]] = true
		if id[0] == key {
			of++
		}
	}
	return (keys[key] || len(keys) < modelKeys) && of < modelNodes
}

// words returns what sources are to say of a key.
func (m *model) words(key int) string {
	var out []string
	for id, n := range m.nodes {
		if id[0] == key {
			out = append(out, fmt.Sprintf("127.0.0.1:%d/%d/6", id[1], n.weight))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// TestModel: whatever happens, the server and its sources know what the model does.
func TestModel(t *testing.T) {
	senders := []subscribe.Sender{local, subscribe.FromIP("192.0.2.7")}
	options := func(rules int) subscribe.Options {
		return subscribe.Options{Allow: modelRules(rules), Expire: modelExpire, MaxKeys: modelKeys, MaxNodes: modelNodes}
	}
	happens := func(t *testing.T, all []deed, probed bool) error {
		ctx, cancel := context.WithCancel(t.Context())
		setup, asked := subscribe.Setup{}, atomic.Int64{}
		if probed { // every other probe fails
			setup.Probe = func(context.Context, upstream.Member) error {
				if asked.Add(1)%2 == 1 {
					return errors.New("not yet")
				}
				return nil
			}
		}
		s := subscribe.New(setup)
		useDeaf(t, s, options(0))
		w, ended := newWords(), make(chan error, 2)
		go func() { ended <- s.Run(ctx) }()
		go func() { ended <- s.Source().Run(ctx, w.set) }()
		defer func() {
			cancel()
			<-ended
			<-ended
		}()
		m := &model{nodes: make(map[[2]int]modelNode)}
		for i, d := range all {
			m.do(d, time.Now())
			key, address := fmt.Sprintf("k%d.example", d.Key), fmt.Sprintf("127.0.0.1:%d", d.Port)
			switch d.What {
			case "announce":
				s.Handle(announce(key, address, "weight", fmt.Sprint(d.Weight)), senders[d.From])
			case "withdraw":
				s.Handle(withdraw(key, address), senders[d.From])
			case "rules":
				useDeaf(t, s, options(d.Rules))
			case "wait":
				time.Sleep(d.Wait)
			}
			synctest.Wait()
			if d.What == "wait" && d.Wait > time.Second { // sources have said all, probes have passed
				m.expire(time.Now())
				if err := compare(s, w, m); err != nil {
					return fmt.Errorf("after %d deeds: %w", i+1, err)
				}
			}
			m.expire(time.Now())
		}
		time.Sleep(modelExpire)
		time.Sleep(time.Second)
		m.expire(time.Now())
		return compare(s, w, m)
	}
	rapid.Check(t, func(rt *rapid.T) {
		all := deeds.Draw(rt, "deeds")
		probed := rapid.Bool().Draw(rt, "probed")
		var failed error
		synctest.Test(t, func(t *testing.T) { failed = happens(t, all, probed) })
		if failed != nil {
			rt.Fatal(failed)
		}
	})
}

func compare(s *subscribe.Server, w *words, m *model) error {
	if got := len(s.Snapshot().Nodes); got != len(m.nodes) {
		return fmt.Errorf("%d nodes (%s), want %d", got, nodes(s), len(m.nodes))
	}
	for key := range 4 {
		got := w.of(fmt.Sprintf("k%d.example", key))
		if got == "nothing" {
			got = ""
		}
		if want := m.words(key); got != want {
			return fmt.Errorf("k%d is %q, want %q", key, got, want)
		}
		if knows := s.Knows(fmt.Sprintf("k%d.example", key)); knows != (got != "") {
			return fmt.Errorf("k%d is known: %v, and has %q", key, knows, got)
		}
	}
	return nil
}

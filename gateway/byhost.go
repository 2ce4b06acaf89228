package gateway

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"headgate/gateway/config"
	"headgate/gateway/stats"
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// family is a pool of uWSGI instances that announce themselves: a pool for each host
// that they serve.
type family struct {
	*upstream.Family[*backend]
	conf     config.Pool
	counters *stats.PoolCounters // of all of them
}

// specOfFamily is what the pools of a family are made from. host is the Host of their
// active checks that nobody says.
func specOfFamily(name string, c config.Pool, mostKeys int, g *Gateway) (upstream.Spec[*backend], error) {
	counters := g.counters.Pool(name)
	one, err := specOf(name, c, "", counters, g.log)
	if err != nil {
		return one, err
	}
	one.Driver.Dial = func(m upstream.Member) (*backend, error) { return dialShared(m, c, counters) }
	one.Driver.Close = (*backend).leave
	one.Driver.Left = nil
	one.Sources = nil
	return upstream.Spec[*backend]{
		MostKeys: mostKeys,
		Sources:  map[string]upstream.Source{"subscriptions": g.subscribed.Source()},
		Each: func(host string) upstream.Spec[*backend] {
			of := one
			if of.Options.Check.Enabled() && c.Upstream.Check.Host == "" {
				of.Options.Check.Host = hostOfKey(host)
			}
			return of
		},
	}, nil
}

// hostOfKey is a host that the app of a key surely knows.
func hostOfKey(key string) string {
	if key != "" && key[0] == '.' {
		return key[1:]
	}
	return key
}

// dialShared is dial for a member that may serve several hosts, whose pools count for
// it together. Its leave has to be called.
func dialShared(m upstream.Member, c config.Pool, counters *stats.PoolCounters) (*backend, error) {
	_, release := counters.Hold(m.Address)
	b, err := dial(m, c, counters)
	if err != nil {
		release()
		return nil, err
	}
	b.release = release
	return b, nil
}

// leave is closeIdle for what dialShared has made.
func (b *backend) leave() {
	b.closeIdle()
	b.release()
}

// find returns the pool of a host: its own, or that of all names above it, as uWSGI's
// subscription-dotsplit looks for them. nil: nobody serves it.
func (f *family) find(host string) *upstream.Pool[*backend] {
	if p := f.Get(host); p != nil || host == "" {
		return p
	}
	if p := f.Get("." + host); p != nil {
		return p
	}
	for i := range len(host) {
		if host[i] != '.' {
			continue
		}
		if p := f.Get(host[i:]); p != nil {
			return p
		}
	}
	return nil
}

// passByHost is the action of a route whose pool has an app for each host.
type passByHost struct {
	family *family
	others []string // hosts of the site, for which the app may have announced itself
	all    passTo   // what the route says for all of them

	mu   sync.RWMutex // guards the field below
	made map[*upstream.Pool[*backend]]*passTo
}

func (a *passByHost) serve(x *exchange) {
	to := a.to(x.name)
	if to == nil {
		x.fail(a.nobody(x))
		return
	}
	to.serve(x)
}

// goneFailure is f as it is to be said of an app that has announced itself, and is gone.
func (x *exchange) goneFailure(f *failure) *failure {
	if f.kind == "no_member" {
		f.cause = fmt.Sprintf("the app that has announced the host %q is gone", x.name)
		f.cure = "start it: it announces itself again"
	}
	return f
}

// nobody is why a request has no app.
func (a *passByHost) nobody(x *exchange) *failure {
	f := &failure{
		status: http.StatusNotFound, kind: "no_site",
		cause: fmt.Sprintf("no app has announced the host %q", x.name),
		cure:  "start one that does: uwsgi --subscribe2 server=ADDRESS,key=" + x.name,
	}
	if x.gen.early() {
		f.status, f.kind, f.retryAfter = http.StatusServiceUnavailable, "no_member", 1
		f.cause = fmt.Sprintf("the gateway has just started, and no app has announced the host %q yet", x.name)
	}
	return f
}

// early reports whether instances that run have yet to announce themselves to a
// gateway that has just started.
func (g *generation) early() bool { return time.Since(g.begun) < firstRound }

// firstRound is how long that takes: uWSGI's subscribe-freq is 10 s.
const firstRound = 12 * time.Second

// to returns what passes to the app of a host, nil if there is none.
func (a *passByHost) to(host string) *passTo {
	p := a.family.find(host)
	for i := 0; p == nil && i < len(a.others); i++ {
		p = a.family.find(a.others[i])
	}
	if p == nil {
		return nil
	}
	a.mu.RLock()
	to := a.made[p]
	a.mu.RUnlock()
	if to != nil {
		return to
	}
	return a.make(p)
}

func (a *passByHost) make(p *upstream.Pool[*backend]) *passTo {
	to := a.all
	pool, err := newPool(p, a.family.conf, a.family.counters)
	if err != nil { // the expression of its balance, which was compiled when the configuration was read
		return nil
	}
	to.pool, to.said, to.announced = pool, newSafe(), true
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.made) > 2*a.family.Len()+16 { // of hosts that are gone
		a.made = nil
	}
	if a.made == nil {
		a.made = make(map[*upstream.Pool[*backend]]*passTo)
	}
	a.made[p] = &to
	return &to
}

// announced permits a certificate for a name that an app serves.
func (g *generation) announced(_ context.Context, name string) error {
	for _, f := range g.families {
		if f.find(name) != nil {
			return nil
		}
	}
	return unannounced{name, g.early()}
}

// unannounced is the error of a name that no app serves.
type unannounced struct {
	name  string
	early bool
}

// Error implements error.
func (u unannounced) Error() string { return "no app has announced " + u.name }

// Fleeting says that one may do so in the next moment.
func (unannounced) Fleeting() bool { return true }

// Unanswered says that it is too early for a no: what is there already may be shown.
func (u unannounced) Unanswered() bool { return u.early }

// probe asks a member that has announced itself whether it serves. Whoever takes a
// connection and answers, even with nothing, does: uWSGI need not have its ping.
func probe(ctx context.Context, m upstream.Member) error {
	b, err := dial(m, config.Pool{UWSGI: uwsgi.Options{ConnectTimeout: probeTime, ResponseTimeout: probeTime}}, new(stats.PoolCounters))
	if err != nil {
		return err
	}
	defer b.closeIdle()
	_, err = b.uwsgi.Ping(ctx)
	return err
}

// probeTime is how long a member may take to connect, and to answer a ping.
const probeTime = 5 * time.Second

// describeAnnounced is what uWSGI instances have announced.
func (g *Gateway) describeAnnounced() (out stats.Subscriptions) {
	s := g.subscribed.Snapshot()
	out.Listen = s.Listen
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, stats.Node{
			Key: n.Key, Address: n.Address, From: n.From, Weight: n.Weight, Cores: n.Cores, Backup: n.Backup,
			Signed: n.Signed, Ready: n.Ready, Error: n.Error, Since: n.Since, Last: n.Last,
		})
	}
	c := s.Counters
	out.Counters = map[string]uint64{
		"accepted": c.Accepted, "unsubscribed": c.Unsubscribed, "malformed": c.Malformed, "not_allowed": c.NotAllowed,
		"bad_signature": c.BadSignature, "replayed": c.Replayed, "full": c.Full, "expired": c.Expired, "dropped": c.Dropped,
	}
	return out
}

// Snapshot is that of the pools of all hosts together.
func (f *family) Snapshot() (all upstream.PoolState) {
	all.Paused = f.Paused()
	for _, p := range f.All() {
		s := p.Snapshot()
		all.Queued += s.Queued
		all.Overloaded = all.Overloaded || s.Overloaded
		all.Members = append(all.Members, s.Members...)
		if s.Paused.After(all.Paused) {
			all.Paused = s.Paused
		}
	}
	return all
}

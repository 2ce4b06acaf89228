package upstream

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"
)

// Spec is what the configuration says of a pool.
type Spec[T any] struct {
	Options Options // must be valid
	Driver  Driver[T]
	Members []Member          // those that the file names
	Sources map[string]Source // the other sources; one whose key was there before goes on as it is
}

// byFile is the key of the members of the file among the sources.
const byFile = ""

// plan is a Spec with all transports that it needs made.
type plan[T any] struct {
	pool *Pool[T]
	spec Spec[T]
	made map[Member]T // by member, without those that go on as they are
}

// prepare makes the transports that spec needs and p does not have. It changes
// nothing of p.
func (p *Pool[T]) prepare(spec Spec[T]) (*plan[T], error) {
	pl := &plan[T]{pool: p, spec: spec, made: make(map[Member]T)}
	for _, m := range spec.Members {
		if err := pl.make(m); err != nil {
			pl.discard()
			return nil, err
		}
	}
	p.mu.Lock()
	var named []Member
	if p.driver.Key != spec.Driver.Key {
		for _, m := range p.members {
			if !m.leaving {
				named = append(named, m.Member)
			}
		}
	}
	p.mu.Unlock()
	for _, m := range named {
		if err := pl.make(m); err != nil {
			pl.discard()
			return nil, err
		}
	}
	return pl, nil
}

func (pl *plan[T]) make(m Member) error {
	if _, ok := pl.made[m]; ok || pl.pool.keeps(pl.spec.Driver.Key, m) {
		return nil
	}
	t, err := pl.spec.Driver.Dial(m)
	if err != nil {
		return fmt.Errorf("pool %s: member %s: %w", pl.pool.name, m.Address, err)
	}
	pl.made[m] = t
	return nil
}

// keeps reports whether the transport to m can go on.
func (p *Pool[T]) keeps(key string, m Member) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.memberLocked(m.Address)
	return key == p.driver.Key && old != nil && old.Name == m.Name
}

func (pl *plan[T]) discard() {
	for _, t := range pl.made {
		pl.spec.Driver.close(t)
	}
}

func (d *Driver[T]) close(t T) {
	if d.Close != nil {
		d.Close(t)
	}
}

// apply makes p be as the plan says. It cannot fail.
func (pl *plan[T]) apply() {
	p := pl.pool
	p.naming.Lock()
	defer p.naming.Unlock()
	pl.catchUp()
	p.mu.Lock()
	before := p.driver
	checked := p.opts.Check
	p.opts = pl.spec.Options.WithDefaults()
	p.driver = pl.spec.Driver
	p.queue.configure(p.opts.Queue.Limit, p.opts.Queue.Timeout, p.opts.Queue.Fairness == FairClients)
	p.signLocked()
	var old []T
	if before.Key != p.driver.Key {
		old = p.renewLocked(pl.made)
	}
	for _, m := range p.members {
		m.slots = int(p.opts.Slots)
		m.checkAnew(checked, p.opts.Check)
	}
	p.mu.Unlock()
	for _, t := range old {
		before.close(t)
	}
	p.sayWith(byFile, pl.spec.Members, pl.made)
	pl.discard() // of members that were named twice
}

// catchUp makes the transports of members that a source has named since prepare,
// if the driver is a new one. The caller holds naming: no more can come.
func (pl *plan[T]) catchUp() {
	p := pl.pool
	p.mu.Lock()
	var named []Member
	if p.driver.Key != pl.spec.Driver.Key {
		for _, m := range p.members {
			if _, ok := pl.made[m.Member]; !ok && !m.leaving {
				named = append(named, m.Member)
			}
		}
	}
	p.mu.Unlock()
	for _, m := range named {
		t, err := pl.spec.Driver.Dial(m)
		if err != nil {
			p.log.Error("member goes on as it was before the reload", "member", m.Address, "err", err)
			continue
		}
		pl.made[m] = t
	}
}

// renewLocked gives the members new transports, which it takes out of made, and
// returns the old ones.
func (p *Pool[T]) renewLocked(made map[Member]T) (old []T) {
	for _, m := range p.members {
		if t, ok := made[m.Member]; ok && !m.leaving {
			old = append(old, m.transport)
			m.transport = t
			delete(made, m.Member)
		}
	}
	return old
}

// signLocked chooses the key of the sticky cookies.
func (p *Pool[T]) signLocked() {
	if secret := p.opts.Balance.Sticky.Secret; secret != "" {
		p.secret = []byte(secret)
	} else if p.secret == nil {
		p.secret = make([]byte, 32)
		rand.Read(p.secret) // never fails
	}
}

// tagOf is the value of the sticky cookie for a member: nobody can make one, and
// it tells nothing of the address.
func (p *Pool[T]) tagOf(address string) string {
	if p.opts.Balance.Sticky.Cookie == "" {
		return ""
	}
	mac := hmac.New(sha256.New, p.secret)
	fmt.Fprintf(mac, "%s\x00%s", p.name, address)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

// say replaces what a source says of the members. The channel closes when the
// members that it dropped carry no more requests. Of a source that is no longer
// asked it takes no word.
func (p *Pool[T]) say(key string, f *feed, members []Member) (idle <-chan struct{}) {
	p.naming.Lock()
	defer p.naming.Unlock()
	p.mu.Lock()
	asked := p.sources[key] == f
	p.mu.Unlock()
	if !asked {
		return closed()
	}
	made := make(map[Member]T)
	idle = p.sayWith(key, members, made)
	p.mu.Lock()
	driver := p.driver
	p.mu.Unlock()
	for _, t := range made { // of members that others have named before
		driver.close(t)
	}
	return idle
}

// closed returns a channel that is closed.
func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// sayWith is say with transports that are made already, of which it takes out
// what it uses. The caller holds naming.
func (p *Pool[T]) sayWith(key string, members []Member, made map[Member]T) (idle <-chan struct{}) {
	p.dialNew(members, made)
	now := time.Now()
	p.mu.Lock()
	if _, ok := p.said[key]; !ok {
		p.order = append(p.order, key)
		slices.Sort(p.order) // what the file says of a member comes first
	}
	if key != byFile {
		for _, old := range p.stale {
			if old != key {
				delete(p.said, old)
			}
		}
		p.order = slices.DeleteFunc(p.order, func(k string) bool {
			_, says := p.said[k]
			return !says && k != key
		})
		p.stale = nil
	}
	p.said[key] = slices.Clone(members)
	closing, idle := p.publishLocked(made, now)
	p.mu.Unlock()
	for _, f := range closing {
		f()
	}
	return idle
}

// forgetSource is say for a source that is no longer asked.
func (p *Pool[T]) forgetSource(key string) {
	p.naming.Lock()
	defer p.naming.Unlock()
	p.mu.Lock()
	delete(p.said, key)
	p.order = slices.DeleteFunc(p.order, func(k string) bool { return k == key })
	closing, _ := p.publishLocked(nil, time.Now())
	p.mu.Unlock()
	for _, f := range closing {
		f()
	}
}

// dialNew adds to made the transports of members that are not there yet. What
// cannot be made is logged and left out.
func (p *Pool[T]) dialNew(members []Member, made map[Member]T) {
	p.mu.Lock()
	driver := p.driver
	p.mu.Unlock()
	for _, m := range members {
		if _, ok := made[m]; ok || p.keeps(driver.Key, m) {
			continue
		}
		t, err := driver.Dial(m)
		if err != nil {
			p.log.Error("member not usable", "member", m.Address, "err", err)
			continue
		}
		made[m] = t
	}
}

// publishLocked makes the members be what all sources say together. It returns
// what is to be called without the lock, and a channel that closes when those
// that it has taken out carry no more requests.
func (p *Pool[T]) publishLocked(made map[Member]T, now time.Time) (closing []func(), idle <-chan struct{}) {
	named := make(map[string]bool)
	first := len(p.members) == 0
	for _, key := range p.order {
		for _, m := range p.said[key] {
			if named[m.Address] {
				continue
			}
			ok, f := p.nameLocked(m, made, first, now)
			if named[m.Address] = ok; f != nil {
				closing = append(closing, f)
			}
		}
	}
	d := &departure{members: 1, done: make(chan struct{})} // the one is this loop
	for _, m := range slices.Clone(p.members) {
		if named[m.Address] || m.leaving {
			continue
		}
		m.leaving = true
		m.departure = d
		d.members++
		p.newsLocked(newsLeaving, m, nil)
		p.queue.release(m)
		if gone, f := p.leftLocked(m); gone {
			closing = append(closing, f)
		}
	}
	d.leave()
	p.retagLocked()
	p.fewerLocked(now)
	p.dispatchLocked(now)
	p.nudge()
	return closing, d.done
}

// departure are members that leave together.
type departure struct {
	members int // that have not left
	done    chan struct{}
}

func (d *departure) leave() {
	if d.members--; d.members == 0 {
		close(d.done)
	}
}

// nameLocked makes m be a member, and reports whether it is one. What it returns
// as closing, if anything, is to be called without the lock.
func (p *Pool[T]) nameLocked(m Member, made map[Member]T, first bool, now time.Time) (ok bool, closing func()) {
	if old := p.memberLocked(m.Address); old != nil {
		return true, p.renameLocked(old, m, made)
	}
	t, ok := made[m]
	if !ok {
		return false, nil
	}
	delete(made, m)
	if old := p.leavingLocked(m.Address); old != nil {
		return true, p.recallLocked(old, m, t)
	}
	n := &member[T]{
		Member: m, transport: t, slots: int(p.opts.Slots), drained: p.drained[m.Address],
		seat: seat{id: HashKey(m.Address)},
	}
	if !first { // the others carry the traffic until it is sure that somebody is there
		n.away = absence{since: now, due: now, wait: awayWait}
	}
	p.members = append(p.members, n)
	return true, nil
}

// renameLocked takes in what is said now of a member that stays. With another name
// its transport is another one, too; without one it goes on under the old name.
func (p *Pool[T]) renameLocked(old *member[T], m Member, made map[Member]T) (closing func()) {
	if t, ok := made[m]; ok && m.Name != old.Name {
		delete(made, m)
		driver, before := p.driver, old.transport
		old.transport = t
		closing = func() { driver.close(before) }
	} else {
		m.Name = old.Name
	}
	old.rename(m)
	return closing
}

// recallLocked makes a member stay that was about to leave: its slots are still
// taken by the requests that it carries.
func (p *Pool[T]) recallLocked(old *member[T], m Member, t T) (closing func()) {
	old.rename(m)
	old.leaving, old.drained = false, p.drained[m.Address]
	old.departure.leave()
	driver, before := p.driver, old.transport
	old.transport = t
	return func() { driver.close(before) }
}

// leavingLocked returns the member at address that is leaving, or nil.
func (p *Pool[T]) leavingLocked(address string) *member[T] {
	for _, m := range p.members {
		if m.Address == address && m.leaving {
			return m
		}
	}
	return nil
}

// memberLocked returns the member at address that has not been taken out, or nil.
func (p *Pool[T]) memberLocked(address string) *member[T] {
	for _, m := range p.members {
		if m.Address == address && !m.leaving {
			return m
		}
	}
	return nil
}

// leftLocked takes m out if it was leaving and carries nothing any more. What it
// returns then is to be called without the lock.
func (p *Pool[T]) leftLocked(m *member[T]) (gone bool, closing func()) {
	if !m.leaving || m.inFlight > 0 {
		return false, nil
	}
	i := slices.Index(p.members, m)
	if i < 0 {
		return false, nil
	}
	p.members = slices.Delete(p.members, i, i+1)
	m.departure.leave()
	p.newsLocked(newsLeft, m, nil)
	driver, t := p.driver, m.transport
	return true, func() {
		driver.close(t)
		if driver.Left != nil {
			driver.Left(m.Address)
		}
	}
}

func (p *Pool[T]) retagLocked() {
	p.tags = make(map[string]*member[T])
	for _, m := range p.members {
		if m.tag = p.tagOf(m.Address); m.tag != "" && !m.leaving {
			p.tags[m.tag] = m
		}
	}
}

// weighLocked brings what the rules of balance read up to date.
func (p *Pool[T]) weighLocked(now time.Time) {
	p.byCores = true
	for _, m := range p.members {
		p.byCores = p.byCores && m.cores() > 0
	}
	for _, m := range p.members {
		m.weigh(now, p.byCores)
	}
}

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

	// Each, if it is not nil, makes this a Family: each key that one of Sources names
	// has a pool, made from Each(key), of which Members and Sources do not count, as
	// Options, Driver and Members here do not. It must be fit to be called by any
	// number of goroutines, and must not block, nor ask anything of Pools.
	Each     func(key string) Spec[T]
	MostKeys int // of a family; 0: DefaultMostKeys
}

// byFile is the key of the members of the file among the sources.
const byFile = ""

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
	if !p.listensTo(key, f) {
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

// forgetSource is say for a source that is no longer asked. The caller holds naming.
func (p *Pool[T]) forgetSource(key string) {
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
	first := p.replacedLocked()
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
	if p.queue.len() > 0 && p.nobodyLocked() {
		p.askLocked() // what the source was told before it said this may be over
	}
	p.retagLocked()
	p.fewerLocked(now)
	p.dispatchLocked(now)
	p.nudge()
	return closing, d.done
}

// replacedLocked reports whether nobody that is there is named any more. Then those
// that are new need not be reached first, and have their whole share at once: nobody
// carries the traffic meanwhile.
func (p *Pool[T]) replacedLocked() bool {
	if p.nobodyLocked() {
		return true
	}
	for _, members := range p.said {
		for _, m := range members {
			if old := p.memberLocked(m.Address); old != nil && old.there(false) {
				return false
			}
		}
	}
	return true
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
	if m.Checked {
		n.check = verdict{known: true, due: now.Add(p.opts.Check.Interval)}
	}
	if !first { // others carry the traffic until it is sure that somebody is there
		n.away = absence{since: now, due: now, wait: awayWait}
	}
	p.members = append(p.members, n)
	return true, nil
}

// renameLocked takes in what is said now of a member that stays. With another name
// or another way to open requests its transport is another one, too; without one it
// goes on as it was in that.
func (p *Pool[T]) renameLocked(old *member[T], m Member, made map[Member]T) (closing func()) {
	if t, ok := made[m]; ok && !old.alike(&m) {
		delete(made, m)
		driver, before := p.driver, old.transport
		old.transport = t
		closing = func() { driver.close(before) }
	} else {
		m.Name, m.Modifier1, m.Modifier2, m.Dialect = old.Name, old.Modifier1, old.Modifier2, old.Dialect
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

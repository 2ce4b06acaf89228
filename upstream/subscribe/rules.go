package subscribe

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Why an announcement is not allowed.
var (
	errNoRule     = errors.New("no rule of allow is for this sender and key")
	errModifiers  = errors.New("its modifiers are not allowed")
	errElsewhere  = errors.New("its address is not allowed to this sender")
	errEscapes    = errors.New("its socket is not in the directory, or is not there")
	errGuessed    = errors.New("its address has no host, and where it came from is not signed: write the host in addr= of subscribe2")
	errUnsigned   = errors.New("it is not signed")
	errNotYours   = errors.New("somebody else has announced it")
	errSpeaksHTTP = errors.New("it speaks HTTP, and members speak uwsgi")
)

// rules are compiled ones. They are immutable.
type rules []rule

// rule is a compiled Rule.
type rule struct {
	from      []netip.Prefix
	users     []uint32
	keys      []pattern
	addresses []target
	modifiers []int
	unsigned  bool
	anyUnix   bool // for all senders over a unix socket
	anyUDP    bool
}

// request is what an announcement wants.
type request struct {
	from      sender
	key       string
	at        endpoint
	modifiers [2]uint8
}

// compile makes rules, for which it looks up users. The error begins with the key.
func compile(allow []Rule) (rules, error) {
	if len(allow) == 0 {
		return rules{{users: []uint32{0, uint32(os.Geteuid())}, anyUDP: true, modifiers: []int{0}}}, nil
	}
	var errs []error
	rs := make(rules, len(allow))
	for i, r := range allow {
		c, err := compileRule(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("allow[%d].%w", i, err))
		}
		rs[i] = c
	}
	return rs, errors.Join(errs...)
}

func compileRule(r Rule) (c rule, err error) {
	c = rule{modifiers: r.Modifiers, unsigned: r.Unsigned, anyUnix: len(r.From)+len(r.Users) == 0}
	c.anyUDP = c.anyUnix
	if len(c.modifiers) == 0 {
		c.modifiers = []int{0}
	}
	var errs []error
	c.from = compileEach("from", r.From, parseNetwork, &errs)
	c.users = compileEach("users", r.Users, lookUpUser, &errs)
	c.keys = compileEach("keys", r.Keys, parsePattern, &errs)
	c.addresses = compileEach("addresses", r.Addresses, parseTarget, &errs)
	return c, errors.Join(errs...)
}

// compileEach compiles what it can of a list; a list of faults alone matches nothing
// and is not absent.
func compileEach[T any](key string, list []string, parse func(string) (T, error), errs *[]error) []T {
	out := make([]T, 0, len(list))
	for i, s := range list {
		v, err := parse(s)
		if err != nil {
			*errs = append(*errs, fmt.Errorf("%s[%d]: %w", key, i, err))
			continue
		}
		out = append(out, v)
	}
	return out
}

func lookUpUser(s string) (uint32, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return uint32(n), nil
	}
	u, err := user.Lookup(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no user of this machine: name one, or write a number", s)
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(n), err
}

// parseNetwork reads 10.0.0.0/8 or 10.0.0.7.
func parseNetwork(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is no network: write it like 10.0.0.0/8 or 10.0.0.7", s)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its mask: write %s", s, p.Masked())
	}
	return p, nil
}

// find returns the rule that decides about announcements of a key by a sender.
func (rs rules) find(from sender, key string) *rule {
	for i := range rs {
		if r := &rs[i]; r.isFor(from) && r.hasKey(key) {
			return r
		}
	}
	return nil
}

func (r *rule) isFor(from sender) bool {
	if from.isUnix() {
		return r.anyUnix || from.named && slices.Contains(r.users, from.uid) || !from.named && r.isForOwner()
	}
	return r.anyUDP || slices.ContainsFunc(r.from, func(p netip.Prefix) bool { return p.Contains(from.ip) })
}

// isForOwner is for systems that do not name senders: there only the owner of the
// socket, who we are, and root can write to it.
func (r *rule) isForOwner() bool { return slices.Contains(r.users, uint32(os.Geteuid())) }

func (r *rule) hasKey(key string) bool {
	return len(r.keys) == 0 || slices.ContainsFunc(r.keys, func(p pattern) bool { return p.covers(key) })
}

// admits returns why a request, whose sender and key the rule is for, is refused. It
// asks the file system when links is true and the rule has directories.
func (r *rule) admits(q request, m *machine, links bool) error {
	if !slices.Contains(r.modifiers, int(q.modifiers[0])) || q.modifiers[0] == 0 && q.modifiers[1] != 0 {
		return errModifiers
	}
	if q.at.path != "" && !q.from.isUnix() && !m.is(q.from.ip) {
		return errElsewhere // a path of another machine says nothing here
	}
	if len(r.addresses) == 0 {
		return r.admitsHome(q, m)
	}
	reason := errElsewhere
	for _, t := range r.addresses {
		switch {
		case !t.covers(q.at):
		case links && t.dir != "" && !t.holds(q.at.path):
			reason = errEscapes
		default:
			return nil
		}
	}
	return reason
}

// admitsHome is admits for rules that list no addresses.
func (r *rule) admitsHome(q request, m *machine) error {
	ip := q.at.ap.Addr()
	switch {
	case q.from.isUnix(), q.at.path != "":
		return nil
	case ip == q.from.ip:
		return nil
	case slices.ContainsFunc(r.from, func(p netip.Prefix) bool { return p.Contains(ip) }) && (!ip.IsLoopback() || m.is(q.from.ip)):
		return nil
	case m.is(q.from.ip) && m.is(ip):
		return nil
	}
	return errElsewhere
}

// target is a set of addresses of members.
type target struct {
	net  netip.Prefix
	port uint16 // 0: any
	dir  string // of sockets, without a slash at its end; "": it is net
}

// parseTarget reads a network, an address, an address with a port or a directory.
func parseTarget(s string) (target, error) {
	if strings.HasPrefix(s, "/") {
		dir := filepath.Clean(s)
		if !strings.HasSuffix(s, "/") || dir != "/" && dir+"/" != s {
			return target{}, fmt.Errorf("%q is no directory as it should be written: write it like /run/apps/", s)
		}
		return target{dir: strings.TrimSuffix(dir, "/")}, nil
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 && ap.Addr().Zone() == "" {
		ip := ap.Addr().Unmap()
		return target{net: netip.PrefixFrom(ip, ip.BitLen()), port: ap.Port()}, nil
	}
	p, err := parseNetwork(s)
	if err != nil {
		return target{}, fmt.Errorf("%q is no network and no directory: write it like 10.0.0.0/8, 10.0.0.7:3031 or /run/apps/", s)
	}
	return target{net: p}, nil
}

// covers reports whether an endpoint is in the set by its name.
func (t target) covers(e endpoint) bool {
	if e.path != "" {
		return !t.net.IsValid() && strings.HasPrefix(e.path, t.dir+"/")
	}
	return t.net.IsValid() && t.net.Contains(e.ap.Addr()) && (t.port == 0 || t.port == e.ap.Port())
}

// holds reports whether what a path leads to, through all links, is a socket in the
// directory.
func (t target) holds(path string) bool {
	dir, err := filepath.EvalSymlinks(t.dir + "/")
	if err != nil {
		return false
	}
	file, err := filepath.EvalSymlinks(path)
	if err != nil || !strings.HasPrefix(file, strings.TrimSuffix(dir, "/")+"/") {
		return false
	}
	info, err := os.Lstat(file)
	return err == nil && info.Mode().Type() == os.ModeSocket
}

package acme

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

const (
	maxAliases   = 8  // CNAME records from one name to the next
	maxReferrals = 4  // zones below the one that was found
	maxServers   = 12 // addresses that are asked about one name
	resolvConf   = "/etc/resolv.conf"
)

// dnsLook looks at records as an authority will do: at the name servers of their
// zone. Those are asked themselves, since a resolver that was asked for a record
// too early goes on saying for minutes that there is none. Only when they cannot
// be reached, or found, the resolvers' own word is taken.
//
// It is immutable and safe for concurrent use.
type dnsLook struct {
	resolvers []string // host:port; those of the system when there are none
	port      string   // where name servers that are found listen
}

// newDNSLook takes host or host:port.
func newDNSLook(resolvers []string) *dnsLook {
	l := &dnsLook{port: "53"}
	for _, r := range resolvers {
		l.resolvers = append(l.resolvers, withPort(r, l.port))
	}
	return l
}

// withPort adds port to an address without one.
func withPort(addr, port string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(strings.Trim(addr, "[]"), port)
}

// dnsAnswer is what one name server says about a name.
type dnsAnswer struct {
	server string
	msg    *dns.Msg // of code NOERROR or NXDOMAIN when err is nil
	err    error
}

// texts are the values of the TXT records of name in the answer.
func (a dnsAnswer) texts(name string) []string {
	var out []string
	for _, rr := range a.msg.Answer {
		if t, ok := rr.(*dns.TXT); ok && strings.EqualFold(t.Hdr.Name, name) {
			out = append(out, unescape(strings.Join(t.Txt, "")))
		}
	}
	return out
}

// unescape turns the library's form of a text, which is that of zone files (RFC
// 1035 section 5.1), into its bytes.
func unescape(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		i++
		if n, err := strconv.ParseUint(s[i:min(i+3, len(s))], 10, 8); err == nil && i+3 <= len(s) {
			out = append(out, byte(n))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// follow returns the name at the end of the CNAME records that start at name,
// which is name itself when there are none.
func (l *dnsLook) follow(ctx context.Context, name string) (string, error) {
	seen := []string{name}
	for range maxAliases {
		answers := l.ask(ctx, name, dns.TypeCNAME)
		if err := failed(answers); err != nil {
			return "", err
		}
		next := alias(answers, name)
		if next == "" {
			return name, nil
		}
		if slices.Contains(seen, next) {
			return "", fmt.Errorf("the CNAME records of %s go round in a circle: %s", seen[0], strings.Join(append(seen, next), " "))
		}
		seen, name = append(seen, next), next
	}
	return "", fmt.Errorf("%s is followed by more than %d CNAME records", seen[0], maxAliases)
}

// alias returns the name that a CNAME record of name leads to, or "".
func alias(answers []dnsAnswer, name string) string {
	for _, a := range answers {
		if a.err != nil {
			continue
		}
		for _, rr := range a.msg.Answer {
			if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, name) {
				return dns.CanonicalName(c.Target)
			}
		}
	}
	return ""
}

// failed returns why there is no answer at all, or nil when there is one.
func failed(answers []dnsAnswer) error {
	var errs []error
	for _, a := range answers {
		if a.err == nil {
			return nil
		}
		errs = append(errs, a.err)
	}
	if len(errs) == 0 {
		return errors.New("there is no name server to ask: set resolvers")
	}
	return errs[0]
}

// ask returns what each name server of name's zone says about it. Name ends with
// a dot.
func (l *dnsLook) ask(ctx context.Context, name string, kind uint16) []dnsAnswer {
	resolvers := l.resolvers
	if len(resolvers) == 0 {
		resolvers = systemResolvers()
	}
	first := l.askAll(ctx, resolvers, name, kind, false)
	if !slices.ContainsFunc(first, func(a dnsAnswer) bool { return a.msg != nil }) {
		return first // none can be reached
	}
	direct := slices.DeleteFunc(slices.Clone(first), func(a dnsAnswer) bool { return a.err != nil || !a.msg.Authoritative })
	if len(direct) > 0 {
		return direct // these resolvers are the zone's name servers
	}
	if found := l.askZone(ctx, resolvers, name, kind); failed(found) == nil {
		return found
	}
	return l.askAll(ctx, resolvers, name, kind, true)
}

// askZone asks the name servers of the zone that name is in, which it finds with
// resolvers. It never asks those for name itself.
func (l *dnsLook) askZone(ctx context.Context, resolvers []string, name string, kind uint16) []dnsAnswer {
	zone, servers := l.zoneServers(ctx, resolvers, name)
	for range maxReferrals {
		answers := l.askAll(ctx, l.addresses(ctx, resolvers, servers), name, kind, false)
		below, next := referral(answers, zone, name)
		if below == "" {
			return slices.DeleteFunc(answers, func(a dnsAnswer) bool { return a.err == nil && !a.msg.Authoritative })
		}
		zone, servers = below, next
	}
	return nil
}

// zoneServers returns the closest zone above name and its name servers.
func (l *dnsLook) zoneServers(ctx context.Context, resolvers []string, name string) (zone string, servers []string) {
	for i, end := dns.NextLabel(name, 0); !end; i, end = dns.NextLabel(name, i) {
		for _, a := range l.askAll(ctx, resolvers, name[i:], dns.TypeNS, true) {
			if a.err != nil {
				continue
			}
			if servers = nsOf(a.msg.Answer, name[i:]); len(servers) > 0 {
				return name[i:], servers
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return "", nil
}

// referral returns the zone between zone and name that the answers refer to, and
// its name servers, or "".
func referral(answers []dnsAnswer, zone, name string) (below string, servers []string) {
	for _, a := range answers {
		if a.err != nil || a.msg.Authoritative || len(a.msg.Answer) > 0 {
			continue
		}
		for _, rr := range a.msg.Ns {
			owner := rr.Header().Name
			if ns := nsOf(a.msg.Ns, owner); len(ns) > 0 && dns.IsSubDomain(owner, name) && dns.IsSubDomain(zone, owner) && !strings.EqualFold(zone, owner) {
				return owner, ns
			}
		}
	}
	return "", nil
}

// nsOf returns the name servers in rrs of the zone owner.
func nsOf(rrs []dns.RR, owner string) []string {
	var out []string
	for _, rr := range rrs {
		if ns, ok := rr.(*dns.NS); ok && strings.EqualFold(ns.Hdr.Name, owner) && len(out) < maxServers {
			out = append(out, ns.Ns)
		}
	}
	return out
}

// addresses returns where name servers listen.
func (l *dnsLook) addresses(ctx context.Context, resolvers, servers []string) []string {
	kinds := []uint16{dns.TypeA, dns.TypeAAAA}
	found := make([][]string, len(servers)*len(kinds))
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			for _, a := range l.askAll(ctx, resolvers, servers[i/len(kinds)], kinds[i%len(kinds)], true) {
				found[i] = append(found[i], l.hosts(a)...)
			}
		})
	}
	wg.Wait()
	out := slices.Concat(found...)
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), maxServers)]
}

// hosts returns the addresses in an answer, with the port.
func (l *dnsLook) hosts(a dnsAnswer) []string {
	if a.err != nil {
		return nil
	}
	var out []string
	for _, rr := range a.msg.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			out = append(out, net.JoinHostPort(rr.A.String(), l.port))
		case *dns.AAAA:
			out = append(out, net.JoinHostPort(rr.AAAA.String(), l.port))
		}
	}
	return out
}

// askAll asks all servers at once and returns their answers in their order.
func (l *dnsLook) askAll(ctx context.Context, servers []string, name string, kind uint16, recurse bool) []dnsAnswer {
	out := make([]dnsAnswer, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { out[i] = askOne(ctx, s, name, kind, recurse) })
	}
	wg.Wait()
	return out
}

func askOne(ctx context.Context, server, name string, kind uint16, recurse bool) dnsAnswer {
	m := new(dns.Msg).SetQuestion(name, kind)
	m.RecursionDesired = recurse
	m.SetEdns0(udpSize, false)
	r, err := exchangeDNS(ctx, m, server, tsigSecret{})
	switch {
	case err != nil:
		err = fmt.Errorf("name server %s: %w", server, err)
	case r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError:
		err = fmt.Errorf("name server %s answers %s for %s", server, rcodeName(r.Rcode), name)
	}
	return dnsAnswer{server: server, msg: r, err: err}
}

func rcodeName(code int) string {
	if s, ok := dns.RcodeToString[code]; ok {
		return s
	}
	return fmt.Sprintf("code %d", code)
}

// systemResolvers reads /etc/resolv.conf, as it is now. Without one the resolver
// is on this machine, as for the C library.
func systemResolvers() []string {
	conf, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil || len(conf.Servers) == 0 {
		return []string{"127.0.0.1:53", "[::1]:53"}
	}
	var out []string
	for _, s := range conf.Servers[:min(len(conf.Servers), 3)] {
		out = append(out, net.JoinHostPort(s, conf.Port))
	}
	return out
}

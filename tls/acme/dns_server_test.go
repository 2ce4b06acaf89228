package acme_test

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

const (
	keyName   = "headgate-test."
	keySecret = "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiBoZWFkZ2F0ZSE="
)

// nameServer is an authoritative name server that takes signed updates (RFC 2136,
// RFC 8945), over UDP and TCP.
type nameServer struct {
	addr string // host:port

	mu        sync.Mutex // guards the fields below
	zones     []string
	records   []dns.RR
	recursive bool                    // it asks others, and is primary of nothing
	unsigned  bool                    // its answers are not signed
	answer    func(m *dns.Msg) bool   // changes an answer that is about to go; false: none goes
	hide      func(dns.Question) bool // of queries: as if there were nothing
	updates   int
	queries   []string // "TXT name.", with "+rd" when recursion is desired
}

func startNameServer(t *testing.T, addr string, zones ...string) *nameServer {
	t.Helper()
	s := &nameServer{zones: zones}
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = tcp.Addr().String()
	udp, err := net.ListenPacket("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, z := range zones {
		s.add(t, z+" 60 IN SOA ns1.test. admin.test. 1 60 60 60 60")
	}
	servers := []*dns.Server{{Listener: tcp}, {PacketConn: udp}}
	var running sync.WaitGroup
	for _, d := range servers {
		d.Handler, d.TsigSecret = s, map[string]string{keyName: keySecret}
		d.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }
		started := make(chan struct{})
		d.NotifyStartedFunc = func() { close(started) }
		running.Go(func() {
			if err := d.ActivateAndServe(); err != nil {
				t.Errorf("name server: %v", err)
			}
		})
		<-started
	}
	t.Cleanup(func() {
		for _, d := range servers {
			_ = d.Shutdown()
		}
		running.Wait()
	})
	return s
}

func (s *nameServer) port(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (s *nameServer) add(t *testing.T, line string) {
	t.Helper()
	rr, err := dns.NewRR(line)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, rr)
}

// set changes the server while nothing is answered.
func (s *nameServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// texts returns the values at a name.
func (s *nameServer) texts(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, rr := range s.records {
		if t, ok := rr.(*dns.TXT); ok && strings.EqualFold(t.Hdr.Name, name) {
			out = append(out, strings.Join(t.Txt, ""))
		}
	}
	return out
}

func (s *nameServer) asked(query string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.queries, query)
}

// ServeDNS implements dns.Handler.
func (s *nameServer) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg).SetReply(r)
	if r.Opcode == dns.OpcodeUpdate {
		s.updates++
		s.updateLocked(m, r, w.TsigStatus())
	} else {
		s.queryLocked(m, r)
	}
	if t := r.IsTsig(); t != nil && !s.unsigned {
		m.SetTsig(t.Hdr.Name, t.Algorithm, t.Fudge, int64(t.TimeSigned))
	}
	if s.answer != nil && !s.answer(m) {
		return
	}
	_ = w.WriteMsg(m) // the other side may be gone
}

func (s *nameServer) updateLocked(m, r *dns.Msg, status error) {
	zone := r.Question[0].Name
	switch {
	case r.IsTsig() == nil || status != nil:
		m.Rcode = dns.RcodeRefused
	case !slices.Contains(s.zones, zone):
		m.Rcode = dns.RcodeNotAuth
	}
	if m.Rcode != dns.RcodeSuccess {
		return
	}
	for _, rr := range r.Ns {
		same := func(o dns.RR) bool {
			c := dns.Copy(rr)
			c.Header().Class, c.Header().Ttl = o.Header().Class, o.Header().Ttl
			return dns.IsDuplicate(c, o)
		}
		switch {
		case !dns.IsSubDomain(zone, rr.Header().Name):
			m.Rcode = dns.RcodeNotZone
			return
		case rr.Header().Class == dns.ClassNONE:
			s.records = slices.DeleteFunc(s.records, same)
		case rr.Header().Class == dns.ClassINET && !slices.ContainsFunc(s.records, same):
			s.records = append(s.records, rr)
		}
	}
}

func (s *nameServer) queryLocked(m, r *dns.Msg) {
	q := r.Question[0]
	text := dns.TypeToString[q.Qtype] + " " + q.Name
	if r.RecursionDesired {
		text += "+rd"
	}
	s.queries = append(s.queries, text)
	name := strings.ToLower(q.Name)
	zone := s.zoneLocked(name)
	if zone == "" || s.recursive && !r.RecursionDesired {
		m.Rcode = dns.RcodeRefused
		return
	}
	m.Authoritative = !s.recursive
	if ns := s.cutLocked(zone, name); len(ns) > 0 && !s.recursive {
		m.Authoritative, m.Ns = false, ns
		return
	}
	for range 9 {
		found := s.findLocked(name, q.Qtype)
		if s.hide != nil && s.hide(q) {
			found = nil
		}
		m.Answer = append(m.Answer, found...)
		alias := s.findLocked(name, dns.TypeCNAME)
		if len(found) > 0 || len(alias) == 0 || q.Qtype == dns.TypeCNAME {
			break
		}
		m.Answer = append(m.Answer, alias...)
		name = alias[0].(*dns.CNAME).Target
	}
	if len(m.Answer) == 0 {
		m.Ns = s.findLocked(zone, dns.TypeSOA)
		if !slices.ContainsFunc(s.records, func(rr dns.RR) bool { return dns.IsSubDomain(name, strings.ToLower(rr.Header().Name)) }) {
			m.Rcode = dns.RcodeNameError
		}
	}
}

// cutLocked returns the name servers of a zone that this server has handed over.
func (s *nameServer) cutLocked(zone, name string) []dns.RR {
	for at := name; at != zone && at != "."; {
		if ns := s.findLocked(at, dns.TypeNS); len(ns) > 0 && !slices.Contains(s.zones, at) {
			return ns
		}
		i, end := dns.NextLabel(at, 0)
		if end {
			return nil
		}
		at = at[i:]
	}
	return nil
}

func (s *nameServer) zoneLocked(name string) string {
	best := ""
	for _, z := range s.zones {
		if dns.IsSubDomain(z, name) && len(z) > len(best) {
			best = z
		}
	}
	return best
}

func (s *nameServer) findLocked(name string, kind uint16) []dns.RR {
	var out []dns.RR
	for _, rr := range s.records {
		if rr.Header().Rrtype == kind && strings.EqualFold(rr.Header().Name, name) {
			out = append(out, dns.Copy(rr))
		}
	}
	return out
}

func textRR(name, value string) dns.RR {
	return &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}, Txt: []string{value}}
}

package acme

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"headgate/tls/certs"
)

// rfc2136 sets records by dynamic updates. It implements libdns. It is immutable
// and safe for concurrent use.
type rfc2136 struct {
	server string // host:port of the zone's primary
	zone   string // with a final dot; "" is to be found
	sign   tsigSecret
}

func newRFC2136(o certs.RFC2136) (*rfc2136, error) {
	p := &rfc2136{server: withPort(o.Server, "53")}
	if o.Zone != "" {
		p.zone = dns.CanonicalName(o.Zone)
	}
	if o.KeyName == "" {
		return p, nil
	}
	// Tools write base64 with or without its padding, the library wants it.
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(string(o.Key), "="))
	if err != nil || len(raw) == 0 {
		return nil, fmt.Errorf("rfc2136.key: not base64: copy the secret of the key %s as tsig-keygen shows it", o.KeyName)
	}
	p.sign = tsigSecret{name: dns.CanonicalName(o.KeyName), algorithm: dns.HmacSHA256, key: base64.StdEncoding.EncodeToString(raw)}
	if o.Algorithm != "" {
		p.sign.algorithm = dns.CanonicalName(o.Algorithm)
	}
	return p, nil
}

// findZone returns the zone of the server that name is in: the server itself
// knows best, and nobody else may know it at all.
func (p *rfc2136) findZone(ctx context.Context, name string) (string, error) {
	if p.zone != "" {
		if !dns.IsSubDomain(p.zone, name) {
			return "", fmt.Errorf("rfc2136.zone: %s is not in the zone %s: leave zone out, or set a CNAME from the name into the zone", name, p.zone)
		}
		return p.zone, nil
	}
	r, err := exchangeDNS(ctx, new(dns.Msg).SetQuestion(name, dns.TypeSOA), p.server, p.sign)
	if err != nil {
		return "", fmt.Errorf("look for its zone: %w", p.unreachable(err))
	}
	if r.Rcode == dns.RcodeSuccess || r.Rcode == dns.RcodeNameError {
		for _, rr := range append(r.Answer, r.Ns...) {
			if soa, ok := rr.(*dns.SOA); ok && r.Authoritative && dns.IsSubDomain(soa.Hdr.Name, name) {
				return dns.CanonicalName(soa.Hdr.Name), nil
			}
		}
	}
	return "", fmt.Errorf("look for its zone: name server %s does not say that it has one (%s): set rfc2136.server to the primary of the zone, or rfc2136.zone if the server has it and hides it", p.server, rcodeName(r.Rcode))
}

// AppendRecords implements libdns.RecordAppender. All records are added, or none.
func (p *rfc2136) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.update(ctx, zone, recs, (*dns.Msg).Insert)
}

// DeleteRecords implements libdns.RecordDeleter. Records with other values stay.
func (p *rfc2136) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.update(ctx, zone, recs, (*dns.Msg).Remove)
}

func (p *rfc2136) update(ctx context.Context, zone string, recs []libdns.Record, add func(*dns.Msg, []dns.RR)) ([]libdns.Record, error) {
	zone = dns.CanonicalName(zone)
	m := new(dns.Msg).SetUpdate(zone)
	for _, rec := range recs {
		rr, err := textRecord(zone, rec.RR())
		if err != nil {
			return nil, err
		}
		add(m, []dns.RR{rr})
	}
	r, err := exchangeDNS(ctx, m, p.server, p.sign)
	if err != nil {
		return nil, p.unreachable(err)
	}
	if r.Rcode != dns.RcodeSuccess {
		return nil, p.refused(r.Rcode, zone)
	}
	return recs, nil
}

// textRecord makes the TXT record that r describes; no other type is needed.
func textRecord(zone string, r libdns.RR) (dns.RR, error) {
	if r.Type != "TXT" {
		return nil, fmt.Errorf("records of type %s are not set here", r.Type)
	}
	header := dns.RR_Header{
		Name: dns.CanonicalName(libdns.AbsoluteName(r.Name, zone)), Rrtype: dns.TypeTXT, Class: dns.ClassINET,
		Ttl: uint32(max(r.TTL/time.Second, 1)),
	}
	var parts []string
	for text := r.Data; ; {
		n := min(len(text), 255)                                                       // of one string (RFC 1035 section 3.3.14)
		parts, text = append(parts, strings.ReplaceAll(text[:n], `\`, `\\`)), text[n:] // the library wants it escaped
		if text == "" {
			return &dns.TXT{Hdr: header, Txt: parts}, nil
		}
	}
}

// unreachable says where the trouble was.
func (p *rfc2136) unreachable(err error) error {
	return fmt.Errorf("name server %s: %w", p.server, err)
}

// refused says what an update's code means and what helps.
func (p *rfc2136) refused(code int, zone string) error {
	says := fmt.Sprintf("name server %s answers %s to the update of %s", p.server, rcodeName(code), zone)
	who := "the address of this machine"
	if p.sign.used() {
		who = "the key " + p.sign.name
	}
	switch code {
	case dns.RcodeNotAuth:
		return fmt.Errorf("%s: it is not the primary of that zone, or is Knot and does not let %s in: set rfc2136.server to the primary, rfc2136.zone to the zone that it has, or allow the update there", says, who)
	case dns.RcodeRefused:
		return fmt.Errorf("%s: allow %s to update TXT records there (BIND: update-policy or allow-update; Knot: an acl with action update)", says, who)
	case dns.RcodeNotZone:
		return fmt.Errorf("%s: the name is in another zone: leave rfc2136.zone out", says)
	case dns.RcodeNotImplemented:
		return fmt.Errorf("%s: it takes no dynamic updates: turn them on there, or use acme_dns or command", says)
	case dns.RcodeServerFailure:
		return fmt.Errorf("%s: its log says why; often it cannot write the zone's file or journal", says)
	}
	return fmt.Errorf("%s: its log says why", says)
}

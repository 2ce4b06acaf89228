package acme

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"headgate/tls/certs"
)

const (
	preflightTime  = 8 * time.Second
	preflightDial  = 3 * time.Second
	preflightAddrs = 4 // of a name
	preflightText  = 1 << 10
)

// view is the world as Preflight sees it; tests have their own.
type view struct {
	resolver          *net.Resolver
	httpPort, tlsPort string
}

// Preflight implements [certs.Preflighter]. It asks the name servers of this
// machine and connects from here, so it can be wrong both ways: a router may not
// let a machine reach its own public address. A challenge in the DNS is taken to
// work. Of several challenges one that works is enough. It takes 8 seconds at most.
func (i *Issuer) Preflight(ctx context.Context, name string) error {
	attempts, err := plan(i.methods, []string{name})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(attempts, method.dns) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, preflightTime)
	defer cancel()
	addrs, err := i.lookup(ctx, name)
	if err != nil {
		return err
	}
	var failed []error
	for _, m := range attempts {
		err := i.probe(ctx, m.name, name, addrs)
		if err == nil {
			return nil
		}
		failed = append(failed, err)
	}
	return failed[0]
}

// lookup returns the addresses of name.
func (i *Issuer) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := i.view.resolver.LookupNetIP(ctx, "ip", name)
	var missing *net.DNSError
	switch {
	case errors.As(err, &missing) && missing.IsNotFound, err == nil && len(addrs) == 0:
		return nil, fmt.Errorf("%s has no A or AAAA record: add one that points to this machine, %s", name, cureOtherChallenge)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be looked up: %w: check the name servers of this machine", name, err)
	}
	for n := range addrs {
		addrs[n] = addrs[n].Unmap()
	}
	return addrs[:min(len(addrs), preflightAddrs)], nil
}

// probe tries one challenge at every address, since the authority may choose any.
func (i *Issuer) probe(ctx context.Context, challenge, name string, addrs []netip.Addr) error {
	try, port := i.probeHTTP, i.view.httpPort
	if challenge == acme.ChallengeTypeTLSALPN01 {
		try, port = i.probeTLS, i.view.tlsPort
	}
	arrived := false
	var unreachable error
	for _, a := range addrs {
		obstacle := try(ctx, name, net.JoinHostPort(a.String(), port))
		switch {
		case obstacle == nil:
			arrived = true
		case errors.Is(obstacle, syscall.ENETUNREACH), errors.Is(obstacle, syscall.EHOSTUNREACH), errors.Is(obstacle, syscall.EADDRNOTAVAIL):
			unreachable = obstacle // this machine may have no IPv6 itself
		default:
			return errors.New(sentence(name, a, port, obstacle))
		}
	}
	if !arrived {
		return errors.New(sentence(name, addrs[0], port, unreachable))
	}
	return nil
}

// sentence says in one line what stands in the way and the cure.
func sentence(name string, a netip.Addr, port string, obstacle error) string {
	where := name + " points to " + a.String()
	if a.String() == name {
		where = name
	}
	ours := isOurs(a)
	if ours {
		where += ", this machine"
	}
	what, cure := obstacle.Error(), "let port "+port+" lead here"
	var dns net.Error
	var other *otherServer
	switch {
	case errors.As(obstacle, &other) && ours:
		cure = "free port " + port + " for this gateway"
	case errors.As(obstacle, &other):
		cure = "point the name here"
	case errors.Is(obstacle, syscall.ECONNREFUSED):
		what = "where nothing listens on port " + port
	case errors.As(obstacle, &dns) && dns.Timeout(), errors.Is(obstacle, context.DeadlineExceeded):
		what = "where port " + port + " does not answer in time"
		cure += " through firewall and router (some routers hide a machine's public address from itself)"
	default:
		what = "where port " + port + " cannot be reached: " + what
	}
	return where + ", " + what + ": " + cure + ", " + cureOtherChallenge
}

// isOurs reports whether a is an address of this machine. That it is not is no
// fault: a router or a balancer may be in front.
func isOurs(a netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return a.IsLoopback() || slices.ContainsFunc(addrs, func(n net.Addr) bool {
		p, err := netip.ParsePrefix(n.String())
		return err == nil && p.Addr().Unmap() == a
	})
}

// otherServer is an answer that is not ours.
type otherServer struct{ port, who string }

// Error implements error.
func (e *otherServer) Error() string {
	return "where something else answers port " + e.port + " (" + e.who + ")"
}

// probeHTTP fetches an answer to http-01 as an authority would, but from addr and
// nowhere else for as long as it is not sent elsewhere.
func (i *Issuer) probeHTTP(ctx context.Context, name, addr string) error {
	token, text := "headgate-preflight-"+rand.Text(), []byte(rand.Text())
	if err := i.challenges.PutText(ctx, token, text); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeAwayTime)
		defer cancel()
		if err := i.challenges.RemoveText(ctx, token); err != nil {
			i.log.Warn("the answer to a challenge cannot be taken away", "host", name, "challenge", "http-01", "err", err)
		}
	}()
	host := name
	if strings.Contains(name, ":") {
		host = "[" + name + "]"
	}
	where := url.URL{Scheme: "http", Host: host, Path: "/.well-known/acme-challenge/" + token}
	resp, err := get(ctx, i.probeClient(name, addr), where.String())
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, preflightText))
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK && bytes.Equal(bytes.TrimSpace(body), text) {
		return nil
	}
	return &otherServer{port: i.view.httpPort, who: server(resp)}
}

// probeClient looks for name at addr, and follows redirects to other places.
func (i *Issuer) probeClient(name, addr string) *http.Client {
	dialer := &net.Dialer{Timeout: preflightDial, Resolver: i.view.resolver}
	return &http.Client{Timeout: 2 * preflightDial, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // as authorities do (RFC 8555 section 8.3)
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			if to == net.JoinHostPort(name, "80") {
				to = addr
			}
			return dialer.DialContext(ctx, network, to)
		},
	}}
}

// server says who has answered.
func server(resp *http.Response) string {
	who := strconv.Itoa(resp.StatusCode)
	if resp.StatusCode == http.StatusOK {
		who = "200 with another text"
	}
	if name := resp.Header.Get("Server"); name != "" {
		who += ", " + name[:min(len(name), 64)]
	}
	return who
}

// probeTLS asks for the answer to tls-alpn-01 as an authority would. While an order
// is under way for the name, that it is there is enough.
func (i *Issuer) probeTLS(ctx context.Context, name, addr string) error {
	sni := serverName(name)
	if i.challenges.Certificate(ctx, sni) != nil {
		return nil
	}
	kind := "dns"
	if isIP(name) {
		kind = "ip"
	}
	cert, err := acmez.TLSALPN01ChallengeCert(acme.Challenge{Identifier: acme.Identifier{Type: kind, Value: name}, KeyAuthorization: rand.Text()})
	if err != nil {
		return err
	}
	if err := i.challenges.PutCertificate(ctx, sni, cert); err != nil {
		return err
	}
	defer i.takeAway(ctx, sni, cert)
	dialer := &net.Dialer{Timeout: preflightDial}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(preflightDial)); err != nil {
		return err
	}
	client := tls.Client(conn, &tls.Config{ServerName: sni, NextProtos: []string{certs.ALPNProto}, InsecureSkipVerify: true}) // the certificate is compared
	if err := client.HandshakeContext(ctx); err != nil {
		var network net.Error
		if errors.As(err, &network) && network.Timeout() {
			return err
		}
		return &otherServer{port: i.view.tlsPort, who: "TLS: " + err.Error()}
	}
	state := client.ConnectionState()
	if state.NegotiatedProtocol != certs.ALPNProto || !bytes.Equal(state.PeerCertificates[0].Raw, cert.Certificate[0]) {
		return &otherServer{port: i.view.tlsPort, who: "another certificate"}
	}
	return nil
}

// takeAway removes the certificate of a probe, unless an order has replaced it.
func (i *Issuer) takeAway(ctx context.Context, sni string, cert *tls.Certificate) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeAwayTime)
	defer cancel()
	if now := i.challenges.Certificate(ctx, sni); now == nil || !bytes.Equal(now.Certificate[0], cert.Certificate[0]) {
		return
	}
	if err := i.challenges.RemoveCertificate(ctx, sni); err != nil {
		i.log.Warn("the answer to a challenge cannot be taken away", "host", sni, "challenge", "tls-alpn-01", "err", err)
	}
}

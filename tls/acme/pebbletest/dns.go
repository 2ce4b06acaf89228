package pebbletest

import (
	"context"
	"net"
	"strconv"
	"strings"
)

// startDNS runs the name server that Pebble asks.
func (c *CA) startDNS() {
	c.t.Helper()
	for try := 1; ; try++ {
		c.DNS = net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(c.t)))
		control := net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(c.t)))
		c.dnsCtl = "http://" + control
		p := run(c.t, nil, c.tools.dns, "-dnsserver", c.DNS, "-management", control,
			"-http01", "", "-https01", "", "-doh", "", "-tlsalpn01", "", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "")
		if c.answers(c.dnsCtl+"/", p) && c.resolves(p) {
			return
		}
		p.stop()
		if try == 3 {
			c.t.Fatalf("the name server does not start:\n%s", p.output())
		}
	}
}

// SetA makes host point to IPv4 and IPv6 addresses; a name points to 127.0.0.1
// by default.
func (c *CA) SetA(host string, ips ...string) {
	c.t.Helper()
	c.record("/clear-a", host, nil)
	c.record("/clear-aaaa", host, nil)
	var v4, v6 []string
	for _, ip := range ips {
		if strings.Contains(ip, ":") {
			v6 = append(v6, ip)
		} else {
			v4 = append(v4, ip)
		}
	}
	if len(v4) > 0 {
		c.record("/add-a", host, map[string]any{"addresses": v4})
	}
	if len(v6) > 0 {
		c.record("/add-aaaa", host, map[string]any{"addresses": v6})
	}
}

// SetDefaultA sets where names point that SetA does not know; "" is nowhere.
func (c *CA) SetDefaultA(ip string) {
	c.t.Helper()
	c.ask(c.dnsCtl+"/set-default-ipv4", map[string]string{"ip": ip})
}

// SetTXT adds a text record to host.
func (c *CA) SetTXT(host, value string) {
	c.t.Helper()
	c.record("/set-txt", host, map[string]any{"value": value})
}

// ClearTXT removes the text records of host.
func (c *CA) ClearTXT(host string) { c.t.Helper(); c.record("/clear-txt", host, nil) }

// SetCNAME makes host another name of target.
func (c *CA) SetCNAME(host, target string) {
	c.t.Helper()
	c.record("/set-cname", host, map[string]any{"target": fqdn(target)})
}

// ClearCNAME undoes SetCNAME.
func (c *CA) ClearCNAME(host string) { c.t.Helper(); c.record("/clear-cname", host, nil) }

// SetCAA says which authority may issue for host.
func (c *CA) SetCAA(host, issuer string) {
	c.t.Helper()
	c.record("/add-caa", host, map[string]any{"policies": []map[string]string{{"tag": "issue", "value": issuer}}})
}

// SetServFail makes questions for host fail.
func (c *CA) SetServFail(host string) { c.t.Helper(); c.record("/set-servfail", host, nil) }

// ClearServFail undoes SetServFail.
func (c *CA) ClearServFail(host string) { c.t.Helper(); c.record("/clear-servfail", host, nil) }

func (c *CA) record(path, host string, more map[string]any) {
	c.t.Helper()
	if c.dnsCtl == "" {
		c.t.Fatal("pebbletest: Options.DNS names another name server: set the record there")
	}
	body := map[string]any{"host": fqdn(host)}
	for k, v := range more {
		body[k] = v
	}
	c.ask(c.dnsCtl+path, body)
}

func fqdn(host string) string { return strings.TrimSuffix(host, ".") + "." }

// resolves waits until the name server takes connections.
func (c *CA) resolves(p *process) bool {
	return c.until(p, func() bool {
		conn, err := net.Dial("tcp", c.DNS)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// Dial is what a [net.Resolver] needs to ask the name server.
func (c *CA) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, c.DNS)
}

// DNSManagement is the URL of the name server's management interface, for
// programs that set records as a provider's tool does; "" with Options.DNS.
func (c *CA) DNSManagement() string { return c.dnsCtl }

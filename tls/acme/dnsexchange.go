package acme

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	udpTime = 2 * time.Second // for an answer; then TCP is tried
	tcpTime = 4 * time.Second
	udpSize = 1232 // bytes that are not cut into fragments on the way
)

// tsigSecret is the key that messages to one server are signed with (RFC 8945).
// The zero value signs nothing.
type tsigSecret struct {
	name, algorithm string // with final dots
	key             string // base64
}

func (t tsigSecret) used() bool { return t.name != "" }

// exchangeDNS sends m to server (host:port) and returns its answer, over TCP when
// UDP brings none or a cut one. The caller looks at the answer's code; with an
// error there is no answer. It blocks for some seconds at most and ends with ctx.
func exchangeDNS(ctx context.Context, m *dns.Msg, server string, sign tsigSecret) (*dns.Msg, error) {
	r, err := exchangeOver(ctx, "udp", udpTime, m, server, sign)
	var network net.Error
	if ctx.Err() == nil && (err == nil && r.Truncated || errors.As(err, &network)) {
		return exchangeOver(ctx, "tcp", tcpTime, m, server, sign)
	}
	return r, err
}

func exchangeOver(ctx context.Context, network string, limit time.Duration, m *dns.Msg, server string, sign tsigSecret) (*dns.Msg, error) {
	client := &dns.Client{Net: network, Timeout: limit, UDPSize: udpSize}
	if sign.used() {
		m = m.Copy() // a signature is of one moment
		m.SetTsig(sign.name, sign.algorithm, tsigFudge, time.Now().Unix())
		client.TsigSecret = map[string]string{sign.name: sign.key}
	}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // the library does not watch ctx
	defer stop()
	r, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if sign.used() {
		return checkTSIG(r, err, sign)
	}
	switch {
	case err != nil:
		return nil, err
	case !answers(m, r):
		return nil, errors.New("it answers another question")
	}
	return r, nil
}

// answers reports whether r is of the question of m.
func answers(m, r *dns.Msg) bool {
	if len(m.Question) != 1 || len(r.Question) == 0 {
		return true // errors may come without the question
	}
	q, a := m.Question[0], r.Question[0]
	return q.Qtype == a.Qtype && q.Qclass == a.Qclass && strings.EqualFold(q.Name, a.Name)
}

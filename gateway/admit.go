package gateway

import (
	"errors"
	"io"
	"net/netip"
	"sync/atomic"
	"time"

	"headgate/gateway/proxyproto"
	"headgate/gateway/socket"
)

// ends are the two ends of a connection, as the proxy says that has brought it, or
// as they are.
type ends struct{ remote, local netip.AddrPort }

// gates let connections in: so many at once, and with the header of the PROXY
// protocol where it must be.
type gates struct {
	guests   guests
	turned   atomic.Int64 // that were turned away because there were too many
	parting  atomic.Int64 // that get to hear it just now
	full     seldom       // for lines of the log
	unheard  seldom
	crowding seldom
}

// admit returns whose connection it is, or closes it. One that was admitted is
// dismissed at its end.
func (d *door) admit(sock *socket.Conn) (who ends, ok bool) {
	s := d.settings.Load()
	if n := d.open.Add(1); s.connections > 0 && n > int64(s.connections) {
		d.open.Add(-1)
		d.turnAway(sock, &d.gates.full, "limits.connections", s.connections, "raise limits.connections, or look who connects: ss -tn shows it")
		return ends{}, false
	}
	who = ends{addrPort(sock.RemoteAddr()), addrPort(sock.LocalAddr())}
	if s.proxies.Contains(who.remote.Addr()) {
		if who, ok = d.introduce(sock, who); !ok {
			d.open.Add(-1)
			sock.Close()
			return ends{}, false
		}
	}
	if !d.gates.guests.enter(who.remote.Addr(), d.mayHave(who, s)) {
		d.open.Add(-1)
		d.turnAway(sock, &d.gates.crowding, "limits.client_connections", s.clientConnections,
			"raise limits.client_connections; if clients share that address, as behind a proxy, list it in listen.trusted_proxies or listen.proxy_protocol",
			"client", who.remote.Addr())
		return ends{}, false
	}
	return who, true
}

// mayHave returns how many connections a client may have, 0 for any number: who
// speaks for other clients is not one.
func (d *door) mayHave(who ends, s *settings) int {
	if s.clientConnections <= 0 || s.trusted.Contains(who.remote.Addr()) {
		return 0
	}
	return s.clientConnections
}

// dismiss ends what admit began.
func (d *door) dismiss(who ends) {
	d.gates.guests.leave(who.remote.Addr())
	d.open.Add(-1)
}

// introduction bounds the wait for a PROXY header where header_timeout is off.
const introduction = 10 * time.Second

// introduce reads the PROXY header of a connection of one of the proxies.
func (d *door) introduce(sock *socket.Conn, proxy ends) (who ends, ok bool) {
	if !d.shaking.add(sock) {
		return proxy, false
	}
	defer d.shaking.remove(sock)
	limit := d.settings.Load().headerTimeout
	if limit <= 0 {
		limit = introduction
	}
	sock.SetReadDeadline(time.Now().Add(limit))
	h, err := proxyproto.Read(sock)
	if err != nil {
		d.unintroduced(proxy, err)
		return proxy, false
	}
	sock.SetReadDeadline(time.Time{})
	if h.Local {
		return proxy, true
	}
	if !h.Destination.IsValid() {
		h.Destination = proxy.local
	}
	return ends{h.Source, h.Destination}, true
}

func (d *door) unintroduced(proxy ends, err error) {
	if errors.Is(err, proxyproto.ErrNone) && errors.Is(err, io.EOF) { // somebody looked whether anybody is there
		d.g.engines.Debug("no PROXY header", "listener", d.address, "proxy", proxy.remote, "err", err)
		return
	}
	if n, ok := d.gates.unheard.allow(time.Now()); ok {
		d.g.log.Warn("no PROXY header on connections of a proxy: they are closed", "listener", d.address, "proxy", proxy.remote.Addr(), "connections", n, "err", err,
			"cure", "let the proxy send the PROXY protocol, or take its address out of listen.proxy_protocol")
	}
}

const (
	maxParting  = 64 // that are told that there are too many; the others are closed
	partingTime = time.Second
)

// turnAway closes a connection beyond a limit. In clear text it is told why.
func (d *door) turnAway(sock *socket.Conn, line *seldom, limit string, value int, cure string, more ...any) {
	d.gates.turned.Add(1)
	if n, ok := line.allow(time.Now()); ok {
		d.g.log.Warn("connections are turned away: there are too many", append([]any{"listener", d.address, "limit", limit, "value", value, "connections", n, "cure", cure}, more...)...)
	}
	if !d.secure && d.gates.parting.Add(1) <= maxParting && d.shaking.add(sock) {
		d.part(sock)
		d.shaking.remove(sock)
	}
	if !d.secure {
		d.gates.parting.Add(-1)
	}
	sock.Close()
}

// part answers what comes first, so that no client takes the answer for one to
// nothing.
func (d *door) part(sock *socket.Conn) {
	sock.SetDeadline(time.Now().Add(partingTime))
	if _, err := sock.Read(make([]byte, 4<<10)); err != nil {
		return
	}
	if _, err := sock.Write([]byte(tooMany)); err == nil {
		sock.Linger(64<<10, partingTime)
	}
}

// tooMany is in the version that everybody reads.
const tooMany = "HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" +
	"503 Service Unavailable\n\nthere are too many connections\n"

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// listenOptions is what of the configuration concerns the sockets of one door.
type listenOptions struct {
	address string
	secure  bool
	http3   bool
}

// openDoor binds the sockets of one address. Nothing is accepted yet.
func (g *Gateway) openDoor(o listenOptions, idle time.Duration) (*door, error) {
	d := &door{g: g, address: o.address, secure: o.secure, closed: make(chan struct{})}
	var err error
	for range 3 { // a free TCP port of ":0" may be taken on UDP
		if err = d.bind(o, idle); err == nil {
			return d, nil
		}
		if _, port, _ := net.SplitHostPort(o.address); port != "0" {
			break
		}
	}
	return nil, listenError(o, err)
}

func (d *door) bind(o listenOptions, idle time.Duration) error {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true}}
	lc.SetMultipathTCP(false) // its sockets take no filter, which refuseNew needs
	tcp, err := lc.Listen(context.Background(), "tcp", o.address)
	if err != nil {
		return err
	}
	_, d.port, err = net.SplitHostPort(tcp.Addr().String())
	if err != nil {
		tcp.Close()
		return err
	}
	d.tcp = tcp
	if !o.http3 {
		return nil
	}
	if err := d.bindUDP(o.address, idle); err != nil {
		tcp.Close()
		return err
	}
	return nil
}

// bindUDP opens the socket for HTTP/3 on the port that TCP has.
func (d *door) bindUDP(address string, idle time.Duration) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if d.udp != nil { // it was turned off and is wanted again: its connections go on
		if d.listenQUIC(idle) == nil {
			return nil
		}
		d.closeUDP()
	}
	pc, err := net.ListenPacket("udp", net.JoinHostPort(host, d.port))
	if err != nil {
		return err
	}
	d.udp = &quic.Transport{Conn: pc, ConnContext: func(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
		return withConnection(ctx), nil
	}}
	if err = d.listenQUIC(idle); err != nil {
		d.closeUDP()
	}
	return err
}

// listenQUIC takes new connections on the socket that is there.
func (d *door) listenQUIC(idle time.Duration) (err error) {
	d.quic, err = d.udp.ListenEarly(http3.ConfigureTLSConfig(d.g.tlsConfig), &quic.Config{
		Allow0RTT:             false, // a replay of early data must not reach a worker
		MaxIdleTimeout:        idle,
		MaxIncomingStreams:    maxStreams,
		MaxIncomingUniStreams: 8, // h3 needs 3
	})
	return err
}

// listenError adds the cure to the reasons that operators meet.
func listenError(o listenOptions, err error) error {
	cure := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		cure = ": another server has this port; stop it (ss -lntup shows which), or listen on another"
	case errors.Is(err, syscall.EACCES):
		cure = ": ports below 1024 need the right to bind them (CAP_NET_BIND_SERVICE, or run as root)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		cure = ": this machine does not have that address"
	}
	return fmt.Errorf("listen on %s: %w%s", o.address, err, cure)
}

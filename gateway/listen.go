package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"headgate/gateway/h1"
	"headgate/gateway/h2"
	"headgate/gateway/h3"
	"headgate/gateway/wire"
)

// listenOptions is what of the configuration concerns the sockets of one door.
type listenOptions struct {
	address string
	secure  bool
	http3   bool
}

// openDoor binds the sockets of one address. Nothing is accepted yet.
func (g *Gateway) openDoor(o listenOptions, s settings) (*door, error) {
	d := &door{g: g, address: o.address, secure: o.secure, closed: make(chan struct{})}
	d.h1, d.h2 = h1.NewServer(g.engines), h2.NewServer(g.engines)
	d.h3 = h3.NewServer(h3.Setup{Log: g.engines, TLS: g.tlsConfig, Handler: d.newQUIC})
	d.configure(s)
	var err error
	for range 3 { // a free TCP port of ":0" may be taken on UDP
		if err = d.bind(o); err == nil {
			return d, nil
		}
		if _, port, _ := net.SplitHostPort(o.address); port != "0" {
			break
		}
	}
	return nil, listenError(o, err)
}

// newQUIC answers the requests of an HTTP/3 connection.
func (d *door) newQUIC(i h3.ConnInfo) wire.Handler {
	return d.newConnection(i.Remote, i.Local, i.TLS)
}

func (d *door) bind(o listenOptions) error {
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
	if err := d.listenUDP(o.address); err != nil {
		tcp.Close()
		return err
	}
	return nil
}

// listenUDP takes HTTP/3 connections on the port that TCP has.
func (d *door) listenUDP(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	return d.h3.Listen(net.JoinHostPort(host, d.port))
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

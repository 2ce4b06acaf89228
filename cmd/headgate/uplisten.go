package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// The ports of headgate up, and how many after them are tried when they are taken.
const (
	upHTTP     = 8080
	upHTTPS    = 8443
	upPortsOff = 100
)

// listen decides on addresses: those that are said; else plain HTTP for the world as
// the first process of a container; else those that only this machine reaches, on
// ports that are free. Notes are for people.
func (f *upFlags) listen() (l upListen, notes []string, err error) {
	switch {
	case f.tls == "none" && len(f.https) > 0:
		return l, nil, usageError{errors.New("--https needs a certificate, and --tls none makes none: leave one of the two out, or write --tls internal")}
	case len(f.http)+len(f.https) > 0:
		return upListen{f.http, f.https}, nil, nil
	case os.Getpid() == 1:
		return upListen{http: []string{":" + strconv.Itoa(upHTTP)}}, []string{
			"the first process of a container: plain HTTP for the world; --https :8443 --tls internal adds TLS",
		}, nil
	}
	hosts := loopbacks()
	port := freePort(upHTTP, hosts, false)
	l.http = join(hosts, port)
	notes = movedNote(notes, upHTTP, port)
	if f.tls != "none" {
		port = freePort(upHTTPS, hosts, true)
		l.https = join(hosts, port)
		notes = movedNote(notes, upHTTPS, port)
	}
	return l, notes, nil
}

func movedNote(notes []string, wanted, got int) []string {
	if wanted == got {
		return notes
	}
	return append(notes, fmt.Sprintf("port %d is taken: it is %d", wanted, got))
}

// loopbacks are the addresses of this machine that only itself reaches.
func loopbacks() []string {
	hosts := []string{"127.0.0.1"}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		_ = l.Close() // it was there
		hosts = append(hosts, "::1")
	}
	return hosts
}

func join(hosts []string, port int) []string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		out[i] = net.JoinHostPort(h, strconv.Itoa(port))
	}
	return out
}

// freePort returns the first port from wanted on that is free at all hosts; wanted if
// there is none, for whoever binds it to say why not.
func freePort(wanted int, hosts []string, udp bool) int {
	for port := wanted; port < wanted+upPortsOff; port++ {
		if isFree(join(hosts, port), udp) {
			return port
		}
	}
	return wanted
}

func isFree(addresses []string, udp bool) bool {
	for _, a := range addresses {
		l, err := net.Listen("tcp", a)
		if err != nil {
			return false
		}
		_ = l.Close()
		if !udp {
			continue
		}
		p, err := net.ListenPacket("udp", a)
		if err != nil {
			return false
		}
		_ = p.Close()
	}
	return true
}

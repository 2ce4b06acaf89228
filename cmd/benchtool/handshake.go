package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// A newcomer opens a connection for each request, one after the other.
type newcomer struct {
	target  *target
	request []byte
	resume  bool
	number  int

	result Result
	took   []time.Duration
}

func runHandshake(args []string, t Terminal) error {
	set := flags("handshake", "URL", t)
	clients := set.Int("clients", 4, "clients, each with one connection at a time")
	version := set.String("tls", "1.3", "version of TLS: 1.3, 1.2, or none for a URL of http")
	resume := set.Bool("resume", false, "each connection takes up the session of the one before")
	duration := set.Duration("duration", 5*time.Second, "how long")
	if err := set.Parse(args); err != nil {
		return err
	}
	start, ended := time.Now(), make(chan error)
	all := make([]*newcomer, *clients)
	for i := range all {
		n, err := newNewcomer(set.Arg(0), *version, *resume)
		if err != nil {
			return err
		}
		n.number = i
		all[i] = n
		go func() { ended <- n.run(start.Add(*duration)) }()
	}
	var errs []error
	for range all {
		errs = append(errs, <-ended)
	}
	if err := firstOf(errs); err != nil {
		return err
	}
	var sum Result
	var took []time.Duration
	for _, n := range all {
		sum.add(n.result)
		took = append(took, n.took...)
	}
	sum.Seconds = time.Since(start).Seconds()
	sum.setLatencies(took)
	return t.print(sum)
}

func newNewcomer(url, version string, resume bool) (*newcomer, error) {
	target, err := newTarget(url, "http/1.1")
	if err != nil {
		return nil, err
	}
	n := &newcomer{target: target, resume: resume}
	n.request = fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target.path, target.host)
	wanted, known := map[string]uint16{"1.3": tls.VersionTLS13, "1.2": tls.VersionTLS12, "none": 0}[version]
	if !known || (wanted == 0) != (target.config == nil) {
		return nil, fmt.Errorf("--tls %s does not go with %s", version, url)
	}
	if c := target.config; c != nil {
		c.MinVersion, c.MaxVersion = wanted, wanted
		if wanted == tls.VersionTLS12 { // where the list also says which curves a certificate may have
			c.CurvePreferences = append(c.CurvePreferences, tls.CurveP256)
		}
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256} // of 1.2; 1.3 has no choice
		if resume {
			c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		}
	}
	return n, nil
}

// run opens connections until the end; any surprise ends it before.
func (n *newcomer) run(end time.Time) error {
	for {
		begin := time.Now()
		if begin.After(end) {
			return nil
		}
		c, err := n.target.dial(context.Background(), n.number*perSource) // an address for each client
		if err != nil {
			return err
		}
		if err := errors.Join(n.check(c), n.ask(c), c.Close()); err != nil {
			return err
		}
		n.took = append(n.took, time.Since(begin))
		n.result.Requests++
	}
}

// check returns an error if the handshake was of another kind than asked for.
func (n *newcomer) check(c net.Conn) error {
	secure, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	state := secure.ConnectionState()
	n.result.Version = tls.VersionName(state.Version)
	switch {
	case state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 && state.CipherSuite != tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
		return fmt.Errorf("negotiated %s", tls.CipherSuiteName(state.CipherSuite))
	case state.CurveID != tls.X25519 && !(state.DidResume && state.Version == tls.VersionTLS12):
		return fmt.Errorf("the key exchange was %s, not X25519", state.CurveID)
	case state.DidResume != (n.resume && n.result.Requests > 0):
		return fmt.Errorf("connection %d: resumed is %t", n.result.Requests+1, state.DidResume)
	}
	if state.DidResume {
		n.result.Resumed++
	}
	return nil
}

// ask sends the request; reading to the end takes in the tickets too.
func (n *newcomer) ask(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(n.request); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %.60q", answer)
	}
	n.result.Bytes += int64(len(answer))
	return nil
}

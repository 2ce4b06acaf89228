package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A stream3 is one of the streams of an HTTP/3 connection: a request at a time.
type stream3 struct {
	transport *http3.Transport
	url       string

	result Result
	took   []time.Duration
}

func runH3(args []string, t Terminal) error {
	set := flags("h3", "URL", t)
	connections := set.Int("connections", 4, "connections, each with a socket of its own")
	streams := set.Int("streams", 10, "requests at once on each connection")
	duration := set.Duration("duration", 5*time.Second, "how long")
	if err := set.Parse(args); err != nil {
		return err
	}
	target, err := newTarget(set.Arg(0), "h3")
	if err != nil {
		return err
	}
	if target.config == nil {
		return errors.New("HTTP/3 needs a URL of https")
	}
	var all []*stream3
	for range *connections {
		tr := &http3.Transport{TLSClientConfig: target.config.Clone(), DisableCompression: true, Dial: dial3}
		defer tr.Close()
		for range *streams {
			all = append(all, &stream3{transport: tr, url: set.Arg(0)})
		}
	}
	return t.print(run3(all, *streams, *duration))
}

// dial3 opens a connection from a socket of its own, which ends with it.
func dial3(ctx context.Context, addr string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
	udp, err := net.ResolveUDPAddr("udp4", addr) // localhost may be ::1 too
	if err != nil {
		return nil, err
	}
	return quic.DialAddrEarly(ctx, udp.String(), t, q)
}

// run3 lets all streams ask for a while. The first of each connection begins,
// so that its others find it open.
func run3(all []*stream3, perConnection int, d time.Duration) Result {
	for i := 0; i < len(all); i += perConnection {
		all[i].ask(context.Background())
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	start, ended := time.Now(), make(chan struct{})
	for _, s := range all {
		go func() {
			for ctx.Err() == nil && s.result.Errors < 100 {
				s.ask(context.Background()) // a request that has begun is finished
			}
			ended <- struct{}{}
		}()
	}
	for range all {
		<-ended
	}
	var sum Result
	var took []time.Duration
	for _, s := range all {
		sum.add(s.result)
		took = append(took, s.took...)
	}
	sum.Seconds = time.Since(start).Seconds()
	sum.setLatencies(took)
	return sum
}

// ask sends one request and reads its answer.
func (s *stream3) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	begin := time.Now()
	n, err := s.get(ctx)
	if err != nil {
		s.result.fail(err)
		return
	}
	s.took = append(s.took, time.Since(begin))
	s.result.Requests++
	s.result.Bytes += n
}

func (s *stream3) get(ctx context.Context) (int64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := s.transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(fmt.Errorf("answered %s", resp.Status), err)
	}
	if resp.TLS != nil {
		s.result.Version = tls.VersionName(resp.TLS.Version)
	}
	return n, err
}

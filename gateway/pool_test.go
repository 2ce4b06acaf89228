package gateway_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway"
	"headgate/gateway/config"
	"headgate/gateway/gatewaytest"
	"headgate/gateway/stats"
	"headgate/upstream/uwsgi/uwsgitest"
)

// TestReloadReadsTLSFilesOfPools: certificates that were renewed are taken over by
// a reload of the same configuration, and broken ones refuse it, also where the
// members have yet to be looked up.
func TestReloadReadsTLSFilesOfPools(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "ca.pem")
			writeRoot(t, file, newPublicCA(t))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			conf := gatewaytest.Conf{Members: []string{net.JoinHostPort(host, port)}, Pool: fmt.Sprintf("protocol: suwsgi, tls: {ca: %q}", file)}
			g := gatewaytest.Start(t, conf.String())
			for _, broken := range []func() error{
				func() error { return os.WriteFile(file, []byte("broken"), 0o600) },
				func() error { return os.Remove(file) },
			} {
				if err := broken(); err != nil {
					t.Fatal(err)
				}
				if err := g.ReloadWith(conf.String()); err == nil || !strings.Contains(err.Error(), "pool app: ") || !strings.Contains(err.Error(), "tls.ca: ") {
					t.Errorf("the reload says %v, want that tls.ca cannot be used", err)
				}
				if err := checkPools(t, conf); err == nil {
					t.Error("check takes it")
				}
			}
			writeRoot(t, file, newPublicCA(t))
			if err := g.ReloadWith(conf.String()); err != nil {
				t.Errorf("with another root: %v", err)
			}
		})
	}
}

// TestReloadTakesOverRenewedTLSFiles: the member is trusted from the reload on, under
// a configuration that has not changed by a letter.
func TestReloadTakesOverRenewedTLSFiles(t *testing.T) {
	t.Parallel()
	cert, ca := selfSigned(t, "worker.internal")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	w := uwsgitest.StartTCP(t, said(answerOK))
	var bridging sync.WaitGroup
	bridging.Go(func() { bridge(&bridging, l, w.Addr().Addr) })
	t.Cleanup(func() { _ = l.Close(); bridging.Wait() })
	file := filepath.Join(t.TempDir(), "ca.pem")
	writeRoot(t, file, newPublicCA(t))
	conf := gatewaytest.Conf{Members: []string{l.Addr().String()}}
	conf.Pool = fmt.Sprintf("protocol: suwsgi, retry: {attempts: 1}, tls: {ca: %q, server_name: worker.internal}", file)
	c := alone(t, gatewaytest.H1, conf)
	if got := c.Get("/"); got.Code != 502 {
		t.Fatalf("of a member that is not trusted: got %d", got.Code)
	}
	root, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, root, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Gateway.ReloadWith(conf.String()); err != nil {
		t.Fatal(err)
	}
	if got := c.Get("/"); got.Code != 200 {
		t.Errorf("after the reload: got %d %s", got.Code, got.Body)
	}
}

// checkPools is what headgate check says of conf.
func checkPools(t *testing.T, conf gatewaytest.Conf) error {
	t.Helper()
	conf.Listen, conf.More = "https: []", "tls: {issuer: none}"
	c, err := config.Parse("headgate.yaml", []byte(conf.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return gateway.Check(c, nil)
}

// TestSlotsBecomeAuto: the kernel is asked after a reload as after a start.
func TestSlotsBecomeAuto(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the kernel tells on Linux only")
	}
	for _, was := range []string{"pool", "member"} {
		t.Run(was, func(t *testing.T) {
			t.Parallel()
			w := newTwoCores(t)
			conf := before(w)
			fixed := conf.String()
			if was == "pool" {
				conf.Pool = "slots: 8"
				fixed = conf.String()
				conf.Pool = ""
			} else {
				fixed = strings.Replace(fixed, fmt.Sprintf("%q", conf.Members[0]), fmt.Sprintf("{address: %q, slots: 8}", conf.Members[0]), 1)
			}
			g := gatewaytest.Start(t, fixed)
			if p := poolOf(g); p.Members[0].Known != "config" || p.Members[0].Slots != 8 {
				t.Fatalf("before the reload: %+v", p)
			}
			if err := g.ReloadWith(conf.String()); err != nil {
				t.Fatal(err)
			}
			c := g.Client(t, gatewaytest.H1)
			stop := make(chan struct{})
			var asking sync.WaitGroup
			for range 12 {
				asking.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							<-later(c)
						}
					}
				})
			}
			untilPool(t, g, "counted by the kernel", func(p stats.Pool) bool { return p.Members[0].Known == "kernel" })
			close(stop)
			asking.Wait()
		})
	}
}

// newTwoCores starts a worker that reads and answers two requests at a time.
func newTwoCores(t *testing.T) *uwsgitest.Worker {
	t.Helper()
	cores := make(chan struct{}, 2)
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		cores <- struct{}{}
		defer func() { <-cores }()
		if c.Receive() == nil {
			return
		}
		<-time.After(20 * time.Millisecond) // its work
		c.Send(answerOK)
	})
}

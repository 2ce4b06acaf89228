package livetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fleet is a gateway whose apps are uWSGI instances that announce themselves, for
// hosts below fleet.test.
type fleet struct {
	*gateway
	dir     string
	mint    *mint
	section string // of certificates
	udp     string // where instances announce themselves
	unix    string // likewise, a path
	metrics string
}

// fleetConf is what a test says of one; every field may be "".
type fleetConf struct {
	subscriptions string // more keys, in flow style
	pools         string // lines of block style; one pool "apps" by default
	sites         string // likewise; all hosts go to apps by default
	limits        string // of flow style
}

// newFleet makes one that does not run yet.
func newFleet(t testing.TB) *fleet {
	t.Helper()
	need(t, "uwsgi")
	dir := shortDir(t)
	f := &fleet{
		dir: dir, mint: newMint(t), udp: "127.0.0.1:" + freePort(t), unix: filepath.Join(dir, "announce.sock"), metrics: "127.0.0.1:" + freePort(t),
		gateway: &gateway{certificate: newCertificate(t), file: filepath.Join(dir, "headgate.yaml"), admin: filepath.Join(dir, "admin.sock")},
	}
	f.roots.AddCert(f.mint.root)
	f.section = f.mint.section(t, "fleet.test", "*.fleet.test", "*.below.fleet.test", "*.deep.below.fleet.test")
	return f
}

func startFleet(t testing.TB, c fleetConf) *fleet {
	t.Helper()
	f := newFleet(t)
	f.configure(t, c)
	f.process = start(t, f.dir, accepts("unix", f.admin), headgate, "run", "-c", f.file)
	f.learn(t)
	return f
}

func (f *fleet) configure(t testing.TB, c fleetConf) {
	t.Helper()
	if c.pools == "" {
		c.pools = "  apps: {subscriptions: true}\n"
	}
	if c.sites == "" {
		c.sites = "  - {http: serve, routes: [{pool: apps}]}\n"
	}
	write(t, f.file, fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
tls:
  issuer: none
%sadmin: {socket: %q}
metrics: %q
log: {access: "off"}
limits: {body: 1MiB%s}
subscriptions: {listen: ["udp:%s", "unix:%s"]%s}
pools:
%ssites:
%s`, f.section, f.admin, f.metrics, more(c.limits), f.udp, f.unix, more(c.subscriptions), c.pools, c.sites))
}

func (f *fleet) reload(t testing.TB, c fleetConf) {
	t.Helper()
	f.configure(t, c)
	if stdout, stderr, code := run(t, headgate, "reload", "-c", f.file); code != 0 {
		t.Fatalf("reload: %s%s", stdout, stderr)
	}
}

// instance starts testdata/member.py on uWSGI at a socket of its own and returns at
// once. It announces itself as the options say; {SOCKET} in them is its socket's path.
func (f *fleet) instance(t testing.TB, name string, nap float64, options ...string) *app {
	t.Helper()
	socket := filepath.Join(f.dir, name+".sock")
	for i, o := range options {
		options[i] = strings.ReplaceAll(o, "{SOCKET}", socket)
	}
	binary := need(t, "uwsgi")
	a := &app{socket: socket, fifo: socket + ".fifo"}
	a.process = start(t, f.dir, func() bool { return true }, append([]string{
		binary, "--plugin", "python3", "--master", "--die-on-term", "--need-app", "--wsgi-file", absolute(t, "testdata/member.py"), "--socket", socket,
		"--master-fifo", a.fifo, "--disable-logging", "--buffer-size", "65535", "--listen", "100", "--reload-mercy", "5", "--worker-reload-mercy", "5",
		"--env", "NAME=" + name, "--env", fmt.Sprint("NAP=", nap), "--env", "RUNS=" + filepath.Join(f.dir, "runs"),
	}, options...)...)
	t.Cleanup(func() {
		if !a.over() {
			a.killAll(t) // to end takes uWSGI a second or two
		}
	})
	return a
}

// announces is the option of uWSGI that does.
func announces(server, key, rest string) []string {
	option := "server=" + server + ",key=" + key
	if rest != "" {
		option += "," + rest
	}
	return []string{"--subscribe2", option}
}

// tell writes a command into the pipe of an instance.
func (a *app) tell(t testing.TB, command string) {
	t.Helper()
	ok := eventually(10*time.Second, func() bool {
		fifo, err := os.OpenFile(a.fifo, os.O_WRONLY|0o4000, 0) // O_NONBLOCK: nobody reads it yet
		if err != nil {
			return false
		}
		defer fifo.Close()
		_, err = fifo.WriteString(command)
		return err == nil
	})
	if !ok {
		t.Errorf("uWSGI does not read %s", a.fifo)
	}
}

// fleetStatus is what headgate status says of who has announced itself.
type fleetStatus struct {
	Pools         []poolStatus
	Subscriptions struct {
		Nodes []struct {
			Key, Address, From, Error string
			Weight, Cores             int
			Signed, Ready, Backup     bool
		}
		Counters map[string]int
	}
}

func (f *fleet) status(t testing.TB) (s fleetStatus) {
	t.Helper()
	stdout, stderr, code := run(t, headgate, "status", "--json", "--socket", f.admin)
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || code != 0 {
		t.Fatalf("headgate status: exit code %d, %v: %s", code, err, stderr)
	}
	return s
}

// ready returns the keys of the nodes that are, with their addresses, in order.
func (s fleetStatus) ready() (out []string) {
	for _, n := range s.Subscriptions.Nodes {
		if n.Ready {
			out = append(out, n.Key+" "+n.Address)
		}
	}
	slices.Sort(out)
	return out
}

// wantReady waits until n nodes are ready.
func (f *fleet) wantReady(t testing.TB, n int) {
	t.Helper()
	if !eventually(20*time.Second, func() bool { return len(f.status(t).ready()) == n }) {
		t.Fatalf("not %d that are ready: %+v", n, f.status(t).Subscriptions)
	}
}

// page asks for / of a host.
func (f *fleet) page(t testing.TB, p protocol, host string) (status int, body string) {
	t.Helper()
	return fetch(f.client(t, p), p, host, "/")
}

func fetch(client *http.Client, p protocol, host, path string) (status int, body string) {
	resp, err := client.Get(p.scheme() + "://" + host + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// answered waits for the first answer of a host over HTTP/2, and returns when it came.
func (f *fleet) answered(t testing.TB, host string) time.Time {
	t.Helper()
	client := f.client(t, h2)
	last := ""
	ok := eventually(20*time.Second, func() bool {
		status, body := fetch(client, h2, host, "/")
		last = fmt.Sprint(status, " ", body)
		return status == http.StatusOK
	})
	if !ok {
		t.Fatalf("%s does not answer: %s", host, last)
	}
	return time.Now()
}

// scrape returns the lines of /metrics, which must be whole.
func (f *fleet) scrape(t testing.TB) string {
	t.Helper()
	resp, err := http.Get("http://" + f.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("metrics: %d, %v: %.500s", resp.StatusCode, err, b)
	}
	return string(b)
}

// datagram is one that was seen under way.
type datagram struct {
	at time.Time
	b  []byte
}

// key returns the value of a pair.
func (d datagram) pair(name string) string {
	for b := d.b[4:]; len(b) > 2; {
		k := int(b[0]) | int(b[1])<<8
		key := string(b[2 : 2+k])
		b = b[2+k:]
		v := int(b[0]) | int(b[1])<<8
		value := string(b[2 : 2+v])
		b = b[2+v:]
		if key == name {
			return value
		}
	}
	return ""
}

// relay is between instances and the gateway: it keeps what it passes on.
type relay struct {
	addr string
	in   *net.UDPConn
	out  *net.UDPConn
	deaf atomic.Bool // it keeps all, and passes on nothing

	mu   sync.Mutex // guards the field below
	seen []datagram
}

// startRelay passes datagrams on to an address, from another one of the loopback.
func startRelay(t testing.TB, to, from string) *relay {
	t.Helper()
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{in: in, addr: in.LocalAddr().String(), out: sender(t, to, from)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, _, err := in.ReadFromUDP(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.seen = append(r.seen, datagram{time.Now(), slices.Clone(buf[:n])})
			r.mu.Unlock()
			if !r.deaf.Load() {
				_, _ = r.out.Write(buf[:n]) // an error is that the gateway has stopped
			}
		}
	}()
	t.Cleanup(func() {
		in.Close()
		<-done
	})
	return r
}

// sender is a socket that sends to an address, from another one.
func sender(t testing.TB, to, from string) *net.UDPConn {
	t.Helper()
	addr, err := net.ResolveUDPAddr("udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)}, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// packets returns those that say something of a key; command 1 takes it back.
func (r *relay) packets(key string, command byte) (out []datagram) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.seen {
		if len(d.b) > 4 && d.b[3] == command && d.pair("key") == key {
			out = append(out, d)
		}
	}
	return out
}

// first waits for the first of packets.
func (r *relay) first(t testing.TB, key string, command byte) datagram {
	t.Helper()
	if !eventually(20*time.Second, func() bool { return len(r.packets(key, command)) > 0 }) {
		t.Fatalf("no packet of %s with command %d", key, command)
	}
	return r.packets(key, command)[0]
}

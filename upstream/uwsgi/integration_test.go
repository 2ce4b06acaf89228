package uwsgi_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headgate/upstream/uwsgi"
)

// process starts a server and waits until addr accepts a connection.
func process(t testing.TB, addr uwsgi.Address, dir string, command ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	cmd.WaitDelay = time.Second // workers that were left hold the pipes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", command[0], out.String())
		}
	})
	deadline := time.After(20 * time.Second)
	for {
		if c, err := net.Dial(addr.Network, addr.Addr); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("%v ended:\n%s", command, out.String())
		case <-deadline:
			t.Fatalf("%v does not listen at %v", command, addr)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func appDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("testdata/app")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// realUWSGI starts uWSGI with a listening option such as --socket X and more.
func realUWSGI(t *testing.T, addr uwsgi.Address, args ...string) *uwsgi.Transport {
	t.Helper()
	startUWSGI(t, addr, args...)
	return newTransport(t, addr, uwsgi.Options{ResponseTimeout: 10 * time.Second})
}

func startUWSGI(t testing.TB, addr uwsgi.Address, args ...string) {
	t.Helper()
	binary, err := exec.LookPath("uwsgi")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("uwsgi is not installed")
		}
		t.Skip("uwsgi is not installed")
	}
	args = append([]string{binary, "--plugin", "python3", "--master", "--die-on-term", "--wsgi-file", "wsgi.py"}, args...)
	process(t, addr, appDir(t), args...)
}

// unixUWSGI starts it on a unix socket.
func unixUWSGI(t *testing.T, args ...string) *uwsgi.Transport {
	t.Helper()
	path := filepath.Join(shortDir(t), "u.sock")
	return realUWSGI(t, unixAt(path), append([]string{"--socket", path}, args...)...)
}

func TestRealUWSGI(t *testing.T) {
	t.Parallel()
	tr := unixUWSGI(t, "--processes", "2")

	t.Run("environ", func(t *testing.T) {
		req := get("/environ")
		req.Query, req.Scheme, req.ScriptName = "a=b", "https", ""
		req.Header = uwsgi.HeaderFields{"X-Test": {"one", "two"}}
		resp, body := do(t, tr, req)
		var env map[string]string
		if err := json.Unmarshal([]byte(body), &env); err != nil {
			t.Fatal(err)
		}
		for k, want := range map[string]string{
			"REQUEST_METHOD": "GET", "PATH_INFO": "/environ", "QUERY_STRING": "a=b", "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1",
			"REMOTE_ADDR": "192.0.2.7", "HTTP_HOST": "shop.example.com", "HTTPS": "on", "wsgi.url_scheme": "https", "HTTP_X_TEST": "one, two",
		} {
			if env[k] != want {
				t.Errorf("%s = %q, want %q", k, env[k], want)
			}
		}
		if !resp.Body.Complete() || tr.Dialect() != uwsgi.DialectUWSGI {
			t.Errorf("complete %v, dialect %v", resp.Body.Complete(), tr.Dialect())
		}
	})
	t.Run("head", func(t *testing.T) {
		req := get("/")
		req.Method = "HEAD"
		if _, body := do(t, tr, req); body != "" {
			t.Errorf("got %q", body)
		}
	})
	t.Run("304 with a body", func(t *testing.T) {
		if resp, body := do(t, tr, get("/304")); resp.Status != http.StatusNotModified || body != "" {
			t.Errorf("got %d %q", resp.Status, body)
		}
	})
	t.Run("chunked by the app", func(t *testing.T) {
		if _, body := do(t, tr, get("/chunked")); body != "hello, world" {
			t.Errorf("got %q", body)
		}
	})
	t.Run("non-ASCII path", func(t *testing.T) {
		if _, body := do(t, tr, get("/café")); body != "hello /café" {
			t.Errorf("got %q", body)
		}
	})
	t.Run("exception", func(t *testing.T) {
		wantError(t, doError(t, tr, get("/raise")), uwsgi.StageHead, uwsgi.KindNoAnswer, false, "closed without an answer")
	})
	t.Run("early answer", func(t *testing.T) {
		req := post(strings.Repeat("x", 3<<20))
		req.Method, req.PathInfo = "POST", "/early"
		if resp, body := do(t, tr, req); resp.Status != 413 || body != "much" {
			t.Errorf("got %d %q", resp.Status, body)
		}
	})
	t.Run("large bodies", func(t *testing.T) { echoLarge(t, tr) })
	t.Run("killed worker", func(t *testing.T) {
		wantError(t, doError(t, tr, get("/kill")), uwsgi.StageHead, uwsgi.KindNoAnswer, false, "closed without an answer")
		do(t, tr, get("/"))
	})
}

// echoLarge sends 32 MiB, streamed, and wants the same back.
func echoLarge(t *testing.T, tr *uwsgi.Transport) {
	t.Helper()
	const size = 32 << 20
	sent, got := sha256.New(), sha256.New()
	req := get("/echo")
	req.Method, req.ContentLength = "POST", size
	req.Body = io.TeeReader(io.LimitReader(rand.Reader, size), sent)
	resp, err := tr.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(got, resp.Body)
	if n != size || err != nil || !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
		t.Errorf("%d bytes came back, %v", n, err)
	}
}

func TestRealUWSGILimits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "u.sock")
	tr := realUWSGI(t, unixAt(path), "--socket", path)
	fresh := newTransport(t, unixAt(path), uwsgi.Options{})
	for range 2 {
		e := doError(t, tr, wide(5000))
		wantError(t, e, uwsgi.StageSend, uwsgi.KindTooLarge, true, "the biggest header is Cookie")
		do(t, tr, get("/"))
	}
	req := replayable("hello")
	req.Header = wide(5000).Header
	wantError(t, doError(t, fresh, req), uwsgi.StageSend, uwsgi.KindTooLarge, true, "Cookie")

	own := len(varsOf(t, get("/")))
	for _, n := range []int{uwsgi.MaxPairs - own, uwsgi.MaxPairs - own + 1} {
		req := get("/")
		fields := uwsgi.HeaderFields{}
		for i := range n {
			fields[fmt.Sprintf("X-%d", i)] = []string{"y"}
		}
		req.Header = fields
		if n+own <= uwsgi.MaxPairs {
			do(t, tr, req)
		} else if e := doError(t, tr, req); e.Kind != uwsgi.KindTooLarge || e.Stage != uwsgi.StageEncode {
			t.Errorf("129 variables: %v", e)
		}
	}
}

func varsOf(t *testing.T, req *uwsgi.Request) []uwsgi.Var {
	t.Helper()
	var enc uwsgi.Encoder
	packet, err := enc.Encode(req, nil, uwsgi.DialectUWSGI, false)
	if err != nil {
		t.Fatal(err)
	}
	vars, err := uwsgi.ParseVars(packet[uwsgi.HeaderBytes:])
	if err != nil {
		t.Fatal(err)
	}
	return vars
}

func TestRealUWSGILargeBuffer(t *testing.T) {
	t.Parallel()
	do(t, unixUWSGI(t, "--buffer-size", "65535"), wide(60000))
}

// TestRealUWSGIBacklog: one request runs and two wait in the queue. Do says so to
// the others, and RoundTrip waits before it.
func TestRealUWSGIBacklog(t *testing.T) {
	t.Parallel()
	tr := unixUWSGI(t, "--listen", "1")
	var all sync.WaitGroup
	var full atomic.Int32
	for range 6 {
		all.Go(func() {
			resp, err := tr.Do(t.Context(), get("/slow"))
			var e *uwsgi.Error
			switch {
			case err == nil:
				resp.Body.Close()
			case errors.As(err, &e) && e.Full() && e.Unsent():
				full.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := full.Load(); n < 1 || n > 5 { // the one that saw whether it listens may be in the queue too
		t.Errorf("%d of 6 met a full backlog", n)
	}
	for range 6 {
		all.Go(func() {
			if err := roundTrip(t.Context(), tr, "http://x/slow"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestRealUWSGIAbstractSocket(t *testing.T) {
	t.Parallel()
	name := fmt.Sprintf("@headgate-test-%d", os.Getpid())
	addr, err := uwsgi.ParseAddress("unix:" + name)
	if err != nil {
		t.Fatal(err)
	}
	do(t, realUWSGI(t, addr, "--socket", name), get("/"))
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestRealUWSGITCP(t *testing.T) {
	t.Parallel()
	addr := freePort(t)
	tr := realUWSGI(t, uwsgi.Address{Network: "tcp", Addr: addr}, "--socket", addr)
	do(t, tr, get("/"))
	echoLarge(t, tr)
	req := post(strings.Repeat("x", 3<<20))
	req.PathInfo = "/early"
	do(t, tr, req)
	wantError(t, doError(t, tr, wide(5000)), uwsgi.StageSend, uwsgi.KindTooLarge, true, "Cookie")
}

// selfSigned writes a certificate for name and its key.
func selfSigned(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestRealUWSGITLS(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t, "app.internal")
	listen := freePort(t)
	addr := uwsgi.Address{Network: "tcp", Addr: listen}
	startUWSGI(t, addr, "--suwsgi-socket", listen+","+cert+","+key)
	tr := newTransport(t, addr, uwsgi.Options{TLS: uwsgi.TLSOptions{Enabled: true, CA: cert, ServerName: "app.internal"}})
	do(t, tr, get("/"))
	echoLarge(t, tr)
	for cause, o := range map[string]uwsgi.TLSOptions{
		"not trusted":      {Enabled: true, ServerName: "app.internal"},
		"for another name": {Enabled: true, CA: cert, ServerName: "other.internal"},
	} {
		e := doError(t, newTransport(t, addr, uwsgi.Options{TLS: o}), get("/"))
		wantError(t, e, uwsgi.StageDial, uwsgi.KindUnavailable, true, cause)
	}
}

// TestRealGunicornReuse looks at the port of the peer that gunicorn sees.
func TestRealGunicornReuse(t *testing.T) {
	t.Parallel()
	addr := uwsgi.Address{Network: "tcp", Addr: freePort(t)}
	startGunicorn(t, addr, "-k", "gthread", "--bind", addr.Addr)
	tr := newTransport(t, addr, uwsgi.Options{})
	ports := map[string]int{}
	for range 10 {
		_, body := do(t, tr, get("/environ"))
		var env map[string]string
		if err := json.Unmarshal([]byte(body), &env); err != nil {
			t.Fatal(err)
		}
		ports[env["REMOTE_PORT"]]++
	}
	if len(ports) != 1 {
		t.Errorf("10 requests came over %d connections", len(ports))
	}
}

// TestRealHTTPServer: a member that speaks HTTP is recognised or hinted at.
func TestRealHTTPServer(t *testing.T) {
	t.Parallel()
	listen := freePort(t)
	addr := uwsgi.Address{Network: "tcp", Addr: listen}
	startUWSGI(t, addr, "--http-socket", listen)
	e := doError(t, newTransport(t, addr, uwsgi.Options{}), get("/"))
	if !strings.Contains(e.Cure, "--protocol uwsgi") {
		t.Errorf("nothing about HTTP: %v (%s)", e, e.Cure)
	}
}

// realGunicorn starts the gunicorn that HEADGATE_TEST_GUNICORN names; Debian's
// is too old for the protocol.
func realGunicorn(t *testing.T, args ...string) *uwsgi.Transport {
	t.Helper()
	path := filepath.Join(shortDir(t), "g.sock")
	startGunicorn(t, unixAt(path), append(args, "--bind", "unix:"+path)...)
	return newTransport(t, unixAt(path), uwsgi.Options{ResponseTimeout: 10 * time.Second})
}

func startGunicorn(t *testing.T, addr uwsgi.Address, args ...string) {
	t.Helper()
	command := strings.Fields(os.Getenv("HEADGATE_TEST_GUNICORN"))
	if len(command) == 0 {
		t.Skip("HEADGATE_TEST_GUNICORN names no gunicorn")
	}
	command = append(append(command, "--protocol", "uwsgi", "wsgi:application"), args...)
	process(t, addr, appDir(t), command...)
}

func TestRealGunicorn(t *testing.T) {
	t.Parallel()
	for _, class := range []string{"gthread", "sync"} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			tr := realGunicorn(t, "-k", class)
			if _, body := do(t, tr, get("/café")); body != "hello /café" || tr.Dialect() != uwsgi.DialectGunicorn {
				t.Errorf("got %q, dialect %v", body, tr.Dialect())
			}
			for range 20 {
				req := replayable("hello, gunicorn")
				req.PathInfo = "/echo"
				if _, body := do(t, tr, req); body != "hello, gunicorn" {
					t.Errorf("got %q", body)
				}
			}
			echoLarge(t, tr)
			if resp, _ := do(t, tr, get("/raise")); resp.Status != 500 {
				t.Errorf("exception: %d, want 500", resp.Status)
			}
			req := get("/")
			req.Method = "HEAD"
			do(t, tr, req)
			// gunicorn closes after 2 s of keep-alive; nobody must notice.
			<-time.After(2100 * time.Millisecond)
			do(t, tr, get("/"))
			once := post("hello")
			once.PathInfo = "/early"
			do(t, tr, once)
			do(t, tr, get("/"))
		})
	}
}

package gateway_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headgate/gateway/gatewaytest"
	"headgate/upstream/uwsgi/uwsgitest"
)

// fault is a worker that does something wrong, and what becomes of it.
type fault struct {
	name   string
	script func(*uwsgitest.Conn)
	want   refusal
}

func said(s string) func(*uwsgitest.Conn) {
	return func(c *uwsgitest.Conn) {
		if c.Receive() != nil {
			c.Send(s)
		}
	}
}

func TestFaultsBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, f := range []fault{
		{"killed before the head", said(""), refusal{code: 502, cause: "closed without an answer", cure: "the worker's log says more"}},
		{"killed inside the head", said("HTTP/1.1 200 OK\r\nContent-Ty"), refusal{code: 502, cause: "cut in the middle of the response's head", cure: "the worker's log"}},
		{"silent", (*uwsgitest.Conn).WaitClosed, refusal{code: 504, cause: "no answer within 0.4 s", cure: "response_timeout"}},
		{"silent inside the head", func(c *uwsgitest.Conn) { said("HTTP/1.1 200")(c); c.WaitClosed() }, refusal{code: 504, cause: "head was not complete within 0.4 s"}},
		{"garbage", said("\x00\xff\x13garbage\r\n\r\n"), refusal{code: 502, cause: "member"}},
		{"bad status line", said("HTTP/1.1 abc OK\r\n\r\n"), refusal{code: 502, cause: "status"}},
		{"both framings", said(ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), refusal{code: 502, cause: "Transfer-Encoding"}},
		{"two lengths", said(ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), refusal{code: 502, cause: "Content-Length"}},
		{"bad length", said(ok + "Content-Length: -1\r\n\r\nabc"), refusal{code: 502, cause: "Content-Length"}},
		{"NUL in a value", said(ok + "X-A: a\x00b\r\n\r\n"), refusal{code: 502, cause: "X-A"}},
		{"a huge head", said(ok + "X-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n"), refusal{code: 502, cause: "head is larger"}},
		{"101 unasked", said("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), refusal{code: 502, cause: "switched protocols without being asked"}},
		{"endless interims", said(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 30) + ok + "\r\n"), refusal{code: 502, cause: "interim responses"}},
		{"X-Accel-Redirect", said(ok + "X-Accel-Redirect: /x\r\nX-Secret: 1\r\n\r\n"), refusal{code: 500, cause: "led on to /x after 10 other addresses", cure: "lead to each other"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := uwsgitest.Start(t, f.script)
			conf := before(w)
			conf.Pool = "response_timeout: 400ms, retry: {attempts: 1}"
			g := gatewaytest.Start(t, conf.String())
			for _, p := range gatewaytest.Protocols() {
				t.Run(p.String(), func(t *testing.T) {
					t.Parallel()
					begun := time.Now()
					f.want.get(t, g.Client(t, p))
					if took := time.Since(begun); took > 5*time.Second {
						t.Errorf("took %s", took)
					}
				})
			}
		})
	}
}

// TestCutAnswersAreCutForTheClient: the client must see an error, never a clean
// short 200.
func TestCutAnswersAreCutForTheClient(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	big := strings.Repeat("x", 3<<20)
	for _, f := range []fault{
		{"counted", said(ok + "Content-Length: 100\r\n\r\nhalf"), refusal{cause: "96 of 100 bytes are missing"}},
		{"counted, big", said(ok + "Content-Length: 4000000\r\n\r\n" + big), refusal{cause: "bytes are missing"}},
		{"chunked", said(ok + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"), refusal{cause: "the last chunk is missing"}},
		{"inside a chunk", said(ok + "Transfer-Encoding: chunked\r\n\r\n8\r\nhalf"), refusal{cause: "the last chunk is missing"}},
		{"bad chunk", said(ok + "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n"), refusal{cause: "chunks of the response are not valid"}},
		{"silent", func(c *uwsgitest.Conn) { said(ok + "Content-Length: 100\r\n\r\nhalf")(c); c.WaitClosed() }, refusal{cause: "nothing more of the response's body within 0.4 s"}},
		{"in pace", said(ok + "X-Accel-Buffering: no\r\nContent-Length: 100\r\n\r\nhalf"), refusal{cause: "96 of 100 bytes are missing"}},
		{"event stream", said(ok + "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"), refusal{cause: "the last chunk is missing"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := uwsgitest.Start(t, f.script)
			conf := before(w)
			conf.Pool = "response_timeout: 400ms"
			g := gatewaytest.Start(t, conf.String())
			for _, p := range gatewaytest.Protocols() {
				t.Run(p.String(), func(t *testing.T) {
					t.Parallel()
					c := g.Client(t, p)
					r := c.Request("GET", "/", nil)
					got, err := c.Try(r)
					if err == nil && got.BodyErr == nil && got.Code == 200 {
						t.Errorf("the client got %d with %d bytes and a clean end", got.Code, len(got.Body))
					}
					id := r.Header.Get("X-Request-Id")
					line := g.Request(id)
					if line["aborted"] != true && line.Number("status") < 500 || !strings.Contains(line.Text("err"), f.want.cause) {
						t.Errorf("access log: %v", line)
					}
					if l := g.Logged("request failed", id); !strings.Contains(l.Text("cause"), f.want.cause) {
						t.Errorf("log: %v", l)
					}
				})
			}
		})
	}
}

// TestCutAnswerToHTTP10: such a client takes an orderly end for a whole answer.
func TestCutAnswerToHTTP10(t *testing.T) {
	t.Parallel()
	w := app(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
	g := gatewaytest.Start(t, before(w).String())
	h1s(t, func(t *testing.T, p gatewaytest.Protocol) {
		conn, err := g.Client(t, p).Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.0\r\nHost: app.localhost\r\n\r\n")
		var b strings.Builder
		if _, err := copyAll(&b, conn); err == nil && strings.HasPrefix(b.String(), "HTTP/1.0 200") {
			t.Errorf("got a clean end after %q", b.String())
		}
	})
}

// TestMembersThatCannotBeReached is about addresses; see also upstream/uwsgi.
func TestMembersThatCannotBeReached(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "headgate") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, f := range []struct {
		name, addr string
		want       refusal
	}{
		{"socket missing", "unix:" + dir + "/none.sock", refusal{code: 503, cause: "no socket at " + dir + "/none.sock", cure: "is the server running", retry: true}},
		{"nobody listens", "unix:" + stale, refusal{code: 503, cause: "nobody listens at " + stale, cure: "no server behind it", retry: true}},
		{"connection refused", closed.Addr().String(), refusal{code: 503, cause: "connection refused", cure: "is the server running", retry: true}},
		{"backlog full", "unix:" + fullBacklog(t, dir), refusal{code: 503, cause: "listen backlog full", cure: "slots", retry: true}},
		{"speaks HTTP", httpAnswers(t), refusal{code: 502, cause: "speak HTTP, not uwsgi", cure: "uwsgi socket"}},
		{"waits for HTTP", uwsgitest.StartTCP(t, (*uwsgitest.Conn).WaitClosed).Addr().Addr, refusal{code: 504, cause: "no answer within 1.0 s", cure: "a server that waits for HTTP also looks like this"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			conf := gatewaytest.Conf{Members: []string{f.addr}, Pool: "connect_timeout: 300ms, response_timeout: 1s, retry: {attempts: 1}, queue: {timeout: 300ms}"}
			g := gatewaytest.Start(t, conf.String())
			for _, p := range gatewaytest.Protocols() {
				t.Run(p.String(), func(t *testing.T) {
					t.Parallel()
					f.want.get(t, g.Client(t, p))
				})
			}
		})
	}
}

// fullBacklog returns the path of a socket whose listen queue is full.
func fullBacklog(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "full.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return path
}

// httpAnswers is a server that takes a packet for a bad request.
func httpAnswers(t *testing.T) string {
	t.Helper()
	return uwsgitest.StartTCP(t, func(c *uwsgitest.Conn) {
		if _, err := c.Read(make([]byte, 100)); err == nil {
			c.Send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/html\r\n\r\n<html>")
		}
	}).Addr().Addr
}

// httpServer is one that waits for a line of text.
func httpServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NotFoundHandler()}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) }) // until Close
	t.Cleanup(func() { _ = s.Close(); serving.Wait() })
	return l.Addr().String()
}

// TestSocketThatMayNotBeUsed needs a user whom permissions bind: root runs it
// again as nobody.
func TestSocketThatMayNotBeUsed(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	dir, err := os.MkdirTemp("", "headgate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "w.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	gatewaytest.Each(t, gatewaytest.Conf{Members: []string{"unix:" + path}, Pool: "queue: {timeout: 100ms}"}.String(), func(t *testing.T, c *gatewaytest.Client) {
		refusal{code: 503, retry: true, cause: "permission denied for the socket " + path, cure: "chmod-socket"}.get(t, c)
	})
}

// asNobody runs this test again, in this binary, as another user.
func asNobody(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "headgate-nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip("root is bound by no permission, and this binary cannot be copied: ", err)
	}
	binary := filepath.Join(dir, "gateway.test")
	if err := os.WriteFile(binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	for _, step := range []error{os.Chmod(dir, 0o755), os.Mkdir(dir+"/tmp", 0o700), os.Chown(dir+"/tmp", nobody, nobody)} {
		if step != nil {
			t.Fatal(step)
		}
	}
	cmd := exec.Command(binary, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + dir + "/tmp", "HOME=" + dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func TestMemberInTLS(t *testing.T) {
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
	conf := gatewaytest.Conf{Members: []string{l.Addr().String()}}
	conf.Pool = fmt.Sprintf("protocol: suwsgi, tls: {ca: %q, server_name: worker.internal}", ca)
	gatewaytest.Each(t, conf.String(), func(t *testing.T, c *gatewaytest.Client) {
		if got := c.Post("/x", "body"); got.Code != 200 || got.Body != "ok" {
			t.Errorf("got %+v", got)
		}
	})
	conf.Pool = fmt.Sprintf("protocol: suwsgi, retry: {attempts: 1}, tls: {ca: %q, server_name: other.internal}", ca)
	refusal{code: 502, cause: "the member's certificate is for another name", cure: "tls.server_name"}.get(t, alone(t, gatewaytest.H1, conf))
	conf.Pool = "protocol: suwsgi, retry: {attempts: 1}, tls: {server_name: worker.internal}"
	refusal{code: 502, cause: "the member's certificate is not trusted", cure: "tls.ca"}.get(t, alone(t, gatewaytest.H1, conf))
	conf.Members, conf.Pool = []string{httpServer(t)}, "protocol: suwsgi, connect_timeout: 1s, retry: {attempts: 1}, tls: {server_name: worker.internal}"
	refusal{code: 502, cause: "TLS", cure: "suwsgi-socket"}.get(t, alone(t, gatewaytest.H1, conf))
}

// bridge takes the TLS off and passes on what is inside.
func bridge(wg *sync.WaitGroup, l net.Listener, to string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer in.Close()
			out, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(out, in)
				_ = out.Close()
			})
			_, _ = io.Copy(in, out)
		})
	}
}

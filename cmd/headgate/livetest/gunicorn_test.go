package livetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startGunicorn runs the app on the gunicorn that HEADGATE_TEST_GUNICORN names,
// such as "env PYTHONPATH=/src/gunicorn python3 -m gunicorn"; Debian's is too old
// for the uwsgi protocol.
func startGunicorn(t testing.TB, options ...string) (p *process, addr string) {
	t.Helper()
	command := strings.Fields(os.Getenv("HEADGATE_TEST_GUNICORN"))
	if len(command) == 0 {
		t.Skip("HEADGATE_TEST_GUNICORN names no gunicorn")
	}
	addr = "127.0.0.1:" + freePort(t)
	command = append(command, "--protocol", "uwsgi", "-k", "gthread", "--threads", "4", "-b", addr,
		"--pythonpath", absolute(t, "../../../deploy/examples/echo")+","+absolute(t, "testdata"), "live:application")
	return start(t, shortDir(t), accepts("tcp", addr), append(command, options...)...), addr
}

func look(t *testing.T, client *http.Client, url string) environ {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var e environ
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
	return e
}

// TestGunicorn: the other dialect, over every protocol.
func TestGunicorn(t *testing.T) {
	_, addr := startGunicorn(t)
	g := startGateway(t, conf{member: addr, limits: "response_file: 4GiB"})
	want, _, err := sum(newPattern(8 << 20))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range protocols {
		t.Run(string(p), func(t *testing.T) {
			client := g.client(t, p)
			ports := map[any]bool{}
			for range 10 {
				ports[look(t, client, p.url("/page"))["REMOTE_PORT"]] = true
			}
			if len(ports) != 1 {
				t.Errorf("10 requests came over %d connections", len(ports))
			}
			e := look(t, client, p.url("/caf%C3%A9/a%2541%3F?b=%20"))
			if e["PATH_INFO"] != "/caf\u00c3\u00a9/a%41?" || e["QUERY_STRING"] != "b=%20" {
				t.Errorf("PATH_INFO is %q, QUERY_STRING is %q", e["PATH_INFO"], e["QUERY_STRING"])
			}
			if e["HTTP_X_FORWARDED_FOR"] != "127.0.0.1" || e["wsgi.url_scheme"] != p.scheme() || e["HTTP_HOST"] != host {
				t.Errorf("client %v, scheme %v, host %v", e["HTTP_X_FORWARDED_FOR"], e["wsgi.url_scheme"], e["HTTP_HOST"])
			}
			for _, counted := range []bool{true, false} {
				upload(t, g, p, counted, 8<<20, want)
				download(t, g, p, counted, 8<<20, want)
			}
		})
	}
}

// TestGunicornIdle: gunicorn closes a connection after two seconds without a
// request. Nobody notices when the next one comes about then.
func TestGunicornIdle(t *testing.T) {
	_, addr := startGunicorn(t)
	g := startGateway(t, conf{member: addr})
	var wg sync.WaitGroup
	for _, p := range protocols {
		for i := range 2 {
			client := g.client(t, p)
			wg.Go(func() {
				for round := range 6 {
					ask(t, client, p, i == 1, round)
					<-time.After(1400*time.Millisecond + time.Duration(round)*120*time.Millisecond) // all at once, so that connections rest as long
				}
			})
		}
	}
	wg.Wait()
}

// ask sends some requests in a row.
func ask(t *testing.T, client *http.Client, p protocol, post bool, round int) {
	for i := range 4 {
		method, body := http.MethodGet, io.Reader(http.NoBody)
		if post {
			method, body = http.MethodPost, strings.NewReader("hello")
		}
		r, err := http.NewRequestWithContext(t.Context(), method, p.url("/page"), body)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(r)
		if err == nil {
			err = whole(resp)
		}
		if err != nil {
			t.Errorf("round %d, %s %s, request %d: %v", round, p, method, i, err)
		}
	}
}

// TestGunicornReload: gunicorn replaces its workers under load, and no request
// is lost.
func TestGunicornReload(t *testing.T) {
	p, addr := startGunicorn(t, "--workers", "2", "--graceful-timeout", "5")
	g := startGateway(t, conf{member: addr})
	l := startLoad(t, g, 2, "/page")
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for range 3 {
		<-tick.C
		p.signal(t, syscall.SIGHUP)
	}
	<-tick.C
	l.end(t)
	if n := strings.Count(p.said(), "Handling signal: hup"); n != 3 {
		t.Error(fmt.Sprint("gunicorn reloaded ", n, " times"))
	}
}

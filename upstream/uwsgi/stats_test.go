package uwsgi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/uwsgi"
	"headgate/upstream/uwsgi/uwsgitest"
)

// capture is what a real uWSGI 2.0 wrote.
func capture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "stats", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// statsServer writes document to whoever connects, and closes.
func statsServer(t *testing.T, document string) uwsgi.Address {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) { c.Send(document) }).Addr()
}

func TestReadStats(t *testing.T) {
	got, err := uwsgi.ReadStats(t.Context(), statsServer(t, string(capture(t, "app.json"))))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.Workers { // of the day of the capture
		w := &got.Workers[i]
		if w.Alive() != (w.ID > 0) || w.Alive() && (w.PID < 2 || w.ID == 1 && w.RSS < 1<<20) {
			t.Errorf("worker %d: pid %d, alive %v, %d bytes", w.ID, w.PID, w.Alive(), w.RSS)
		}
		w.PID, w.RSS, w.AverageRT = 0, 0, 0
	}
	want := uwsgi.Stats{
		Version: "2.0.21-debian",
		Sockets: []uwsgi.SocketStats{{}, {MaxQueue: 100}},
		Workers: []uwsgi.WorkerStats{
			{ID: 1, Accepting: true, Status: "busy", Requests: 1, Respawns: 1, Cores: 2, Busy: 1},
			{ID: 2, Accepting: true, Status: "busy", Respawns: 1, Cores: 2, Busy: 1},
			{Status: "cheap", Cores: 2},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestStatsCounts(t *testing.T) {
	worker := func(pid, accepting int, status string, cores ...int) string {
		var in []string
		for _, c := range cores {
			in = append(in, fmt.Sprintf(`{"in_request":%d}`, c))
		}
		return fmt.Sprintf(`{"id":1,"pid":%d,"accepting":%d,"status":%q,"cores":[%s]}`, pid, accepting, status, strings.Join(in, ","))
	}
	for _, tt := range []struct {
		name                   string
		workers                []string
		cores, accepting, busy int
	}{
		{"none", nil, 0, 0, 0},
		{"idle and busy", []string{worker(7, 1, "idle", 0, 0), worker(8, 1, "busy", 1, 0)}, 4, 4, 1},
		{"starting", []string{worker(7, 1, "busy", 1), worker(8, 0, "idle", 0)}, 2, 1, 1},
		{"cheap", []string{worker(7, 1, "busy", 1), worker(0, 0, "cheap", 0), worker(9, 1, "cheap", 1)}, 1, 1, 1},
		{"never started", []string{worker(0, 0, "idle", 0)}, 0, 0, 0},
		{"paused", []string{worker(7, 1, "pause", 0), worker(8, 1, "sig9", 0)}, 2, 1, 0},
		{"no cores", []string{`{"id":1,"pid":7,"accepting":1,"status":"busy"}`}, 0, 0, 0},
	} {
		s, err := uwsgi.DecodeStats([]byte(`{"workers":[` + strings.Join(tt.workers, ",") + `]}`))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if s.Cores() != tt.cores || s.Accepting() != tt.accepting || s.Busy() != tt.busy {
			t.Errorf("%s: %d cores, %d accepting, %d busy; want %d, %d, %d", tt.name, s.Cores(), s.Accepting(), s.Busy(), tt.cores, tt.accepting, tt.busy)
		}
	}
}

func TestStatsFields(t *testing.T) {
	s, err := uwsgi.DecodeStats([]byte(`{"version":"2.0.30","listen_queue":3,"load":3,"sockets":[{"name":"x","queue":3,"max_queue":100}],
		"workers":[{"id":1,"pid":9,"accepting":1,"requests":2,"exceptions":3,"harakiri_count":4,"respawn_count":5,"status":"idle","rss":6,"avg_rt":7}]}`))
	want := uwsgi.Stats{
		Version: "2.0.30", ListenQueue: 3, Sockets: []uwsgi.SocketStats{{Queue: 3, MaxQueue: 100}},
		Workers: []uwsgi.WorkerStats{{
			ID: 1, PID: 9, Accepting: true, Status: "idle", Requests: 2, Exceptions: 3, Harakiris: 4, Respawns: 5, RSS: 6, AverageRT: 7 * time.Microsecond,
		}},
	}
	if d := cmp.Diff(want, s); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

// secrets are what the requests of the capture have that nobody else may see.
var secrets = []string{"s3cret", "sessionid", "Basic", "quoted", "HTTP_", "COOKIE", "AUTHORIZATION", "shop.example.com", "/hold"}

// wantNoSecrets looks at all that there is of a result and its error.
func wantNoSecrets(t *testing.T, s uwsgi.Stats, err error) {
	t.Helper()
	text, fail := json.Marshal(s)
	if fail != nil {
		t.Fatal(fail)
	}
	all := string(text) + fmt.Sprintf("%#v %+v", s, err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		all += fmt.Sprintf(" %v %#v", e, e)
	}
	for _, secret := range secrets {
		if strings.Contains(all, secret) {
			t.Errorf("%q survives in %s", secret, all)
		}
	}
}

// TestStatsKeepNothingOfRequests: neither of a whole document nor of one that is
// cut or broken anywhere.
func TestStatsKeepNothingOfRequests(t *testing.T) {
	document := capture(t, "app.json")
	for _, secret := range secrets {
		if !strings.Contains(string(document), secret) {
			t.Fatalf("the capture has no %q: the test proves nothing", secret)
		}
	}
	s, err := uwsgi.DecodeStats(document)
	if err != nil {
		t.Fatal(err)
	}
	wantNoSecrets(t, s, nil)
	for i := 0; i < len(document); i += 7 {
		s, err := uwsgi.DecodeStats(document[:i])
		if err == nil {
			t.Fatalf("no error after %d of %d bytes", i, len(document))
		}
		wantNoSecrets(t, s, err)
		broken := append([]byte(nil), document...)
		broken[i] = '}'
		s, err = uwsgi.DecodeStats(broken)
		wantNoSecrets(t, s, err)
	}
	_, err = uwsgi.ReadStats(t.Context(), statsServer(t, string(document[:len(document)-200])))
	wantNoSecrets(t, s, err)
	if e := asError(t, err); e.Kind != uwsgi.KindCut {
		t.Errorf("got %v", err)
	}
}

// httpStats waits for a request, as stats-http does.
func httpStats(t *testing.T, head, document string) uwsgi.Address {
	t.Helper()
	return uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		if got := string(b[:n]); got != "GET / HTTP/1.0\r\n\r\n" {
			t.Errorf("the server was asked %q", got)
		}
		c.Send(head + document)
	}).Addr()
}

func TestReadStatsByHTTP(t *testing.T) {
	document := string(capture(t, "app.json"))
	addr := httpStats(t, "HTTP/1.0 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\nContent-Type: application/json\r\n\r\n", document)
	if s, err := uwsgi.ReadStats(t.Context(), addr); err != nil || s.Cores() != 4 {
		t.Errorf("%d cores, %v; want 4", s.Cores(), err)
	}
	for _, head := range []string{"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP/1.0 200 OK\r\n" + strings.Repeat("A: b\r\n", 4000) + "\r\n"} {
		_, err := uwsgi.ReadStats(t.Context(), httpStats(t, head, document))
		if e := asError(t, err); e.Kind != uwsgi.KindBadAnswer {
			t.Errorf("%.30q: got %v", head, err)
		}
	}
}

func TestReadStatsOfOthers(t *testing.T) {
	many := `{"workers":[` + strings.Repeat("{},", 10_000) + `{}]}`
	for _, tt := range []struct {
		name, document string
		kind           uwsgi.Kind
		says, cure     string
	}{
		{"emperor", string(capture(t, "emperor.json")), uwsgi.KindBadAnswer, "Emperor", "to the vassal"},
		{"router", string(capture(t, "router.json")), uwsgi.KindBadAnswer, "router", "that runs the app"},
		{"other JSON", `{"status":"ok"}`, uwsgi.KindBadAnswer, "no workers", "stats option"},
		{"list", `[1]`, uwsgi.KindBadAnswer, "not JSON", "stats option"},
		{"text", "220 mail.example.com ESMTP\r\n", uwsgi.KindBadAnswer, "not JSON", "stats option"},
		{"page", "<html>", uwsgi.KindBadAnswer, "not JSON", "stats option"},
		{"wrong type", `{"workers":[{"pid":"x"}]}`, uwsgi.KindBadAnswer, "not as uWSGI", "stats option"},
		{"no list", `{"workers":7}`, uwsgi.KindBadAnswer, "not as uWSGI", "stats option"},
		{"many workers", many, uwsgi.KindBadAnswer, "more than 10000", "stats option"},
		{"large", `{"x":"` + strings.Repeat("x", 9<<20), uwsgi.KindBadAnswer, "8 MiB", "stats option"},
		{"cut", `{"workers":[{"id":1`, uwsgi.KindCut, "were cut", "stopped, or reloaded"},
		{"nothing", "", uwsgi.KindBadAnswer, "without a word", "stats option"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := uwsgi.ReadStats(t.Context(), statsServer(t, tt.document))
			e := asError(t, err)
			if e.Kind != tt.kind || e.Stage != uwsgi.StageHead || !strings.Contains(e.Error(), tt.says) || !strings.Contains(e.Cure, tt.cure) {
				t.Errorf("got %v (%s), %v; want %q (%s), %v", e, e.Cure, e.Kind, tt.says, tt.cure, tt.kind)
			}
		})
	}
}

func TestReadStatsIsBoundedInTime(t *testing.T) {
	silent := uwsgitest.Start(t, (*uwsgitest.Conn).WaitClosed).Addr()
	slow := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
		c.Send(`{"version":`)
		c.WaitClosed()
	}).Addr()
	for _, tt := range []struct {
		addr uwsgi.Address
		says string
	}{{silent, "says nothing"}, {slow, "not complete within 0.3 s"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := uwsgi.ReadStats(ctx, tt.addr)
		cancel()
		if e := asError(t, err); e.Kind != uwsgi.KindTimeout || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("got %v, want %q", err, tt.says)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err = uwsgi.ReadStats(ctx, tt.addr)
		if e := asError(t, err); e.Kind != uwsgi.KindCanceled {
			t.Errorf("got %v, want the end of the context", err)
		}
	}
}

func TestReadStatsOfNobody(t *testing.T) {
	_, err := uwsgi.ReadStats(t.Context(), unixAt(shortDir(t)+"/no.sock"))
	if e := asError(t, err); !e.Away() || !strings.Contains(e.Cure, "stats option") {
		t.Errorf("got %v (%s)", err, e.Cure)
	}
	if _, err := uwsgi.ReadStats(t.Context(), uwsgi.Address{}); err == nil {
		t.Error("the zero address has statistics")
	}
}

func FuzzStats(f *testing.F) {
	for _, name := range []string{"app.json", "emperor.json", "router.json"} {
		f.Add(capture(f, name))
	}
	f.Add([]byte("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{\"workers\":[]}"))
	f.Add([]byte(`{"workers":[{"pid":-1,"cores":[{"in_request":-1},null]},null],"sockets":[null],"version":null}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		s, err := uwsgi.DecodeStats(document)
		if err != nil {
			return
		}
		if s.Cores() < 0 || s.Accepting() > s.Cores() || s.Busy() > s.Cores() || s.Busy() < 0 {
			t.Errorf("%d cores, %d accepting, %d busy", s.Cores(), s.Accepting(), s.Busy())
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 1000+300*len(document) {
			t.Errorf("%d bytes of %d", len(text), len(document))
		}
	})
}

func TestRealUWSGIStats(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	port := freePort(t)
	for _, tt := range []struct {
		name      string
		stats     uwsgi.Address
		args      []string
		cores     int
		busy      int
		withCores bool
	}{
		{"unix", unixAt(dir + "/s"), []string{"--stats", dir + "/s", "--processes", "2", "--threads", "2"}, 4, 3, true},
		{"tcp", tcpAt(port), []string{"--stats", port, "--processes", "2"}, 2, 2, true},
		{"http", unixAt(dir + "/h"), []string{"--stats", dir + "/h", "--stats-http", "--threads", "4", "--enable-threads"}, 4, 3, true},
		{"cheaper", unixAt(dir + "/c"), []string{"--stats", dir + "/c", "--processes", "4", "--cheaper", "3", "--cheaper-initial", "3"}, 3, 3, true},
		{"no cores", unixAt(dir + "/n"), []string{"--stats", dir + "/n", "--stats-no-cores", "--processes", "3"}, 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tr := unixUWSGI(t, tt.args...)
			waitFor(t, "statistics", func() bool {
				_, err := uwsgi.ReadStats(t.Context(), tt.stats)
				return err == nil
			})
			free := heldWith(t, tr, 3, uwsgi.HeaderFields{"Cookie": {"sessionid=s3cret"}, "Authorization": {"Basic s3cret"}, "X-Odd": {"\x01\x7f\xff"}})
			waitFor(t, fmt.Sprintf("%d busy cores", tt.busy), func() bool {
				s, err := uwsgi.ReadStats(t.Context(), tt.stats)
				wantNoSecrets(t, s, err)
				if err != nil {
					t.Error(err)
				}
				return s.Busy() == tt.busy && s.Cores() == tt.cores && s.Accepting() == tt.cores
			})
			free()
			waitFor(t, "idle workers", func() bool {
				s, err := uwsgi.ReadStats(t.Context(), tt.stats)
				total := int64(0)
				for _, w := range s.Workers {
					total += w.Requests
				}
				return err == nil && s.Busy() == 0 && total == 3 && strings.HasPrefix(s.Version, "2.")
			})
		})
	}
}

// TestRealUWSGIStatsOfAWrongSocket: the address of the socket option in place of
// that of the stats option.
func TestRealUWSGIStatsOfAWrongSocket(t *testing.T) {
	t.Parallel()
	for _, size := range []string{"4096", "65535"} {
		path := filepath.Join(shortDir(t), "u.sock")
		startUWSGI(t, unixAt(path), "--socket", path, "--buffer-size", size)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := uwsgi.ReadStats(ctx, unixAt(path))
		cancel()
		if e := asError(t, err); !strings.Contains(err.Error(), "as one that waits for requests does") || !strings.Contains(e.Cure, "stats option") {
			t.Errorf("buffer-size %s: got %v (%s)", size, err, e.Cure)
		}
	}
}

// TestStatsAfterTheEnd: what the server does after the last brace is its own
// affair, such as a reset because it has not read the question.
func TestStatsAfterTheEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		<-time.After(250 * time.Millisecond) // busy until it has been asked in HTTP
		_, _ = io.WriteString(c, `{"workers":[]}`)
	}()
	if _, err := uwsgi.ReadStats(t.Context(), tcpAt(l.Addr().String())); err != nil {
		t.Error(err)
	}
}

package accesslog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"headgate/gateway/accesslog"
)

// lines returns what a log in format writes for entries.
func lines(t testing.TB, format string, entries ...*accesslog.Entry) string {
	t.Helper()
	var out bytes.Buffer
	l, err := accesslog.Open(accesslog.Options{Format: format}, &out, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		l.Write(e)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Run writes what waits and returns
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func whole() *accesslog.Entry {
	return &accesslog.Entry{
		Time:      time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC),
		Duration:  1502345 * time.Microsecond,
		RequestID: "01JD", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736",
		Client: netip.MustParseAddr("203.0.113.9"),
		Proto:  "HTTP/2.0", Method: "GET", Host: "shop.example.com", Path: "/café",
		Status: 502, BytesIn: 7, BytesOut: 1234,
		Site: "shop", Pool: "web", Member: "unix:/run/a.sock",
		Queue: 250 * time.Microsecond, Worker: 1500 * time.Millisecond,
		Retries: 2, Err: `closed without an answer after 1.5 s`, Aborted: true,
	}
}

func TestJSONLine(t *testing.T) {
	want := `{"time":"2026-11-23T10:00:00.123Z","msg":"request","request_id":"01JD","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736",` +
		`"client":"203.0.113.9","proto":"HTTP/2.0","method":"GET","host":"shop.example.com","path":"/café","status":502,` +
		`"bytes_in":7,"bytes_out":1234,"duration":1.502345,"site":"shop","pool":"web","queue":0.000250,"worker":1.500000,` +
		`"member":"unix:/run/a.sock","retries":2,"err":"closed without an answer after 1.5 s","aborted":true}` + "\n"
	if got := lines(t, "json", whole()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	want = `{"time":"0001-01-01T00:00:00.000Z","msg":"request","status":0,"bytes_in":0,"bytes_out":0,"duration":0.000000}` + "\n"
	if got := lines(t, "json", &accesslog.Entry{Duration: -time.Second}); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestTextLine(t *testing.T) {
	want := `2026-11-23T10:00:00.123Z 203.0.113.9 GET shop.example.com /café HTTP/2.0 502 7B 1234B 1502.3ms ` +
		`site=shop pool=web member=unix:/run/a.sock queue=0.2ms worker=1500.0ms retries=2 id=01JD trace=4bf92f3577b34da6a3ce929d0e0e4736 ` +
		`aborted err="closed without an answer after 1.5 s"` + "\n"
	if got := lines(t, "text", whole()); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	if got, want := lines(t, "text", &accesslog.Entry{}), "0001-01-01T00:00:00.000Z - - - - - 0 0B 0B 0.0ms\n"; got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestClientCannotForgeALine(t *testing.T) {
	for _, path := range []string{
		"/a\n2026-11-23T10:00:00.123Z 198.51.100.1 GET evil / HTTP/1.1 200",
		"/a 200 0B 0B site=evil",
		"/\x1b[2J\x1b[1;1H",     // clears a terminal
		"/\u202ecod.exe",        // turns the direction of the text
		"/a\u2028b",             // a line separator
		"/\xff\xfe\x80",         // no UTF-8
		"/\u009b2J",             // CSI as one C1 control
		`/"} {"status":200}`,    // ends the string
		"/\x00\x7f\r\b\t",       // others
		"/\U000e0001\U000e0041", // invisible tags, beyond 16 bits
	} {
		for _, format := range []string{"json", "text"} {
			got := lines(t, format, &accesslog.Entry{Path: path, Host: path, Method: path, Err: path, RequestID: path})
			checkHarmless(t, got)
			if format == "text" && len(splitQuoted(got)) != 12 {
				t.Errorf("%q makes other fields: %s", path, got)
			}
		}
	}
}

// splitQuoted splits a text line at the blanks outside of quotes.
func splitQuoted(line string) []string {
	quoted, escaped := false, false
	return strings.FieldsFunc(line, func(r rune) bool {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case r == '"':
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\n')
	})
}

// checkHarmless checks that s is one line of UTF-8 that prints.
func checkHarmless(t *testing.T, s string) {
	t.Helper()
	body, ok := strings.CutSuffix(s, "\n")
	if !ok || !utf8.ValidString(body) {
		t.Errorf("not a line of UTF-8: %q", s)
	}
	for _, r := range body {
		if !unicode.IsPrint(r) {
			t.Errorf("%U is in the line %q", r, s)
		}
	}
}

func TestLongFieldsAreCut(t *testing.T) {
	e := &accesslog.Entry{Path: "/" + strings.Repeat("é", 1<<20), Err: strings.Repeat("x", 1<<20), Host: strings.Repeat("\xbf", 1<<20)}
	for _, format := range []string{"json", "text"} {
		got := lines(t, format, e)
		checkHarmless(t, got)
		if len(got) > 16<<10 {
			t.Errorf("%s line has %d bytes", format, len(got))
		}
		if n := strings.Count(got, "…"); n != 3 {
			t.Errorf("%s line marks %d cuts, want 3", format, n)
		}
		if strings.Contains(got, "�…") && !strings.Contains(got, "/éé") {
			t.Errorf("%s line is cut within a rune", format)
		}
	}
}

// FuzzLine: whatever a client sends, a line is one line of valid JSON that has
// the client's words in it, and a text line has its ten words.
func FuzzLine(f *testing.F) {
	f.Add("GET", "shop.example.com", "/", "", int64(1))
	f.Add("G\"T", "\\", "/\xff\x00\n\u2028", "a b=c", int64(math.MinInt64))
	f.Add("", "é", "/😀\U000e0001\u202e", "\x1b]0;x\a", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, method, host, path, cause string, n int64) {
		e := &accesslog.Entry{
			Method: method, Host: host, Path: path, Err: cause, RequestID: cause, Pool: host, Site: method,
			BytesIn: n, Duration: time.Duration(n), Queue: time.Duration(n), Status: int(int32(n)),
		}
		line := lines(t, "json", e)
		checkHarmless(t, line)
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("not JSON: %v: %q", err, line)
		}
		for key, sent := range map[string]string{"method": method, "host": host, "path": path, "err": cause} {
			if len(sent) > 512 {
				continue
			}
			read, _ := got[key].(string)
			if want := string([]rune(sent)); read != want { // the conversion replaces what is not UTF-8
				t.Errorf("%s = %q, want %q", key, read, want)
			}
		}
		text := lines(t, "text", e)
		checkHarmless(t, text)
		if words := splitQuoted(text); len(words) < 10 || !strings.HasSuffix(words[9], "ms") {
			t.Errorf("the fields of the text are not in their places: %q", text)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, format := range []string{"json", "text"} {
		b.Run(format, func(b *testing.B) {
			l, err := accesslog.Open(accesslog.Options{Format: format}, discard{}, false, nil)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error)
			go func() { done <- l.Run(ctx) }()
			e := whole()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					l.Write(e)
				}
			})
			b.StopTimer()
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

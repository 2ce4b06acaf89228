package livetest_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestH2spec runs the conformance tests of h2spec, which HEADGATE_TEST_H2SPEC
// names, against the binary, over TLS and in clear text: all of them hold but for one
// of the latter. The app reads the body, for an answer before its end may overtake
// what is wrong with it.
func TestH2spec(t *testing.T) {
	tool := os.Getenv("HEADGATE_TEST_H2SPEC")
	if tool == "" {
		t.Skip("HEADGATE_TEST_H2SPEC is not set")
	}
	a := startApp(t, "--buffer-size", "32768")
	for _, row := range []struct{ name, route string }{{"spooled", ""}, {"streamed", "request_body: stream"}} {
		g := startGateway(t, conf{socket: a.socket, route: row.route})
		for _, p := range []protocol{h2, h2c} {
			t.Run(row.name+"/"+string(p), func(t *testing.T) { h2spec(t, tool, g, p) })
		}
	}
}

func h2spec(t *testing.T, tool string, g *gateway, p protocol) {
	addr := g.http
	if p.secure() {
		addr = g.https
	}
	ip, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	command := []string{tool, "-h", ip, "-p", port, "-P", "/page?body=1", "-o", "5"}
	if p.secure() {
		command = append(command, "-t", "-k")
	}
	var want []string
	if p == h2c { // this port also speaks HTTP/1.1: without the preface it is not HTTP/2 (RFC 9113, 3.3 and 3.4)
		want = []string{"2: Sends invalid connection preface"}
		wantRefusal(t, addr)
	}
	stdout, stderr, _ := run(t, append(command, "generic", "http2", "hpack")...)
	_, failures, _ := strings.Cut(stdout, "Failures:")
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^ *\x{d7} (.*)$`).FindAllStringSubmatch(failures, -1) {
		got = append(got, m[1])
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what failed, want (-) and got (+):\n%s\n%s%s", d, failures, stderr)
	}
	if summary := fmt.Sprintf("146 tests, %d passed, 0 skipped, %d failed", 146-len(want), len(want)); !strings.Contains(stdout, summary) {
		t.Errorf("it ends with %s, want %s", tail(stdout, 100), summary)
	}
}

// wantRefusal sends what h2spec calls an invalid preface, which in clear text is
// an invalid line of HTTP/1: it has an answer that says so (RFC 9112, 3), where
// h2spec knows nothing but GOAWAY, and the connection ends.
func wantRefusal(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "INVALID CONNECTION PREFACE\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("an invalid preface got %.100q, %v, want 400 and the end", answer, err)
	}
}

package h2_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"headgate/gateway/h2"
	"headgate/gateway/wire"
)

// TestH2spec runs the conformance tests of h2spec, which HEADGATE_TEST_H2SPEC
// names, over TLS and on clear text.
func TestH2spec(t *testing.T) {
	tool := os.Getenv("HEADGATE_TEST_H2SPEC")
	if tool == "" {
		t.Skip("HEADGATE_TEST_H2SPEC is not set")
	}
	h := handlerFunc(func(s wire.Stream, r *wire.Request) { // an answer must not overtake what is wrong with the body
		if _, err := io.Copy(io.Discard, s); err == nil {
			answer(s, 200, "hello, h2spec")
		}
	})
	for _, secure := range []bool{false, true} {
		s := start(t, secure, h2.Settings{}, h)
		host, port, _ := net.SplitHostPort(s.addr)
		args := []string{"-h", host, "-p", port, "-o", "2", "generic", "http2", "hpack"}
		if secure {
			args = append([]string{"-t", "-k"}, args...)
		}
		out, err := exec.Command(tool, args...).CombinedOutput()
		_, failures, _ := strings.Cut(string(out), "Failures:")
		if err != nil || !strings.Contains(string(out), " 0 failed") {
			t.Errorf("tls %v: %v\n%s", secure, err, failures)
		}
		t.Log(lastLine(string(out)))
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

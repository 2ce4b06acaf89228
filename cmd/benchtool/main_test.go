package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// asTool makes the test binary be benchtool: a backend has no end but its process's.
const asTool = "BENCHTOOL_IN_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// call runs a command whose input ends at once, and returns its result.
func call(t *testing.T, args ...string) (Result, error) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(args, Terminal{In: new(bytes.Buffer), Out: &out, Err: &errs})
	if code != 0 {
		return Result{}, io.ErrUnexpectedEOF
	}
	var r Result
	d := json.NewDecoder(&out)
	for {
		if err := d.Decode(&r); err != nil {
			break
		}
	}
	if errs.Len() > 0 {
		t.Logf("stderr: %s", &errs)
	}
	return r, nil
}

// mustCall is call for what has no error.
func mustCall(t *testing.T, args ...string) Result {
	t.Helper()
	r, err := call(t, args...)
	if err != nil {
		t.Fatalf("benchtool %q ended with an error", args)
	}
	return r
}

// startBackend starts a backend and returns its socket.
func startBackend(t *testing.T, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	c := exec.Command(os.Args[0], append(append([]string{"backend"}, flags...), path)...)
	c.Env = append(os.Environ(), asTool+"=1")
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-tick.C {
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			return path
		}
	}
	t.Fatal("the backend does not listen")
	return ""
}

// addr returns host:port of a test server by the name of localhost, which its
// URL has not.
func addr(s *httptest.Server) string {
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return "localhost:" + port
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"nothing"}, {"rate", "-h"}} {
		var errs bytes.Buffer
		if code := run(args, Terminal{In: new(bytes.Buffer), Out: io.Discard, Err: &errs}); code != 2 || errs.Len() == 0 {
			t.Errorf("benchtool %q = %d with %d bytes of help, want 2 with some", args, code, errs.Len())
		}
	}
}

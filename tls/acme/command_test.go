package acme_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	hg "headgate/tls/acme"
	"headgate/tls/acme/pebbletest"
	"headgate/tls/certs"
)

// script writes a program for /bin/sh and returns its path.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func byCommand(resolver string, words ...string) certs.ChallengeOptions {
	return certs.ChallengeOptions{Type: "dns-01", Command: words, Resolvers: []string{resolver}}
}

func TestOrdersByCommand(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI needs curl: %v", err)
		}
		t.Skipf("no curl for the script: %v", err)
	}
	ns := startNameServer(t, "127.0.0.1:0", "example.test.", "delegated.test.")
	ns.add(t, "_acme-challenge.shop.example.test. 60 IN CNAME shop.delegated.test.")
	provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		rr := textRR(r.FormValue("name"), r.FormValue("value"))
		ns.set(func() {
			kept := ns.records[:0:0]
			for _, old := range ns.records {
				if !dns.IsDuplicate(old, rr) {
					kept = append(kept, old)
				}
			}
			if r.URL.Path == "/present" {
				kept = append(kept, rr)
			}
			ns.records = kept
		})
	}))
	t.Cleanup(provider.Close)
	hook := script(t, `set -eu
[ "$#" = 4 ] && [ "$1" = --zone ] && [ "$2 $3 $4" = "$HEADGATE_ACTION $HEADGATE_RECORD $HEADGATE_VALUE" ]
curl -fsS --noproxy '*' --data-urlencode "name=$3" --data-urlencode "value=$4" "`+provider.URL+`/$2"
`)
	s := dnsSolver(t, byCommand(ns.addr, hook, "--zone"))
	c := newClient(t, pebbletest.Start(t, pebbletest.Options{DNS: ns.addr}))
	for _, names := range [][]string{{"*.example.test", "example.test"}, {"*.shop.example.test"}} {
		t.Run(strings.Join(names, " "), func(t *testing.T) {
			if err := c.order(t, "dns-01", s, names...); err != nil {
				t.Fatal(err)
			}
		})
	}
	for _, name := range []string{"_acme-challenge.example.test.", "shop.delegated.test."} {
		if left := ns.texts(name); len(left) > 0 {
			t.Errorf("%s still has %q", name, left)
		}
	}
}

func TestCommandErrorsHoldItsOutput(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"refusal":    {"echo out; echo 'no such zone' >&2; exit 7", []string{"exit status 7", "it wrote: out no such zone", "present _acme-challenge.example.test."}},
		"silence":    {"exit 1", []string{"exit status 1", "it wrote nothing"}},
		"much":       {"yes | head -c 3000000; echo; echo last words; exit 1", []string{"last words"}},
		"terminal":   {`printf 'a\033[31mred\000\377'; exit 1`, []string{"a [31mred ?"}},
		"killed":     {"kill -TERM $$", []string{"signal: terminated"}},
		"no program": {"", []string{"program"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := dnsSolver(t, byCommand(ns.addr, script(t, tt.text)))
			if name == "no program" {
				_, err := hg.NewDNSSolver(byCommand(ns.addr, "/no/such/program"), nil)
				wantError(t, err, tt.want...)
				return
			}
			err := s.Present(t.Context(), challenge("example.test", "tok"))
			wantError(t, err, tt.want...)
			if len(err.Error()) > 3000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestCommandEndsWithAllItHasStarted covers the time limit and the context.
func TestCommandEndsWithAllItHasStarted(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	for name, limit := range map[string]time.Duration{"time limit": 300 * time.Millisecond, "context": time.Minute} {
		t.Run(name, func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pid")
			s := dnsSolver(t, byCommand(ns.addr, script(t, fmt.Sprintf("sleep 600 &\necho $! > %s.new; mv %[1]s.new %[1]s\necho begun\nwait\n", pids))))
			hg.LimitCommand(s, limit)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.Present(ctx, challenge("example.test", "tok")) }()
			child := readPID(t, pids)
			if name == "context" {
				cancel()
			}
			err := <-done
			if name == "context" && !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context canceled", err)
			}
			if name == "time limit" {
				wantError(t, err, "it was ended after 300ms", "it wrote: begun")
			}
			eventually(t, "its child is gone", func() bool { return gone(child) })
		})
	}
}

// gone reports that a process has ended; nobody may have asked for its status.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	return strings.Contains(string(stat), ") Z ")
}

func TestCommandMayLeaveSomethingBehind(t *testing.T) {
	ns := startNameServer(t, "127.0.0.1:0", "example.test.")
	pids := filepath.Join(t.TempDir(), "pid")
	s := dnsSolver(t, byCommand(ns.addr, script(t, "sleep 600 &\necho $! > "+pids+"\n")))
	if err := s.Present(t.Context(), challenge("example.test", "tok")); err != nil {
		t.Errorf("a program that ended well: %v", err)
	}
	if err := syscall.Kill(readPID(t, pids), syscall.SIGKILL); err != nil {
		t.Errorf("what it left behind: %v", err)
	}
}

func readPID(t *testing.T, file string) int {
	t.Helper()
	var pid int
	eventually(t, file+" is there", func() bool {
		text, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	return pid
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

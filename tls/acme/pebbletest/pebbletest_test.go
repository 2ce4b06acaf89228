package pebbletest_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"headgate/tls/acme/pebbletest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAuthorityAnswersAndComesBackUnderItsURL(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{Chains: 1})
	directory := ca.Directory
	if d := get(t, ca); !strings.HasPrefix(d["newOrder"].(string), strings.TrimSuffix(directory, "/dir")) {
		t.Errorf("newOrder = %v, want a URL that leads through the proxy at %s", d["newOrder"], directory)
	}
	if ca.Count("directory") != 1 {
		t.Errorf("%d requests for the directory, want 1", ca.Count("directory"))
	}
	roots := ca.Roots()
	if len(roots) != 2 {
		t.Fatalf("%d roots, want 2", len(roots))
	}
	ca.Kill()
	if _, err := ca.Client().Get(directory); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a killed authority: %v, want connection refused", err)
	}
	ca.Restart()
	if ca.Directory != directory {
		t.Errorf("directory = %s, want %s as before", ca.Directory, directory)
	}
	get(t, ca)
	if ca.Roots()[0].Equal(roots[0]) {
		t.Error("the authority has its old root, want one that has forgotten everything")
	}
}

func TestFaults(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	ca.Fault(func(r pebbletest.Request) *pebbletest.Answer {
		if r.Kind != "directory" {
			t.Errorf("kind = %s, want directory", r.Kind)
		}
		return pebbletest.Problem(429, "rateLimited", "slowly", "7")
	})
	resp, err := ca.Client().Get(ca.Directory)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "7" || !strings.Contains(string(body), "error:rateLimited") {
		t.Errorf("answer = %s %v %s", resp.Status, resp.Header, body)
	}
	ca.Fault(func(pebbletest.Request) *pebbletest.Answer { return &pebbletest.Answer{Lost: true} })
	if resp, err := ca.Client().Head(ca.Directory); err == nil {
		_ = resp.Body.Close()
		t.Error("an answer came that was to be lost")
	}
	if ca.Count("directory") == 0 {
		t.Error("pebble has seen nothing")
	}
	ca.Fault(func(pebbletest.Request) *pebbletest.Answer {
		return &pebbletest.Answer{Header: http.Header{"Retry-After": {"9"}}}
	})
	if resp, err = ca.Client().Get(ca.Directory); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Retry-After") != "9" {
		t.Errorf("answer = %s with Retry-After %q, want 200 with 9", resp.Status, resp.Header.Get("Retry-After"))
	}
	ca.Fault(nil)
	get(t, ca)
}

func TestNames(t *testing.T) {
	ca := pebbletest.Start(t, pebbletest.Options{})
	ca.SetA("a.example.com", "127.0.0.9", "::1")
	ca.SetTXT("t.example.com", "one")
	ca.SetTXT("t.example.com", "two")
	r := &net.Resolver{PreferGo: true, Dial: ca.Dial}
	for host, want := range map[string]string{"a.example.com": "127.0.0.9 ::1", "b.example.com": "127.0.0.1"} {
		got, err := r.LookupHost(t.Context(), host)
		if slices.Sort(got); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s points to %v, %v, want %s", host, got, err, want)
		}
	}
	if got, err := r.LookupTXT(t.Context(), "t.example.com"); err != nil || len(got) != 2 {
		t.Errorf("text = %v, %v, want two", got, err)
	}
	ca.ClearTXT("t.example.com")
	ca.SetServFail("b.example.com")
	if got, err := r.LookupHost(t.Context(), "b.example.com"); err == nil {
		t.Errorf("b.example.com points to %v, want a failure", got)
	}
	ca.SetDefaultA("")
	if got, err := r.LookupHost(t.Context(), "c.example.com"); err == nil {
		t.Errorf("c.example.com points to %v, want nowhere", got)
	}
}

func get(t *testing.T, ca *pebbletest.CA) map[string]any {
	t.Helper()
	resp, err := ca.Client().Get(ca.Directory)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var d map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

package apps_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"headgate/gateway/apps"
)

// yaml is the file of an app. It says its user, because tests may run as root.
func yaml(host string) string {
	return fmt.Sprintf("hosts: [%s]\nworkers: {app: app.py, user: %s}\n", host, someone())
}

// ini is a vassal.
func ini(host string) string {
	return fmt.Sprintf("[uwsgi]\nmodule = app\n[headgate]\nhosts = %s\nuser = %s\n", host, someone())
}

// someone is who workers may run as: not root.
func someone() string {
	if os.Geteuid() == 0 {
		return "65534:65534"
	}
	return strconv.Itoa(os.Geteuid())
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// heard is what set was told.
type heard struct {
	mu    sync.Mutex
	calls [][]apps.State
}

func (h *heard) set(states []apps.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, states)
}

func (h *heard) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

func (h *heard) last() map[string]apps.State {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]apps.State{}
	if len(h.calls) > 0 {
		for _, s := range h.calls[len(h.calls)-1] {
			out[filepath.Base(s.File)] = s
		}
	}
	return out
}

// wait waits until what was last heard is so.
func (h *heard) wait(t *testing.T, what string, so func(map[string]apps.State) bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < 20*time.Second; <-tick.C {
		if so(h.last()) {
			return
		}
	}
	t.Fatalf("never %s: %+v", what, h.last())
}

// watch runs the folder of a pattern until the test ends.
func watch(t *testing.T, pattern string) *heard {
	t.Helper()
	folder, err := apps.Open(pattern, os.LookupEnv, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := new(heard)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- folder.Run(ctx, h.set) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	h.wait(t, "called", func(map[string]apps.State) bool { return h.count() > 0 })
	return h
}

func hosts(s apps.State) string {
	if s.Fragment == nil {
		return ""
	}
	return strings.Join(s.Fragment.Site.Hosts, " ")
}

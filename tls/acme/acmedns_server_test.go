package acme_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// acmeDNSServer follows the documented API of acme-dns: POST /update with the
// fields X-Api-User and X-Api-Key, and the two last values of an account are kept.
type acmeDNSServer struct {
	ns  *nameServer
	web *httptest.Server

	mu       sync.Mutex // guards the fields below
	accounts map[string]map[string]string
	fail     []int  // codes that come before an answer
	answer   string // in the place of every answer
	moved    string // where clients are sent to
	requests int
}

func startACMEDNS(t *testing.T, ns *nameServer) *acmeDNSServer {
	t.Helper()
	s := &acmeDNSServer{ns: ns, accounts: map[string]map[string]string{}}
	s.web = httptest.NewServer(s)
	t.Cleanup(s.web.Close)
	return s
}

// register makes an account, as POST /register does, and returns its answer.
func (s *acmeDNSServer) register(sub string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := map[string]string{"username": "user-" + sub, "password": "pass-" + sub, "subdomain": sub, "fulldomain": sub + ".auth.test"}
	s.accounts[a["username"]] = a
	return a
}

// accountsFile writes accounts by domain.
func accountsFile(t *testing.T, accounts map[string]map[string]string) string {
	t.Helper()
	data, err := json.Marshal(accounts)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "accounts.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ServeHTTP implements http.Handler.
func (s *acmeDNSServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if len(s.fail) > 0 {
		w.WriteHeader(s.fail[0])
		s.fail = s.fail[1:]
		return
	}
	if s.moved != "" {
		http.Redirect(w, r, s.moved, http.StatusPermanentRedirect)
		return
	}
	if s.answer != "" {
		_, _ = w.Write([]byte(s.answer))
		return
	}
	var body struct{ Subdomain, TXT string }
	err := json.NewDecoder(r.Body).Decode(&body)
	a := s.accounts[r.Header.Get("X-Api-User")]
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/update":
		w.WriteHeader(http.StatusNotFound)
	case a == nil || a["password"] != r.Header.Get("X-Api-Key") || err == nil && a["subdomain"] != body.Subdomain:
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error": "forbidden"}`))
	case err != nil || len(body.TXT) != 43:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error": "bad_txt"}`))
	default:
		s.keep(a["fulldomain"]+".", body.TXT)
		_ = json.NewEncoder(w).Encode(map[string]string{"txt": body.TXT})
	}
}

// keep sets the newer of two values of name in the place of the older.
func (s *acmeDNSServer) keep(name, value string) {
	s.ns.set(func() {
		all := s.ns.records[:0:0]
		old := 0
		for _, rr := range s.ns.records {
			if strings.EqualFold(rr.Header().Name, name) {
				old++
			}
		}
		for _, rr := range s.ns.records {
			if strings.EqualFold(rr.Header().Name, name) && old > 1 {
				old--
				continue
			}
			all = append(all, rr)
		}
		s.ns.records = append(all, textRR(name, value))
	})
}

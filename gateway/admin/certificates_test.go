package admin_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/admin"
	"headgate/gateway/stats"
)

// unknown is how a gateway says that it has no such certificate.
type unknown struct{}

func (unknown) Error() string  { return `"c.example": no issuer` }
func (unknown) NotFound() bool { return true }

func TestRenewAndRevoke(t *testing.T) {
	path := socketPath(t)
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	have := stats.Certificate{Names: []string{"a.example", "*.a.example"}, Source: "acme", NotAfter: at}
	var revoked [2]string
	g := &gateway{
		snapshot: stats.Snapshot{Certificates: []stats.Certificate{{Names: []string{"b.example"}}, have}},
		renew: func(_ context.Context, name string) error {
			switch name {
			case "A.example":
				return nil
			case "c.example":
				return unknown{}
			}
			return errors.New("issuer acme: rate limited: wait")
		},
		revoke: func(name, reason string) error {
			revoked = [2]string{name, reason}
			return nil
		},
	}
	stop := serveAPI(t, g, path)
	c := admin.NewClient(path)
	got, err := c.RenewCertificate(t.Context(), "A.example")
	if d := cmp.Diff([]stats.Certificate{have}, got); err != nil || d != "" {
		t.Errorf("renew: %v (-want +got):\n%s", err, d)
	}
	if _, err := c.RenewCertificate(t.Context(), "b.example"); err == nil || err.Error() != "issuer acme: rate limited: wait" {
		t.Errorf("a renewal that fails: %v", err)
	}
	got, err = c.RevokeCertificate(t.Context(), "*.a.example", "keyCompromise")
	if d := cmp.Diff([]stats.Certificate{have}, got); err != nil || d != "" || revoked != [2]string{"*.a.example", "keyCompromise"} {
		t.Errorf("revoke: %v, asked for %q (-want +got):\n%s", err, revoked, d)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int{"A.example": 200, "b.example": 422, "c.example": 404} {
		w := httptest.NewRecorder()
		admin.NewAPI(g, nil).ServeHTTP(w, httptest.NewRequest("POST", "/v1/certificates/renew?name="+name, nil))
		if w.Code != want || want > 200 && !strings.HasPrefix(w.Body.String(), `{"error":`) {
			t.Errorf("renew %s = %d %s, want %d", name, w.Code, w.Body, want)
		}
	}
}

// TestRenewalOfAClientThatLeavesIsCanceled: who asks waits for minutes.
func TestRenewalOfAClientThatLeavesIsCanceled(t *testing.T) {
	path := socketPath(t)
	entered, left := make(chan struct{}), make(chan struct{})
	stop := serveAPI(t, &gateway{renew: func(ctx context.Context, _ string) error {
		close(entered)
		<-ctx.Done()
		close(left)
		return ctx.Err()
	}}, path)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := admin.NewClient(path).RenewCertificate(ctx, "a.example")
		done <- err
	}()
	<-entered
	cancel()
	<-left
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

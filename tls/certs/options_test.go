package certs_test

import (
	"os"
	"strings"
	"testing"

	"headgate/tls/certs"
)

func TestOptionsValidateReportsAllAtOnceByKey(t *testing.T) {
	o := certs.Options{
		Issuer: "letsencrypt", Email: "nobody", Storage: "redis://cache", MinVersion: "1.1",
		Certificates: []certs.Pair{{Cert: "/a", Key: "/b"}, {}},
		ACME:         map[string]any{"directory": "https://ca"},
	}
	err := o.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		`issuer: "letsencrypt" is not an issuer`, "email: ", "certificates[1].cert: ", "certificates[1].key: ",
		"acme: is not supported yet", "storage: redis is not supported yet", `min_version: "1.1"`,
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d errors, want %d:\n%v", len(lines), len(want), err)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w) {
			t.Errorf("error %d is %q, want it to start with %q", i, lines[i], w)
		}
	}
	if err := (certs.Options{}).Validate(); err != nil {
		t.Errorf("zero value: %v", err)
	}
	if err := (certs.Options{Storage: "file:state"}).Validate(); err == nil {
		t.Error("relative storage: no error")
	}
}

func TestOptionsIssuerFor(t *testing.T) {
	for _, tt := range []struct {
		issuer, host string
		want         certs.Kind
		err          string
	}{
		{"", "localhost", certs.KindInternal, ""},
		{"auto", "Shop.LOCALHOST.", certs.KindInternal, ""},
		{"auto", "*.localhost", certs.KindInternal, ""},
		{"auto", "shop.internal", certs.KindInternal, ""},
		{"auto", "127.0.0.1", certs.KindInternal, ""},
		{"auto", "[2001:db8::1]", certs.KindInternal, ""},
		{"auto", "", certs.KindInternal, ""},
		{"auto", "shop.example.com", "", "acme is not supported yet"},
		{"auto", "*.example.com", "", "acme is not supported yet"},
		{"auto", "intranet", "", "no public authority certifies intranet"},
		{"internal", "shop.example.com", certs.KindInternal, ""},
		{"none", "localhost", certs.KindNone, ""},
		{"acme", "localhost", "", "acme is not supported yet"},
	} {
		got, err := certs.Options{Issuer: tt.issuer}.IssuerFor(tt.host)
		if got != tt.want || (err == nil) != (tt.err == "") || (err != nil && !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("issuer %q for %q = %q, %v; want %q, %q", tt.issuer, tt.host, got, err, tt.want, tt.err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "issuer: ") {
			t.Errorf("error does not start with its key: %v", err)
		}
	}
}

func TestStorageDir(t *testing.T) {
	if got := (certs.Options{Storage: "file:/srv/tls/"}).StorageDir(); got != "/srv/tls" {
		t.Errorf("got %q, want /srv/tls", got)
	}
	if os.Geteuid() == 0 {
		if got := certs.DefaultStorage(); got != "file:/var/lib/headgate" {
			t.Errorf("default for root is %q", got)
		}
		return
	}
	t.Setenv("XDG_DATA_HOME", "/data")
	if got := certs.DefaultStorage(); got != "file:/data/headgate" {
		t.Errorf("default is %q, want file:/data/headgate", got)
	}
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "/home/ann")
	if got := certs.DefaultStorage(); got != "file:/home/ann/.local/share/headgate" {
		t.Errorf("default is %q", got)
	}
}

package uwsgi_test

import (
	"fmt"
	"strings"
	"testing"

	"headgate/upstream/uwsgi"
)

func TestValidateTakesWhatOperatorsSet(t *testing.T) {
	for name, o := range map[string]uwsgi.Options{
		"nothing": {},
		"usual": {Vars: map[string]string{
			"DJANGO_SETTINGS_MODULE": "shop.settings", "HTTP_X_TENANT": "a", "shop.tenant": "b", "HTTP_X_FORWARDED_PREFIX": "/x",
			"HTTP_PROXY": "", "SERVER_ADDR": "10.0.0.1", "EMPTY": "",
		}},
		"php":      {Modifier1: 14, Vars: map[string]string{"DOCUMENT_ROOT": "/srv", "SCRIPT_FILENAME": "/srv/index.php"}},
		"gunicorn": {Dialect: uwsgi.DialectGunicorn, Vars: map[string]string{"HTTP_X_TENANT": "a"}},
		"tls":      {TLS: uwsgi.TLSOptions{Cert: "a", Key: "b", CA: "c"}},
	} {
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateRefusesControlVariables(t *testing.T) {
	for key, want := range map[string]string{
		"UWSGI_FILE": "control variable", "UWSGI_SCRIPT": "control variable", "UWSGI_SETENV": "control variable", "UWSGI_APPID": "control variable",
		"UWSGI_POSTFILE": "control variable", "uwsgi_file": "control variable", "UWSGI_SCHEME": "trusted_proxies",
		"wsgi.url_scheme": "server itself", "uwsgi.version": "server itself", "x-wsgiorg.fdevent.readable": "server itself",
		"REMOTE_USER": "who the client is", "AUTH_TYPE": "who the client is", "SSL_CLIENT_S_DN": "who the client is", "HTTPS_DN": "who the client is",
		"DOCUMENT_ROOT": "chooses files", "SCRIPT_FILENAME": "chooses files", "HTTP_PROXY": "httpoxy",
		"HTTP_X_FORWARDED_PROTO": "trusted_proxies", "HTTP_X_FORWARDED_SSL": "trusted_proxies", "HTTP_X_FORWARDED_FOR": "trusted_proxies",
		"HTTP_CONTENT_LENGTH": "only Headgate knows", "HTTP_TRANSFER_ENCODING": "only Headgate knows", "CONTENT_LENGTH": "only Headgate knows",
		"SCRIPT_NAME": "mount:", "HTTP_HOST": "take it out", "SERVER_NAME": "take it out", "PATH_INFO": "take it out", "HTTPS": "take it out",
		"HTTP_X-FOO": "write HTTP_X_FOO", "http_x_foo": "write HTTP_X_FOO", "A=B": "letters", "A B": "letters", "": "needs a name",
		strings.Repeat("A", 256): "255",
	} {
		err := uwsgi.Options{Vars: map[string]string{key: "1"}}.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), "vars."+key+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", key, err, want)
		}
	}
}

func TestValidateModifier(t *testing.T) {
	allowed := map[int]bool{0: true, 5: true, 6: true, 7: true, 8: true, 9: true, 11: true, 14: true, 15: true, 19: true, 23: true, 24: true, 25: true, 27: true, 28: true}
	for m := -1; m <= 300; m++ {
		err := uwsgi.Options{Modifier1: m}.Validate()
		if (err == nil) != allowed[m] {
			t.Errorf("modifier1 %d: %v", m, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), fmt.Sprintf("modifier1: %d ", m)) {
			t.Errorf("modifier1 %d: %v", m, err)
		}
	}
	if err := (uwsgi.Options{Modifier1: 30}).Validate(); !strings.Contains(err.Error(), "mount:") {
		t.Errorf("modifier1 30: %v", err)
	}
}

func TestValidateModifier2(t *testing.T) {
	for m, want := range map[int]bool{-1: false, 0: true, 255: true, 256: false} {
		if err := (uwsgi.Options{Modifier2: m}).Validate(); (err == nil) != want {
			t.Errorf("modifier2 %d: %v", m, err)
		}
	}
}

func TestValidateReportsAll(t *testing.T) {
	many := map[string]string{"DJANGO_SETTINGS_MODULE": "a", "HTTP_X_A": "a\nb", "HTTP_X_B": strings.Repeat("x", 65536)}
	for i := range 70 {
		many[fmt.Sprintf("HTTP_%d", i)] = ""
	}
	err := uwsgi.Options{
		Dialect: uwsgi.DialectGunicorn, Modifier1: 5, Vars: many, ConnectTimeout: -1, ResponseTimeout: -1,
		TLS: uwsgi.TLSOptions{Cert: "a"},
	}.Validate()
	if err == nil {
		t.Fatal("all is well")
	}
	lines := strings.Split(err.Error(), "\n")
	want := []string{
		"modifier1: gunicorn", "vars: there are 73", "vars.DJANGO_SETTINGS_MODULE: gunicorn", "vars.HTTP_X_A: has a line break",
		"vars.HTTP_X_B: the value has 65536", "connect_timeout: -1ns is negative", "response_timeout: -1ns", "tls.key: is missing",
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d errors, want %d:\n%v", len(lines), len(want), err)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("error %q, want %q", lines[i], want[i])
		}
	}
	if err := (uwsgi.Options{Dialect: 7, TLS: uwsgi.TLSOptions{Key: "k"}}).Validate(); err == nil ||
		!strings.Contains(err.Error(), "dialect: ") || !strings.Contains(err.Error(), "tls.cert: is missing") {
		t.Errorf("error %v", err)
	}
}

package builtin_test

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/worker/builtin"
)

// realUWSGI starts uWSGI with the app of testdata.
func realUWSGI(t *testing.T, args ...string) *server {
	t.Helper()
	binary, err := exec.LookPath("uwsgi")
	if err != nil {
		missing(t, "uwsgi")
	}
	s := &server{t: t, path: filepath.Join(shortDir(t), "u"), said: newOutput(t)}
	args = append([]string{"--plugin", "python3", "--socket", s.path, "--module", "app", "--need-app", "--buffer-size", "65535"}, args...)
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = testdata(t), s.said.f, s.said.f, []string{"PATH=/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	until(t, "uWSGI", func() bool {
		c, err := net.Dial("unix", s.path)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return s
}

// seen is what the app sees of a request, but for what is each server's own.
func seen(t *testing.T, s *server, vars ...string) map[string]string {
	t.Helper()
	a := parse(t, "GET", s.raw(packet(0, vars...)))
	got := map[string]string{}
	for line := range strings.Lines(a.Body) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch {
		case strings.HasPrefix(key, "uwsgi."), strings.HasPrefix(key, "x-wsgiorg."):
		case key == "wsgi.input", key == "wsgi.errors", key == "wsgi.file_wrapper", key == "wsgi.input_terminated", key == "wsgi.early_hints":
		default:
			got[key] = value
		}
	}
	return got
}

func TestEnvironAsUWSGI(t *testing.T) {
	t.Parallel()
	for _, size := range []struct {
		args []string
		o    builtin.Options
	}{
		{nil, builtin.Options{}},
		{[]string{"--master", "--processes", "2", "--threads", "2"}, builtin.Options{Processes: 2, Threads: 2}},
	} {
		size.o.App = "app"
		ours, theirs := start(t, size.o), realUWSGI(t, size.args...)
		for name, vars := range map[string][]string{
			"least":       {"PATH_INFO", "/environ"},
			"full":        {"REQUEST_METHOD", "GET", "PATH_INFO", "/environ", "QUERY_STRING", "a=b&c", "SCRIPT_NAME", "", "SERVER_NAME", "x", "SERVER_PORT", "443", "SERVER_PROTOCOL", "HTTP/2.0", "REMOTE_ADDR", "192.0.2.7", "REMOTE_PORT", "5", "REQUEST_URI", "/environ?a=b&c", "REQUEST_SCHEME", "https", "HTTP_HOST", "x", "CONTENT_TYPE", "", "CONTENT_LENGTH", "", "HTTPS", "on", "UWSGI_SCHEME", "https", "HTTP_X_FORWARDED_FOR", "1.2.3.4"},
			"bytes":       {"PATH_INFO", "/environ", "HTTP_X", "caf\xc3\xa9 \xff\x00\x80\r\n", "K\xe9y", "v"},
			"twice":       {"PATH_INFO", "/environ", "HTTP_X", "first", "HTTP_X", "last"},
			"empty":       {"PATH_INFO", "/environ", "HTTP_X", ""},
			"own":         {"PATH_INFO", "/environ", "myapp.flag", "1", "wsgi.version", "evil", "wsgi.url_scheme", "evil"},
			"https 1":     {"PATH_INFO", "/environ", "HTTPS", "1"},
			"https On":    {"PATH_INFO", "/environ", "HTTPS", "On"},
			"https onion": {"PATH_INFO", "/environ", "HTTPS", "onion"},
			"https true":  {"PATH_INFO", "/environ", "HTTPS", "true"},
			"https off":   {"PATH_INFO", "/environ", "HTTPS", "off"},
			"scheme":      {"PATH_INFO", "/environ", "HTTPS", "on", "UWSGI_SCHEME", "wss"},
			"forwarded":   {"PATH_INFO", "/environ", "HTTP_X_FORWARDED_PROTO", "https", "UWSGI_SCHEME", "http"},
		} {
			if d := cmp.Diff(seen(t, theirs, vars...), seen(t, ours, vars...)); d != "" {
				t.Errorf("%s: uWSGI has -, ours has +:\n%s", name, d)
			}
		}
	}
}

// TestControlVars: what controls uWSGI is not for an app to see, or to trust.
func TestControlVars(t *testing.T) {
	t.Parallel()
	s := start(t, builtin.Options{App: "app"})
	got := seen(t, s, "PATH_INFO", "/environ", "UWSGI_FILE", "exec://id", "UWSGI_SETENV", "A=b", "UWSGI_SCHEME", "https", "HTTP_X_FORWARDED_PROTO", "http")
	for key := range got {
		if strings.HasPrefix(key, "UWSGI_") && key != "UWSGI_SCHEME" {
			t.Errorf("the app sees %s", key)
		}
	}
	if got["wsgi.url_scheme"] != "'https'" {
		t.Errorf("the scheme is %s", got["wsgi.url_scheme"])
	}
	if got := seen(t, s, "PATH_INFO", "/environ", "HTTP_X_FORWARDED_PROTO", "https"); got["wsgi.url_scheme"] != "'http'" {
		t.Errorf("a client has made the scheme %s", got["wsgi.url_scheme"])
	}
}

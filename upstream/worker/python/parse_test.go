package python_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headgate/upstream/worker/python"
)

func TestParsers(t *testing.T) {
	for _, c := range []struct {
		name  string
		parse func([]byte) map[string]string
		text  string
		want  map[string]string
	}{
		{"dotenv", python.Dotenv, "# A=1\nA=2\nexport B = 'x # y' # z\nC=\"a\\\"b\"\nD=e # f\nE=#\n=x\n1=2\nF\nA=3\nG=a=b", map[string]string{
			"A": "3", "B": "x # y", "C": `a"b`, "D": "e", "E": "", "G": "a=b",
		}},
		{"pyproject", python.Pyproject, "a = 'top'\n[tool]\nheadgate.app = \"x:y\" # z\n[ tool . \"other\" ]\nn = 1\ntext = \"\"\"\n[project]\nname = 'no'\n\"\"\"\n[[project]]\nname = 'no'\n[project]\nname='yes'\nname='twice'\n#name='x'\nlist = [\n 'a = b',\n]\n", map[string]string{
			"a": "top", "tool.headgate.app": "x:y", "project.name": "yes",
		}},
		{"ini", func(b []byte) map[string]string { return python.ParseIni(b, "uwsgi") }, "x = 0\n[uwsgi]\n; c = d\n # e = f\na = b = c\nmaster\nlong = 1 \\\n  2\n[headgate]\nhosts = x\n[uwsgi:more]\nz=%d\n", map[string]string{
			"a": "b = c", "master": "", "long": "1 2", "z": "%d",
		}},
	} {
		if diff := cmp.Diff(c.want, c.parse([]byte(c.text))); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestIniSlots(t *testing.T) {
	for text, want := range map[string]int{
		"": 1, "processes=4": 4, "workers=2\nthreads=3": 6, "p=2\nasync=100": 200, "processes=%k": 0, "gevent=10": 10, "ugreen=true\nprocesses=2": 0,
		"processes=-1": 0, "threads=0": 1, "processes=99999999999999999999": 0, "processes=1000000\nthreads=1000000": 0,
	} {
		if got := python.IniSlots([]byte("[uwsgi]\n" + text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestInherited(t *testing.T) {
	got := python.Inherited([]string{
		"HOME=/root", "HEADGATE_TOKEN=x", "NOTIFY_SOCKET=/x", "LISTEN_PID=1", "INVOCATION_ID=x", "WATCHDOG_USEC=1", "UWSGI_RELOADS=1", "UWSGI_CHEAPER=1",
		"PYTHONDONTWRITEBYTECODE=1", "A=b=c", "=x", "bad",
	}, false, map[string]string{"A": "d", "HEADGATE_MINE": "y"})
	want := []string{"A=d", "HEADGATE_MINE=y", "HOME=/root", "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", "UWSGI_CHEAPER=1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = python.Inherited([]string{"HOME=/root", "PATH=/bin", "LC_ALL=C", "TSIG_SECRET=x", "UWSGI_CHEAPER=1", "A=b"}, true, map[string]string{"A": "d"})
	if diff := cmp.Diff([]string{"A=d", "LC_ALL=C", "PATH=/bin", "PYTHONUNBUFFERED=1"}, got); diff != "" {
		t.Errorf("of another user: %s", diff)
	}
}

func FuzzDotenv(f *testing.F) {
	f.Add([]byte("A='b'\nexport C=d # e\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, value := range python.Dotenv(text) {
			if strings.ContainsAny(name, "= \n'\"") || strings.Contains(value, "\n") {
				t.Errorf("%q is %q", name, value)
			}
			again := python.Dotenv([]byte(name + "='" + value + "'"))
			if !strings.Contains(value, "'") && again[name] != value {
				t.Errorf("%q is %q the second time", value, again[name])
			}
		}
	})
}

func FuzzPyproject(f *testing.F) {
	f.Add([]byte("[tool.headgate]\napp = \"a:b\"\n[project]\nname = 'x' # y\n\"\"\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, value := range python.Pyproject(text) {
			if strings.Contains(name+value, "\n") {
				t.Errorf("%q is %q", name, value)
			}
		}
	})
}

func FuzzIni(f *testing.F) {
	f.Add([]byte("[uwsgi]\nprocesses = 2\nthreads = \\\n3\n[x]\n;y"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, value := range python.ParseIni(text, "uwsgi") {
			if name == "" || strings.Contains(name+value, "\n") || strings.TrimSpace(name) != name || strings.Contains(name, "=") {
				t.Errorf("%q is %q", name, value)
			}
		}
		if n := python.IniSlots(text); n < 0 || n > 1<<20 {
			t.Errorf("%d slots", n)
		}
	})
}

package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/config"
)

// app is the Fragment of a YAML file.
func app(t testing.TB, name, text string) config.Fragment {
	t.Helper()
	f, err := config.ParseApp(appsDir+name, []byte(text), environ)
	if err != nil {
		t.Fatalf("ParseApp: %v\n%s", err, text)
	}
	return *f
}

func TestMerge(t *testing.T) {
	main := parse(t, `
listen: {http: ":80"}
limits: {body: 7MiB}
pools:
  web: {members: ["unix:/run/app.sock"]}
  legacy: {members: ["unix:/run/legacy.sock"]}
sites:
  - hosts: [main.example.com]
    routes: [{pool: web}]
`)
	if len(main.Warnings) != 1 {
		t.Fatalf("warnings = %v, want one, of the pool that only an app uses", main.Warnings)
	}
	before := string(main.Marshal())
	merged, wrong := main.Merge([]config.Fragment{
		app(t, "b.yaml", "hosts: [b.example.com]\nworkers: {app: app.py}\nroutes: [{path: /old/, pool: legacy}, {}]\n"),
		app(t, "a.example.com.yaml", "workers: {app: app.py}\nlimits: {body: 1MiB}\n"),
	})
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	var hosts []string
	for _, s := range merged.Sites {
		hosts = append(hosts, s.Hosts...)
	}
	if diff := cmp.Diff([]string{"main.example.com", "a.example.com", "b.example.com"}, hosts); diff != "" {
		t.Errorf("hosts differ (-want +got):\n%s", diff)
	}
	if len(merged.Pools) != 4 || merged.Pools["b"].Upstream.Queue.Limit == 0 || merged.Pools["b"].Workers.Threads != 1 {
		t.Errorf("pools = %+v, want those of both with their defaults", merged.Pools)
	}
	if a, b := merged.Sites[1], merged.Sites[2]; a.Limits.Body != config.MiB || b.Limits.Body != 7*config.MiB || b.Routes[1].Limits.Body != 7*config.MiB || b.HTTP != "serve" {
		t.Errorf("sites have not the defaults of the rest: %+v %+v", a, b)
	}
	if len(merged.Warnings) > 0 {
		t.Errorf("warnings = %v, want none: an app uses the pool", merged.Warnings)
	}
	if err := merged.Validate(); err != nil {
		t.Errorf("Validate = %v", err)
	}
	if after := string(main.Marshal()); before != after {
		t.Errorf("Merge changed the main file to\n%s", after)
	}
	back := parse(t, string(config.MarshalAll(merged)))
	if merged.Hash() != back.Hash() {
		t.Error("the hash of what was merged and marshalled differs")
	}
}

// TestMergeLeavesOut wants of each wrong fragment an error with its place, and all
// others in the result.
func TestMergeLeavesOut(t *testing.T) {
	main := parse(t, `
listen: {http: ":80"}
pools: {web: {members: ["unix:/run/app.sock"]}}
sites:
  - hosts: [main.example.com]
    rate_limit: {rate: 10/s, name: shared}
    routes: [{pool: web}]
`)
	good := app(t, "good.yaml", "hosts: [good.example.com]\nworkers: {app: app.py}\n")
	for name, row := range map[string]struct{ file, text, want string }{
		"pool": {"web.yaml", "hosts: [w.example.com]\nworkers: {app: app.py}\n", `web.yaml:2:10: the name "web" is already that of headgate.yaml (rename the file)
    2 | workers: {app: app.py}
      |          ^
`},
		"host": {"z.yaml", "hosts: [z.example.com, GOOD.example.com.]\nworkers: {app: app.py}\n", `z.yaml:1:24: site "z.example.com": host "GOOD.example.com." already belongs to /etc/headgate/apps/good.yaml (a host has one site: remove it from one of the two)
    1 | hosts: [z.example.com, GOOD.example.com.]
      |                        ^
`},
		"mainhost": {"main.example.com.yaml", "workers: {app: app.py}\n", `main.example.com.yaml:1:1: site "main.example.com": host "main.example.com" already belongs to site 1 of headgate.yaml (a host has one site: remove it from one of the two)
    1 | workers: {app: app.py}
      | ^
`},
		"unknown": {"u.yaml", "hosts: [u.example.com]\nroutes: [{path: /x, pool: wbe}]\nworkers: {app: app.py}\n", `u.yaml:2:27: site "u.example.com": pool "wbe" is not defined (did you mean "web"?)
    2 | routes: [{path: /x, pool: wbe}]
      |                           ^
`},
		"redirect": {"r.yaml", "hosts: [r.example.com]\nhttp: redirect\nworkers: {app: app.py}\n", `r.yaml:2:7: site "r.example.com": http: redirect leads to https, and nothing listens there (set listen.https, or write http: serve)
    2 | http: redirect
      |       ^
`},
		"issuer": {"i.yaml", "hosts: [i.example.com]\ntls: {issuer: zerosl}\nworkers: {app: app.py}\n", `i.yaml:2:15: site "i.example.com": "zerosl" is not an issuer (write auto, acme, internal, none, or a name of tls.issuers)
    2 | tls: {issuer: zerosl}
      |               ^
`},
		"rate": {"q.yaml", "hosts: [q.example.com]\nrate_limit: {rate: 5/s, name: shared}\nworkers: {app: app.py}\n", `q.yaml:2:31: site "q.example.com": rate_limit[0]: the name "shared" is already that of sites[0].rate_limit, which is not the same (give it another name, or all that the other has to count together)
    2 | rate_limit: {rate: 5/s, name: shared}
      |                               ^
`},
	} {
		t.Run(name, func(t *testing.T) {
			merged, wrong := main.Merge([]config.Fragment{app(t, row.file, row.text), good})
			if len(wrong) != 1 || wrong[0].File != appsDir+row.file {
				t.Fatalf("errors = %v, want one of %s", wrong, row.file)
			}
			if diff := cmp.Diff(appsDir+row.want, wrong[0].Errs.Detail()); diff != "" {
				t.Errorf("errors differ (-want +got):\n%s", diff)
			}
			if _, ok := errors.AsType[config.Errors](wrong[0]); !ok {
				t.Error("the errors cannot be unwrapped")
			}
			alone, _ := main.Merge([]config.Fragment{good})
			if diff := cmp.Diff(string(alone.Marshal()), string(merged.Marshal())); diff != "" {
				t.Errorf("the wrong one has changed the result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeFirstInNameOrderWins(t *testing.T) {
	main := parse(t, minimal)
	a := app(t, "a.yaml", "hosts: [x.example.com]\nworkers: {app: app.py}\n")
	b := app(t, "b.yaml", "hosts: [x.example.com]\nworkers: {app: app.py}\n")
	if _, wrong := main.Merge([]config.Fragment{b, a}); len(wrong) != 1 || wrong[0].Name != "b" {
		t.Errorf("errors = %v, want one of b", wrong)
	}
	a.Late = true
	if _, wrong := main.Merge([]config.Fragment{b, a}); len(wrong) != 1 || wrong[0].Name != "a" {
		t.Errorf("errors = %v, want one of a, which is late", wrong)
	}
}

func TestMergeWarnings(t *testing.T) {
	f := app(t, "shop.yaml", "hosts: [shop.example.com]\nworkers: {app: app.py}\nroutes: [{}, {path: /never}]\n")
	merged, _ := parse(t, minimal).Merge([]config.Fragment{f})
	want := `/etc/headgate/apps/shop.yaml:3:14: site "shop.example.com": route 2 is never reached: route 1 takes everything (move it up)`
	if got := merged.Warnings.Error(); got != want {
		t.Errorf("warnings = %s\nwant %s", got, want)
	}
}

func TestMergeHidesSecrets(t *testing.T) {
	f := app(t, "shop.yaml", "hosts: [shop.example.com]\nworkers: {app: app.py}\npool: {balance: {sticky: {cookie: m, secret: \"sixteen bytes at least\"}}}\n")
	merged, wrong := parse(t, strings.Replace(minimal, "  web:", "  shop: {members: [\"unix:/s\"]}\n  web:", 1)).Merge([]config.Fragment{f})
	if len(wrong) != 1 || strings.Contains(wrong[0].Errs.Detail(), "sixteen") || strings.Contains(string(merged.Marshal()), "sixteen") {
		t.Errorf("errors = %v, want one without the secret", wrong)
	}
}

func TestAppOfGo(t *testing.T) {
	pool := config.Pool{Members: []config.Member{{Address: "unix:/run/a.sock"}}}
	f := config.Fragment{Name: "a", File: "a", Pool: &pool, Site: config.Site{Hosts: []string{"a.example.com"}, Routes: []config.Route{{Pool: "a"}}}}
	merged, wrong := parse(t, minimal).Merge([]config.Fragment{f})
	if len(wrong) > 0 || merged.Pools["a"].Protocol != "uwsgi" {
		t.Errorf("Merge of what no file says = %+v, %v", merged.Pools, wrong)
	}
	f.Site.Routes[0].Pool = "none"
	if _, wrong := parse(t, minimal).Merge([]config.Fragment{f}); len(wrong) != 1 || !strings.HasPrefix(wrong[0].Error(), "a: site") {
		t.Errorf("errors = %v", wrong)
	}
}

func TestAppNames(t *testing.T) {
	for file, want := range map[string]string{
		"my shop.yaml":                   `my shop.yaml: "my shop" cannot be the name of an app`,
		strings.Repeat("x", 65) + ".ini": "cannot be the name of an app",
		".yaml":                          `"" cannot be the name of an app`,
	} {
		if _, err := readApp(file, []byte("[uwsgi]\nmodule=x\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
	long := []byte("# " + strings.Repeat("x", 1<<20))
	for _, file := range []string{"a.example.com.yaml", "a.example.com.ini"} {
		if _, err := readApp(file, long); err == nil || !strings.Contains(err.Error(), "is longer than 1MiB") {
			t.Errorf("%s of more than 1 MiB: %.100v", file, err)
		}
	}
}

func TestOpens(t *testing.T) {
	for text, want := range map[string]string{
		"workers: {app: app.py}": "",
		"routes: [{path: /static/, files: /srv}, {}]\nworkers: {app: app.py}":                           "files: /srv",
		"routes: [{path: /a, routes: [{path: /a/b, respond: {file: /etc/x}}]}]\nworkers: {app: app.py}": "respond.file: /etc/x",
		"pool: {members: [\"unix:/run/docker.sock\"]}":                                                  "member unix:/run/docker.sock",
		"pool: {members: [\"10.0.0.7:3031\"]}":                                                          "",
		"basic_auth: /etc/shadow\nworkers: {app: app.py}":                                               "basic_auth: /etc/shadow",
		"routes: [{errors: {404: {file: /etc/y}}}]\nworkers: {app: app.py}":                             "errors.404: /etc/y",
		"maintenance: {flag: /etc/z}\nworkers: {app: app.py}":                                           "maintenance: /etc/z",
		"routes: [{sendfile: /home}]\nworkers: {app: app.py}":                                           "sendfile: /home",
		"tls: {client_auth: {ca: /etc/ca.pem}}\nworkers: {app: app.py}":                                 "tls.client_auth: /etc/ca.pem",
		"pool: {members: [\"10.0.0.7:3031\"], protocol: suwsgi, tls: {ca: /etc/ca.pem}}":                "tls: /etc/ca.pem",
		"pool: {members: [{address: \"10.0.0.7:3031\", stats: \"unix:/run/s.sock\"}]}":                  "member unix:/run/s.sock",
	} {
		f := app(t, "a.example.com.yaml", text+"\n")
		if got := f.Opens(); got != want {
			t.Errorf("Opens = %q, want %q for\n%s", got, want, text)
		}
	}
}

func manyApps(t testing.TB, n int) []config.Fragment {
	var out []config.Fragment
	for i := range n {
		out = append(out, app(t, fmt.Sprintf("app%d.yaml", i), fmt.Sprintf(`
hosts: [app%d.example.com, www.app%d.example.com]
workers: {app: "shop.wsgi:application", chdir: /srv/shop, processes: 4}
pool: {queue: {limit: 100}, check: {path: /healthz}}
compress: on
routes: [{path: /static/, files: /srv/shop/static}, {path: /admin/, rate_limit: 5/s}, {}]
`, i, i)))
	}
	return out
}

// TestMergeIsFast: 1000 fragments take less than 50 ms (BenchmarkMerge1000), so that
// even with the race detector and a busy machine 200 have no need of a second.
func TestMergeIsFast(t *testing.T) {
	main, fragments := parse(t, minimal), manyApps(t, 200)
	best := time.Hour
	for range 5 {
		began := time.Now()
		merged, wrong := main.Merge(fragments)
		if len(wrong) > 0 || len(merged.Sites) != 201 {
			t.Fatalf("%d sites, errors %v", len(merged.Sites), wrong)
		}
		best = min(best, time.Since(began))
	}
	t.Logf("200 fragments merged in %v", best)
	if best > time.Second {
		t.Errorf("200 fragments took %v", best)
	}
}

func BenchmarkMerge1000(b *testing.B) {
	main, err := config.Parse("headgate.yaml", []byte(minimal), nil)
	if err != nil {
		b.Fatal(err)
	}
	fragments := manyApps(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		main.Merge(fragments)
	}
}

func BenchmarkParseApp(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		app(b, "shop.yaml", "hosts: [shop.example.com]\nworkers: {app: app.py}\n")
	}
}

// TestVassalsAreBounded: loops and variables cannot grow without end.
func TestVassalsAreBounded(t *testing.T) {
	began := time.Now()
	for name, text := range map[string]string{
		"loop":    "[uwsgi]\nfor = " + strings.Repeat("a ", 10_000) + "\nb = " + strings.Repeat("%(_)", 50_000) + "\nendfor =\n",
		"times":   "[uwsgi]\nfor-times = 999999999\na = b\nendfor =\n",
		"options": "[uwsgi]\n" + strings.Repeat("a = b\n", 20_000),
		"values":  "[uwsgi]\nbig = " + strings.Repeat("x", 60_000) + "\n" + strings.Repeat("a = %(big)\n", 9_000),
		"itself":  "[uwsgi]\n" + strings.Repeat("a = %(a)%(a)%(b)\nb = %(a)%(b)\n", 4_000),
		"unknown": "[uwsgi]\n[headgate]\n" + strings.Repeat("nobodyknowsthis = %(a)\n", 9_000),
		"vars":    "[uwsgi]\n[headgate]\n" + strings.Repeat("vars.A = x\n", 9_000),
	} {
		f, err := config.ParseVassal("a.example.com.ini", []byte(text))
		if err != nil {
			if errs := errorsOf(t, err); len(errs) > 101 || len(errs.Detail()) > 100_000 {
				t.Errorf("%s: %d errors", name, len(errs))
			}
		} else if f == nil {
			t.Errorf("%s: neither a fragment nor an error", name)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
}

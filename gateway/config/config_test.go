package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"headgate/gateway/accesslog"
	"headgate/gateway/cache"
	"headgate/gateway/config"
	"headgate/gateway/filter/headers"
	"headgate/gateway/tracing"
	"headgate/tls/certs"
	"headgate/upstream"
	"headgate/upstream/dns"
	"headgate/upstream/subscribe"
	"headgate/upstream/uwsgi"
	"headgate/upstream/worker"
	"headgate/upstream/worker/python"
)

// minimal is the least that can serve.
const minimal = `
listen: {http: ":80"}
pools:
  web: {members: ["unix:/run/app.sock"]}
sites:
  - routes: [{pool: web}]
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("headgate.yaml", []byte(text), environ)
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	return c
}

func TestDesignSample(t *testing.T) {
	c, err := config.Load("testdata/ok/design.yaml", environ)
	if err != nil {
		t.Fatal(err)
	}
	limits := config.RouteLimits{Body: 100 * config.MiB, BodyIdleTimeout: 30 * time.Second, WriteIdleTimeout: 30 * time.Second}
	pool := func(members ...config.Member) config.Pool {
		return config.Pool{
			Members:  members,
			Protocol: "uwsgi",
			UWSGI:    uwsgi.Options{ConnectTimeout: 5 * time.Second, ResponseTimeout: time.Minute},
			Upstream: upstream.Options{}.WithDefaults(),
			DNS:      dns.Options{MaxTTL: 30 * time.Second},
		}
	}
	shop := pool(config.Member{Address: "unix:/run/shop/uwsgi.sock"}, config.Member{Address: "10.0.0.7:3031", Weight: 2, Slots: 8, Backup: true})
	shop.Stats = "unix:/run/shop/stats.sock"
	shop.Upstream.Check = upstream.CheckOptions{Path: "/healthz", Interval: 5 * time.Second, Host: "shop.example.com", Timeout: 2 * time.Second, Rise: 1, Fall: 2}
	shop.UWSGI.Vars = map[string]string{"DJANGO_SETTINGS_MODULE": "shop.settings"}
	want := &config.Config{
		Listen: config.Listen{HTTP: []string{":80"}, HTTPS: []string{":443"}, HTTP3: new(true)},
		TLS: certs.Options{
			Issuer: []string{"auto"}, Email: "ops@example.com", Storage: "file:/var/lib/headgate", MinVersion: "1.2",
			ACME: certs.ACMEOptions{
				Directory: certs.DefaultDirectory, Keys: []string{"p256"},
				Challenges: []certs.ChallengeOptions{{Type: "http-01"}, {Type: "tls-alpn-01"}},
			},
			Certificates: []certs.Pair{{Cert: "/etc/ssl/shop.pem", Key: "/etc/ssl/shop.key"}},
		},
		Cache:   cache.StoreOptions{}.WithDefaults(),
		Admin:   config.Admin{Socket: "/run/headgate/admin.sock", Operators: []string{"127.0.0.0/8", "::1/128"}},
		Metrics: "127.0.0.1:9145",
		Log:     accesslog.Options{Access: "stdout", Format: "auto", Level: "info"},
		Grace:   30 * time.Second,
		Limits: config.Limits{
			HeaderBytes: 64 * config.KiB, Headers: 100, URIBytes: 16 * config.KiB, Route: limits,
			HeaderTimeout: 10 * time.Second, IdleTimeout: 90 * time.Second,
			BodyMemory: 256 * config.KiB, ResponseMemory: config.MiB, ResponseFile: config.GiB,
		},
		Pools: map[string]config.Pool{"shop": shop, "blog": pool(config.Member{Address: "unix:@blog"})},
		Sites: []config.Site{{
			Hosts: []string{"shop.example.com", "www.shop.example.com"}, HTTP: "redirect", Limits: limits,
			Routes: []config.Route{
				{Path: "/old", Redirect: &config.Redirect{To: "/new", Status: 301}, RequestBody: "spool", Retry: "idempotent", Limits: limits},
				{Path: "/health", Respond: &config.Respond{Status: 200, Body: "ok", Type: "text/plain; charset=utf-8"}, RequestBody: "spool", Retry: "idempotent", Limits: limits},
				{Mount: "/blog", Pool: "blog", RequestBody: "spool", Retry: "idempotent", Limits: limits},
				{Pool: "shop", RequestBody: "spool", Retry: "idempotent", Limits: limits},
			},
		}},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("the sample of the design differs (-want +got):\n%s", diff)
	}
}

func TestEveryKey(t *testing.T) {
	c, err := config.Load("testdata/ok/full.yaml", environ)
	if err != nil {
		t.Fatal(err)
	}
	c.Warnings = slices.DeleteFunc(c.Warnings, func(e *config.Error) bool { return strings.HasSuffix(e.Msg, "is not used by any route") })
	if len(c.Warnings) == 0 {
		c.Warnings = nil
	}
	limits := config.RouteLimits{Body: config.Off, BodyIdleTimeout: 10 * time.Second, WriteIdleTimeout: 11 * time.Second}
	api := config.RouteLimits{Body: config.MiB, BodyIdleTimeout: 12 * time.Second, WriteIdleTimeout: 13 * time.Second}
	global := config.RouteLimits{Body: 3 * config.GiB / 2, BodyIdleTimeout: 20 * time.Second, WriteIdleTimeout: -1}
	want := &config.Config{
		Listen: config.Listen{
			HTTP: []string{":8080", "127.0.0.1:8081"}, HTTPS: []string{":8443"}, HTTP3: new(false),
			TrustedProxies: []string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.7"}, ProxyProtocol: []string{"10.9.0.0/16"},
		},
		TLS: certs.Options{
			Issuer: []string{"acme", "zerossl"}, Email: "ops@example.com", MinVersion: "1.3",
			Storage: "redis://head:gate-pass@cache:6379/2?prefix=edge:&lease=20s",
			ACME: certs.ACMEOptions{
				Directory: "https://ca.internal/dir", Roots: "/etc/ssl/ca.pem",
				Challenges: []certs.ChallengeOptions{{Type: "tls-alpn-01"}, {
					Type: "dns-01",
					RFC2136: certs.RFC2136{
						Server: "ns1.example.com:53", Zone: "example.com", KeyName: "headgate.", Algorithm: "hmac-sha512",
						Key: "c2lnbmVkLXdpdGgtdGhpcw==",
					},
					Resolvers:        []string{"10.0.0.2:53", "ns2.example.com:53", "[2001:db8::1]:53"},
					PropagationDelay: 5 * time.Second, PropagationTimeout: -1, TTL: 2 * time.Minute,
				}},
				EAB:     certs.EAB{KeyID: "kid-1", HMAC: "c2VjcmV0LWhtYWM"},
				Profile: "shortlived", PreferredChain: "ISRG Root X1", Keys: []string{"p384", "rsa2048"},
			},
			Issuers: []certs.NamedACME{
				{Name: "zerossl", Email: "zero@example.com", ACMEOptions: certs.ACMEOptions{
					Directory: "https://acme.zerossl.com/v2/DV90", Keys: []string{"p256"},
					Challenges: []certs.ChallengeOptions{{
						Type:               "dns-01",
						ACMEDNS:            certs.ACMEDNS{Server: "https://auth.acme-dns.io", Accounts: "/etc/headgate/acme-dns.json"},
						PropagationTimeout: 2 * time.Minute, TTL: time.Minute,
					}},
				}},
				{Name: "hook", ACMEOptions: certs.ACMEOptions{
					Directory: certs.DefaultDirectory, Keys: []string{"p256"},
					Challenges: []certs.ChallengeOptions{{
						Type: "dns-01", Command: []string{"/usr/local/bin/dns-hook", "--zone", "example.com"},
						PropagationTimeout: 2 * time.Minute, TTL: time.Minute,
					}},
				}},
			},
			OnDemand:     certs.OnDemandOptions{Ask: "pool://secure/tls/allowed", Rate: 5},
			ECH:          certs.ECHOptions{PublicName: "ech.example.com"},
			Certificates: []certs.Pair{{Cert: "/etc/ssl/a.pem", Key: "/etc/ssl/a.key"}},
		},
		Admin:   config.Admin{Socket: "/run/user/7/headgate.sock", Operators: []string{"10.1.0.0/16"}},
		Metrics: "[::1]:9145",
		Tracing: tracing.Options{
			Endpoint: "http://127.0.0.1:4318", Headers: tracing.Headers{"x-key": "secret"}, ServiceName: "edge",
			Attributes: map[string]string{"zone": "a"}, Sampler: "traceidratio", SampleRatio: 0.25,
			Timeout: 3 * time.Second, CA: "/etc/ssl/otel.pem",
		},
		Log:   accesslog.Options{Access: "/var/log/headgate/access.log", Format: "json", Level: "debug"},
		Grace: time.Minute,
		Limits: config.Limits{
			HeaderBytes: 32 * config.KiB, Headers: 50, URIBytes: 8192, Route: global,
			HeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
			BodyMemory: 64000, ResponseMemory: 2 * config.MiB, ResponseFile: config.Off,
			Connections: 20000, ClientConnections: 100,
		},
		Cache: cache.StoreOptions{Memory: 32 * config.MiB, Dir: "/var/cache/headgate", Disk: 5 * config.GiB, Large: 256 * config.KiB},
		Pools: map[string]config.Pool{
			"secure": {
				Members:  []config.Member{{Address: "app.internal:3031"}, {Address: "[::1]:3031"}},
				Protocol: "suwsgi",
				UWSGI: uwsgi.Options{
					Dialect: uwsgi.DialectUWSGI, Modifier1: 5,
					Vars:           map[string]string{"COUNT": "3", "DEBUG": "true", "EMPTY": "", "TEXT": "${plain}"},
					ConnectTimeout: time.Second, ResponseTimeout: 5 * time.Minute,
					TLS: uwsgi.TLSOptions{Enabled: true, CA: "/etc/ssl/ca.pem", ServerName: "app.internal", Cert: "/etc/ssl/client.pem", Key: "/etc/ssl/client.key"},
				},
				Upstream: upstream.Options{
					Balance: upstream.Balance{Rule: upstream.RoundRobin}, Slots: 8,
					Queue: upstream.QueueOptions{Limit: 10, Timeout: 1500 * time.Millisecond},
					Retry: upstream.RetryOptions{Attempts: 1},
				}.WithDefaults(),
				DNS: dns.Options{MaxTTL: 30 * time.Second},
			}, "asgi": {
				Members:  []config.Member{{Address: "10.0.0.7:8000", Weight: 2, Slots: 4, Backup: true}, {Address: "srv:_http._tcp.asgi.internal"}},
				Protocol: "http",
				UWSGI:    uwsgi.Options{ConnectTimeout: 5 * time.Second, ResponseTimeout: time.Minute},
				DNS:      dns.Options{MaxTTL: 20 * time.Second},
				Upstream: upstream.Options{
					Balance:   upstream.Balance{Hash: `request.cookie["session"]`},
					Queue:     upstream.QueueOptions{Fairness: upstream.FairOff},
					Retry:     upstream.RetryOptions{Timeout: 7 * time.Second, Budget: 10},
					Eject:     upstream.EjectOptions{Failures: -1, Time: 3 * time.Second},
					SlowStart: -1,
					Check: upstream.CheckOptions{
						Path: "/healthz", Host: "example.com", Interval: 9 * time.Second, Timeout: time.Second, Status: 204, Rise: 3, Fall: 4,
					},
				}.WithDefaults(),
			}, "pinned": {
				Members:  []config.Member{{Address: "unix:/run/pinned.sock", Stats: "unix:/run/pinned-stats.sock"}, {Address: "unix:/run/pinned2.sock"}},
				Protocol: "uwsgi",
				Stats:    "unix:/run/stats.sock",
				UWSGI:    uwsgi.Options{ConnectTimeout: 5 * time.Second, ResponseTimeout: time.Minute},
				DNS:      dns.Options{MaxTTL: 30 * time.Second},
				Upstream: upstream.Options{
					Balance: upstream.Balance{Sticky: upstream.Sticky{Cookie: "member", Secret: "sixteen bytes at least"}},
					Check:   upstream.CheckOptions{Ping: true},
				}.WithDefaults(),
			}, "hashed": {
				Members:  []config.Member{{Address: "unix:/run/hashed.sock"}},
				Protocol: "uwsgi",
				UWSGI:    uwsgi.Options{ConnectTimeout: 5 * time.Second, ResponseTimeout: time.Minute},
				DNS:      dns.Options{MaxTTL: 30 * time.Second},
				Upstream: upstream.Options{Balance: upstream.Balance{Rule: upstream.IPHash}}.WithDefaults(),
			}, "started": started(worker.Options{
				App: "shop.wsgi:application", Chdir: "/srv/shop", Server: python.Builtin, Venv: "/srv/shop/venv",
				Env: map[string]string{"DEBUG": "1"}, User: "shop:www", Processes: 3, Threads: 2, Min: 2, Max: 8, Idle: 10 * time.Minute,
				MaxRequests: 1000, MaxRSS: 512 * config.MiB, Start: 20 * time.Second, Stop: 10 * time.Second, Flags: []string{"--quiet"},
			}), "watched": started(worker.Options{App: ".", Watch: true}),
			"command":   started(worker.Options{Command: []string{"uwsgi", "--ini", "/etc/uwsgi/a.ini"}}),
			"vassal":    started(worker.Options{Ini: "/etc/uwsgi/b.ini"}),
			"announced": announced(),
		},
		Subscriptions: subscribe.Options{
			Listen: []string{"udp:127.0.0.1:2626"},
			Allow: []subscribe.Rule{
				{From: []string{"10.0.0.0/8"}, Keys: []string{".example.com"}, Addresses: []string{"10.0.0.0/8"}, Modifiers: []int{0, 5}},
				{Users: []string{"www-data"}, Unsigned: true},
			},
			Sign:   subscribe.Sign{Keys: "/etc/headgate/subscribers", Digest: "sha512", Window: 30 * time.Second},
			Expire: 20 * time.Second, MaxKeys: 100, MaxNodes: 10,
		},
		Apps: "/etc/headgate/apps",
		Sites: []config.Site{
			{
				Hosts: []string{"*.example.com", "example.com"}, HTTP: "redirect", Limits: limits,
				TLS: certs.SiteOptions{
					Issuer: []string{"hook"}, MinVersion: "1.2",
					ClientAuth: certs.ClientAuth{CA: "/etc/ssl/clients.pem", Mode: "request", Depth: -1, CRL: "/etc/ssl/clients.crl", Certificate: true},
				},
				Routes: []config.Route{
					{Path: "=/favicon.ico", Respond: &config.Respond{Status: 404, Body: "none", Type: "text/html"}, RequestBody: "spool", Retry: "idempotent", Limits: limits},
					{Path: "~^/u/[0-9]+$", Redirect: &config.Redirect{To: "/users", Status: 302}, RequestBody: "spool", Retry: "idempotent", Limits: limits},
					{Mount: "/api", Pool: "secure", RequestBody: "stream", Retry: "idempotent", Limits: api},
					{Path: "/app/", Pool: "asgi", RequestBody: "spool", Priority: upstream.PriorityHigh, Retry: "safe", Limits: limits},
					{Path: "/pinned/", Pool: "pinned", RequestBody: "spool", Retry: "idempotent", Priority: upstream.PriorityLow, Limits: limits},
					{Path: "/hashed/", Pool: "hashed", RequestBody: "spool", Retry: "idempotent", Limits: limits},
				},
			},
			{HTTP: "serve", Limits: global, Routes: []config.Route{{Pool: "secure", RequestBody: "spool", Retry: "idempotent", Limits: global}}},
		},
	}
	c.Sites = c.Sites[:2] // TestEveryFilter and TestEveryAction have the third
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("full.yaml differs (-want +got):\n%s", diff)
	}
}

// TestFullHasEveryKey fails when a key is added that no test sets.
func TestFullHasEveryKey(t *testing.T) {
	c, err := config.Load("testdata/ok/full.yaml", environ)
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	var walk func(where string, v reflect.Value)
	walk = func(where string, v reflect.Value) {
		for t, same := range map[reflect.Type]string{ // the same keys wherever they are
			reflect.TypeFor[certs.ACMEOptions](): ".TLS.ACME",
			reflect.TypeFor[config.Route]():      ".Route",
			reflect.TypeFor[config.Filters]():    ".Filters",
			reflect.TypeFor[headers.Changes]():   ".Changes",
			reflect.TypeFor[headers.Value]():     ".Value",
		} {
			if v.Type() == t {
				where = same
			}
		}
		set[where] = set[where] || !v.IsZero()
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(where, v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(where+"[]", v.Index(i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				walk(where+".*", v.MapIndex(key))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.Tag.Get("yaml") != "-" && f.IsExported() {
					walk(where+"."+f.Name, v.Field(i))
				}
			}
		}
	}
	walk("", reflect.ValueOf(*c))
	for key, ok := range set {
		if !ok && !strings.HasSuffix(key, ".*") {
			t.Errorf("full.yaml does not set %s", key)
		}
	}
}

func TestMarshalRoundTrip(t *testing.T) {
	files, _ := filepath.Glob("testdata/ok/*.yaml")
	for _, file := range files {
		c, err := config.Load(file, environ)
		if err != nil {
			t.Fatal(err)
		}
		back := parse(t, string(config.MarshalAll(c)))
		c.Warnings, back.Warnings = nil, nil
		if diff := cmp.Diff(c, back); diff != "" {
			t.Errorf("%s: Parse(Marshal(c)) differs (-want +got):\n%s\n%s", file, diff, c.Marshal())
		}
		if c.Hash() != back.Hash() {
			t.Errorf("%s: the hash of what was marshalled differs", file)
		}
	}
}

func TestMarshalDefaults(t *testing.T) {
	got := string(parse(t, strings.Replace(minimal, "sites:", "admin: {socket: /run/h.sock}\ntls: {storage: file:/srv}\nsites:", 1)).Marshal())
	golden := "testdata/defaults.yaml"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("defaults differ (-want +got):\n%s", diff)
	}
}

func TestMarshalHidesKeys(t *testing.T) {
	c := parse(t, minimal+"tracing: {endpoint: \"http://127.0.0.1:4318\", headers: {authorization: tops3cret}}\n")
	if out := string(c.Marshal()); strings.Contains(out, "tops3cret") || !strings.Contains(out, "authorization") {
		t.Errorf("Marshal shows the key, or not its name:\n%s", out)
	}
	other := parse(t, minimal+"tracing: {endpoint: \"http://127.0.0.1:4318\", headers: {authorization: other}}\n")
	if c.Hash() == other.Hash() {
		t.Error("the hash does not see that a key changed")
	}
}

func TestHash(t *testing.T) {
	a := parse(t, minimal)
	b := parse(t, "# said otherwise\nsites: [{routes: [{pool: web}]}]\npools: {web: {members: [{address: \"unix:/run/app.sock\"}]}}\nlisten: {http: [\":80\"]}\nlimits: {body: 104857600}\ngrace: 0.5m\n")
	if a.Hash() != b.Hash() {
		t.Errorf("two spellings of one configuration have two hashes:\n%s\n%s", a.Marshal(), b.Marshal())
	}
	if c := parse(t, minimal+"grace: 31s\n"); a.Hash() == c.Hash() {
		t.Error("a change of grace does not change the hash")
	}
}

func TestVariables(t *testing.T) {
	c := parse(t, `
listen: {http: "${ADDRESS}"}
grace: ${TIME}
limits: {headers: "${NUMBER}", idle_timeout: "${UNSET:-8s}", header_timeout: "${EMPTY:-9s}"}
pools:
  web: {members: ["unix:${UNSET:-/run}/app.sock"], vars: {A: "$${NUMBER} $NUMBER ${NUMBER}$", B: "${INJECT}"}}
sites: [{hosts: ["${HOST}"], routes: [{pool: "w${UNSET:-}eb"}]}]
`)
	if c.Listen.HTTP[0] != ":80" || c.Grace != 7*time.Second || c.Limits.Headers != 50 {
		t.Errorf("address %q, grace %v, headers %d", c.Listen.HTTP[0], c.Grace, c.Limits.Headers)
	}
	if c.Limits.IdleTimeout != 8*time.Second || c.Limits.HeaderTimeout != 9*time.Second {
		t.Errorf("defaults gave %v and %v, want 8s and 9s", c.Limits.IdleTimeout, c.Limits.HeaderTimeout)
	}
	vars := c.Pools["web"].UWSGI.Vars
	want := map[string]string{"A": "${NUMBER} $NUMBER 50$", "B": "x, C: y}"}
	if diff := cmp.Diff(want, vars); diff != "" {
		t.Errorf("vars differ (-want +got):\n%s", diff)
	}
}

func TestAnchors(t *testing.T) {
	c := parse(t, `
listen: {http: ":80"}
pools:
  a: &base {members: ["unix:/run/a.sock"], slots: 4, retry: {attempts: 2}}
  b: {<<: *base, members: ["unix:/run/b.sock"]}
sites:
  - hosts: [a.localhost]
    routes: &routes [{path: /b/, pool: b}, {pool: a}]
  - hosts: [b.localhost]
    routes: *routes
`)
	b := c.Pools["b"]
	if b.Members[0].Address != "unix:/run/b.sock" || b.Upstream.Slots != 4 || b.Upstream.Retry.Attempts != 2 {
		t.Errorf("merged pool = %+v", b)
	}
	if len(c.Sites[1].Routes) != 2 {
		t.Errorf("aliased routes = %+v", c.Sites[1].Routes)
	}
}

func TestAliasBomb(t *testing.T) {
	text := "listen: {http: \":80\"}\npools: {web: {members: [\"unix:/run/app.sock\"]}}\nsites:\n" +
		"  - &s\n    routes:\n      - &r {path: /a, pool: web}\n" + strings.Repeat("      - *r\n", 2000) + strings.Repeat("  - *s\n", 2000)
	_, err := config.Parse("bomb.yaml", []byte(text), nil)
	if err == nil || !strings.Contains(err.Error(), "aliases repeat too much") {
		t.Errorf("Parse = %.200v, want it to stop at the aliases", err)
	}
}

func TestRedirectIsTheDefaultOnlyWithTLS(t *testing.T) {
	if got := parse(t, minimal).Sites[0].HTTP; got != "serve" {
		t.Errorf("without https: http = %q, want serve", got)
	}
	tls := strings.Replace(minimal, `":80"`, `":80", https: ":443"`, 1)
	if got := parse(t, tls).Sites[0].HTTP; got != "redirect" {
		t.Errorf("with https: http = %q, want redirect", got)
	}
	none := tls + "tls: {issuer: none, certificates: [{cert: /a.pem, key: /a.key}]}\n"
	if got := parse(t, none).Sites[0].HTTP; got != "serve" {
		t.Errorf("with issuer none: http = %q, want serve", got)
	}
}

func TestWarnings(t *testing.T) {
	c := parse(t, `listen: {http: ":80"}
tls: {certificates: [{cert: /a.pem, key: /a.key}]}
pools:
  web: {members: ["unix:/run/app.sock"]}
  spare: {members: ["unix:/run/spare.sock"]}
sites:
  - hosts: [a.localhost]
    routes:
      - {path: /a/, pool: web}
      - {path: /a/, respond: {status: 404}}
      - pool: web
      - {path: /b/, pool: web}
`)
	want := `headgate.yaml:2:21: tls.certificates are never shown: nothing listens for https (set listen.https)
headgate.yaml:5:3: pool "spare" is not used by any route
headgate.yaml:10:9: site "a.localhost": route 2 is never reached: route 1 has the same match (remove it)
headgate.yaml:12:9: site "a.localhost": route 4 is never reached: route 3 takes everything (move it up)`
	if diff := cmp.Diff(want, c.Warnings.Error()); diff != "" {
		t.Errorf("warnings differ (-want +got):\n%s", diff)
	}
}

func TestConfigInGo(t *testing.T) {
	c := &config.Config{
		Listen: config.Listen{HTTP: []string{":80"}},
		Pools:  map[string]config.Pool{"app": {Members: []config.Member{{Address: "unix:/run/app.sock"}}}},
		Sites:  []config.Site{{Routes: []config.Route{{Pool: "app"}}}},
	}
	c.SetDefaults()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	hash := c.Hash()
	c.SetDefaults()
	if c.Hash() != hash {
		t.Error("a second SetDefaults changes the Config")
	}
	c.Sites[0].Routes[0].Pool = "ap"
	want := `site 1: pool "ap" is not defined (did you mean "app"?)`
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate = %v, want %s", err, want)
	}
}

func TestBOMAndCRLF(t *testing.T) {
	c := parse(t, "\ufeff"+strings.ReplaceAll(minimal, "\n", "\r\n"))
	if len(c.Pools) != 1 {
		t.Errorf("pools = %v", c.Pools)
	}
	_, err := config.Parse("f", []byte("\ufefflisen: 1\r\n"), nil)
	if err == nil || !strings.HasPrefix(err.Error(), "f:1:1: ") {
		t.Errorf("Parse = %v, want an error at 1:1", err)
	}
}

// started is a pool with workers, and no more.
func started(o worker.Options) config.Pool {
	o = o.WithDefaults()
	p := usual()
	p.Workers = &o
	return p
}

func announced() config.Pool {
	p := usual()
	p.Subscriptions = true
	return p
}

// usual is a pool of which the file says nothing.
func usual() config.Pool {
	return config.Pool{
		Protocol: "uwsgi", UWSGI: uwsgi.Options{ConnectTimeout: 5 * time.Second, ResponseTimeout: time.Minute},
		DNS: dns.Options{MaxTTL: 30 * time.Second}, Upstream: upstream.Options{}.WithDefaults(),
	}
}

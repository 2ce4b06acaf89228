package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"headgate/gateway/cache"
	"headgate/gateway/config"
	"headgate/gateway/files"
	"headgate/gateway/filter/access"
	"headgate/gateway/filter/compress"
	"headgate/gateway/filter/headers"
	"headgate/gateway/filter/limit"
	"headgate/gateway/notation"
)

func full(t *testing.T) config.Site {
	t.Helper()
	c, err := config.Load("testdata/ok/full.yaml", environ)
	if err != nil {
		t.Fatal(err)
	}
	return c.Sites[2]
}

func TestEveryFilter(t *testing.T) {
	want := config.Filters{
		Access: &access.Options{Allow: []string{"10.0.0.0/8", "::1"}, Deny: []string{"10.6.6.6"}},
		RateLimit: []limit.Rate{{
			Rate: notation.Rate{Events: 100, Per: 10 * time.Second}, Key: `request.header["x-key"]`,
			Burst: 50, Delay: 2 * time.Second, Store: "redis://cache:6379/1", Name: "all",
		}},
		InFlight:    []limit.InFlight{{Limit: 50, Key: "client.ip"}},
		BasicAuth:   &access.BasicAuth{File: "/etc/headgate/users", Realm: "Shop"},
		ForwardAuth: &config.ForwardAuth{On: notation.On, Pool: "secure", Path: "/auth", Headers: []string{"X-User", "X-Groups"}, Timeout: 3 * time.Second},
		ClientCert:  "required",
		CrossOrigin: &access.CrossOrigin{On: notation.On, Trusted: []string{"https://admin.example.com"}},
		BodyTypes:   []string{"image/*", "application/json"},
		Headers: &headers.Options{
			Request: headers.Changes{
				Remove: []string{"X-Debug-*"},
				Set:    map[string]headers.Value{"X-Edge": {Text: "1"}},
				Add:    map[string]headers.Value{"X-Proto": {CEL: "request.proto"}},
			},
			Response: headers.Changes{
				Remove: []string{"Server", "X-Powered-By"},
				Set:    map[string]headers.Value{"X-Served-By": {Text: "headgate"}},
				Add:    map[string]headers.Value{"X-Who": {CEL: "client.cert.subject"}},
			},
		},
		Security: "strict",
		CORS: &headers.CORS{
			Origins: []string{"https://admin.example.com"}, Methods: []string{"PUT"}, Headers: []string{"X-Token"},
			Expose: []string{"X-Total"}, Credentials: true, MaxAge: time.Hour,
		},
		Timing: notation.On,
		Compress: &compress.Options{
			On: notation.On, Codings: []string{"br", "gzip"}, Types: []string{"text/*", "application/json"},
			MinSize: 2 * config.KiB, Level: "best", Padding: notation.Disabled,
		},
		Cache: &cache.Options{
			On: notation.On, Key: `request.header["authorization"]`, Query: []string{"page", "q"},
			TTL:     []cache.TTL{{For: 5 * time.Minute, Status: []int{200, 301, 404}}, {For: time.Hour, Status: []int{301}, Force: true}},
			Private: true, Reload: notation.Disabled,
			StaleWhileRevalidate: 30 * time.Second, StaleIfError: time.Hour, MaxBody: config.MiB, Lock: 2 * time.Second,
		},
		Bandwidth: &limit.Bandwidth{Rate: config.MiB, After: 512 * config.KiB},
		Errors: map[string]config.ErrorPage{
			"404": {Path: "/404.html"},
			"500": {Template: "/srv/errors/500.html"},
			"5xx": {File: "/srv/errors/5xx.html", App: true},
			"4xx": {Pool: "secure", Path: "/error"},
		},
		Maintenance: &config.Maintenance{
			On: notation.Disabled, Flag: "/run/headgate/maintenance", When: "now.getHours() == 3", Allow: []string{"10.0.0.0/8"},
			Except: `request.path.startsWith("/health")`, RetryAfter: 10 * time.Minute, File: "/srv/errors/maintenance.html",
		},
	}
	got := full(t)
	if diff := cmp.Diff(want, got.Filters); diff != "" {
		t.Errorf("the filters of the site differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, got.Routes[0].Filters); diff != "" {
		t.Errorf("its first route says nothing, but its filters differ (-want +got):\n%s", diff)
	}
}

func TestEveryFilterOff(t *testing.T) {
	off := full(t).Routes[2].Filters
	if off.RateLimit == nil || off.InFlight == nil || off.BodyTypes == nil || off.Errors == nil || off.Access == nil || off.Headers == nil || off.CORS == nil {
		t.Errorf("what is off is as if it were not said: %+v", off)
	}
	want := config.Filters{Maintenance: &config.Maintenance{On: notation.Disabled, RetryAfter: 5 * time.Minute}}
	if diff := cmp.Diff(want, off.Active()); diff != "" {
		t.Errorf("of a route that says off to everything, this is active (-want +got):\n%s", diff)
	}
}

func TestEveryAction(t *testing.T) {
	want := []config.Route{
		{
			Path: "/hashed/", Pool: "hashed", Sendfile: []string{"/srv/reports"}, RequestBody: "spool", Retry: "idempotent",
			Mirror: &config.Mirror{Pool: "secure", Percent: 10},
		},
		{
			Path: "~^/v[0-9]+/(?P<rest>.*)$", When: `client.ip in ["10.0.0.0/8"]`, Method: []string{"GET", "POST"},
			Rewrite: &config.Rewrite{Path: "/$rest", Query: "$query"}, RequestBody: "spool", Retry: "idempotent",
		},
		{
			Path: "/static/", RequestBody: "spool", Retry: "idempotent",
			Files: &files.Options{
				Root: "/srv/static", Try: []string{"$path", "$path.html", "=404"}, Index: []string{"index.html", "index.htm"},
				Listing: true, Hidden: true, Precompressed: []string{"br"}, Manifest: "staticfiles.json",
				Immutable: 24 * time.Hour, MaxAge: 10 * time.Minute, Types: map[string]string{".wasm": "application/wasm"}, Memory: config.MiB,
			},
		},
		{Path: "/inner/", Internal: true, Respond: &config.Respond{Status: 200, File: "/srv/inner.html"}, RequestBody: "spool", Retry: "idempotent"},
		{
			Path: "/new/", RequestBody: "spool", Retry: "idempotent",
			Split: &config.Split{Cookie: "canary", Pools: []config.Share{{Pool: "secure", Weight: 9}, {Pool: "asgi", Weight: -1}}},
			Routes: []config.Route{
				{
					Path: "/new/login", Method: []string{"POST"}, RequestBody: "spool", Retry: "idempotent",
					Split: &config.Split{Cookie: "canary", Pools: []config.Share{{Pool: "secure", Weight: 9}, {Pool: "asgi", Weight: -1}}},
				},
				{
					Path: "/new/x/", RequestBody: "spool", Retry: "idempotent", Files: new(files.Options{Root: "/srv/x"}.WithDefaults()),
					Split: &config.Split{Cookie: "headgate_split", Pools: []config.Share{{Pool: "secure", Weight: 1}, {Pool: "asgi", Weight: 1}}},
				},
			},
		},
	}
	got := full(t)
	ignore := cmpopts.IgnoreFields(config.Route{}, "Filters", "Limits")
	if diff := cmp.Diff(want, got.Routes, ignore); diff != "" {
		t.Errorf("the routes differ (-want +got):\n%s", diff)
	}
	login := got.Routes[4].Routes[0].Filters
	if diff := cmp.Diff([]limit.InFlight{{Limit: 2, Key: "client.cert.serial"}}, login.InFlight); diff != "" {
		t.Errorf("in_flight of the route within differs (-want +got):\n%s", diff)
	}
	rates := []limit.Rate{{Rate: notation.Rate{Events: 5, Per: time.Minute}, Key: "client.ip", Store: "local", Name: "files.example.com/new/login"}}
	if diff := cmp.Diff(rates, login.RateLimit); diff != "" {
		t.Errorf("rate_limit of the route within differs (-want +got):\n%s", diff)
	}
}

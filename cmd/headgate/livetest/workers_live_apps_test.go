package livetest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// troupe is one gateway with many pools of workers: each app on each server. Which of
// them a request is for its header says, so that all else is the same for all.
type troupe struct {
	*crew
	servers []string // the first one is that which the others are compared with
	apps    []string
}

// troupeServers are those that there are, and the environment that each needs.
// gunicorn is there when HEADGATE_TEST_GUNICORN names one, such as
// "env PYTHONPATH=/src/gunicorn python3 -m gunicorn".
func troupeServers() (names []string, env map[string]string) {
	names, env = []string{"uwsgi", "builtin"}, map[string]string{}
	command := os.Getenv("HEADGATE_TEST_GUNICORN")
	for _, word := range strings.Fields(command) {
		if path, ok := strings.CutPrefix(word, "PYTHONPATH="); ok {
			env["gunicorn"] = ", PYTHONPATH: " + path
		}
	}
	if command != "" {
		names = append(names, "gunicorn")
	}
	return names, env
}

// troupeApps are the apps, and where they are.
var troupeApps = [][3]string{
	{"echo", "echo:application", "../../../deploy/examples/echo"},
	{"shop", "shop.wsgi:application", "../../../deploy/examples/django"},
	{"blog", "blog:app", "../../../deploy/examples/flask"},
	{"valid", "valid:application", "testdata/workers_live"},
	{"httpbin", "httpbin.core:app", "testdata/workers_live"},
}

// startTroupe starts them all.
func startTroupe(t *testing.T) *troupe {
	t.Helper()
	need(t, "uwsgi")
	if _, _, code := run(t, "/usr/bin/python3", "-c", "import django, flask, httpbin"); code != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("no Django, Flask or httpbin")
		}
		t.Skip("no Django, Flask or httpbin")
	}
	w := &troupe{}
	var env map[string]string
	w.servers, env = troupeServers()
	var pools, routes strings.Builder
	for _, a := range troupeApps {
		w.apps = append(w.apps, a[0])
		for _, server := range w.servers {
			name := fmt.Sprintf("%s-%s-%d", server, a[0], os.Getpid())
			fmt.Fprintf(&pools, "  %s:\n    workers: {app: %q, chdir: %q, server: %s, processes: 1, threads: 4, env: {SHOP_HOSTS: %s, SHOP_SECRET_KEY: xyz%s}}\n",
				name, a[1], absolute(t, a[2]), server, host, env[server])
			fmt.Fprintf(&routes, "      - {when: 'request.header[\"x-pool\"] == \"%s-%s\"', pool: %s, headers: {request: {remove: X-Pool}}}\n", server, a[0], name)
		}
	}
	w.crew = &crew{dir: shortDir(t), conf: crewConf{}}
	w.gateway = &gateway{certificate: newCertificate(t), file: w.dir + "/headgate.yaml", admin: w.dir + "/admin.sock"}
	write(t, w.file, fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
tls: {issuer: none, certificates: [{cert: %q, key: %q}]}
admin: {socket: %q}
log: {access: off}
pools:
%ssites:
  - hosts: [%s]
    http: serve
    routes:
%s`, w.cert, w.key, w.admin, pools.String(), host, routes.String()))
	w.start(t)
	return w
}

// ask makes one request of one app on one server.
func (w *troupe) ask(t *testing.T, client *http.Client, server, app string, r *http.Request) reply {
	t.Helper()
	r = r.Clone(t.Context())
	if r.GetBody != nil {
		r.Body, _ = r.GetBody() // one of a string
	}
	r.Header.Set("X-Pool", server+"-"+app)
	resp, err := client.Do(r)
	if err != nil {
		t.Errorf("%s: %s %s: %v", server, r.Method, r.URL, err)
		return reply{header: http.Header{}}
	}
	a, err := wholeReply(resp)
	if err != nil {
		t.Errorf("%s: %s %s: status %d, and in the body: %v", server, r.Method, r.URL, resp.StatusCode, err)
	}
	return a
}

// wholeReply reads an answer to its end.
func wholeReply(resp *http.Response) (reply, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b)}, err
}

// each runs f for every protocol, with a client for it.
func (w *troupe) each(t *testing.T, f func(t *testing.T, p protocol, client *http.Client)) {
	t.Helper()
	for _, p := range []protocol{h1s, h2, h3} {
		client := w.client(t, p)
		t.Run(string(p), func(t *testing.T) {
			t.Parallel() // some answers take their time
			f(t, p, client)
		})
	}
}

// TestWorkersApps: the examples, httpbin, and an app that wsgiref.validate looks
// after, on each of the servers, over each of the protocols. The answers are the same,
// and so is what the app sees, but for what is listed.
func TestWorkersApps(t *testing.T) {
	w := startTroupe(t)
	t.Run("environ", w.testEnviron)
	t.Run("answers", w.testAnswers)
	t.Run("upload", w.testUpload)
}

func (w *troupe) testEnviron(t *testing.T) {
	w.each(t, func(t *testing.T, p protocol, client *http.Client) {
		for _, c := range calls {
			if c = c.filled(); c.only1 || c.method == http.MethodHead {
				continue
			}
			var want environ
			for _, server := range w.servers {
				var e environ
				r := c.request(t, p)
				if body := c.body; body != "" {
					r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(io.MultiReader(strings.NewReader(body))), nil }
				}
				a := w.ask(t, client, server, "echo", r)
				if err := json.Unmarshal([]byte(a.body), &e); err != nil {
					t.Errorf("%s: %s: status %d: %.300s", c.name, server, a.status, a.body)
					continue
				}
				dialects[server](t, e)
				if server == w.servers[0] {
					want = e
				} else if d := cmp.Diff(known(server, want), e); d != "" {
					t.Errorf("%s: %s (-) and %s (+) differ:\n%s", c.name, w.servers[0], server, d)
				}
			}
		}
	})
}

// dialects is the whole list of what an app sees on one server and not on all. Each
// makes of the environ what is the same on all of them.
var dialects = map[string]func(t *testing.T, e environ){
	"uwsgi": common,
	"builtin": func(t *testing.T, e environ) {
		wantKeys(t, e, "wsgi.input_terminated") // nobody needs to count what is left of a body
		common(t, e)
	},
	// gunicorn takes few of the variables, and none of those that say more than the request line.
	"gunicorn": func(t *testing.T, e environ) {
		wantKeys(t, e, "wsgi.input_terminated", "SERVER_SOFTWARE", "SERVER_PORT", "SERVER_PROTOCOL", "RAW_URI")
		if e["REMOTE_ADDR"] != "" {
			t.Errorf("REMOTE_ADDR is %v: gunicorn has learned it", e["REMOTE_ADDR"])
		}
		name, _ := e["SERVER_NAME"].(string)
		e["SERVER_NAME"] = strings.ToLower(name) // of Host, as it is
		for _, key := range gunicornLacks {
			if _, ok := e[key]; ok && key != "REMOTE_ADDR" {
				t.Errorf("%s is there: gunicorn has learned it", key)
			}
			delete(e, key)
		}
		e["REMOTE_PORT"] = ""
		common(t, e)
	},
}

// known is what of an environ the app sees on a server.
func known(server string, e environ) environ {
	if server != "gunicorn" {
		return e
	}
	e = maps.Clone(e)
	for _, key := range append(gunicornLacks, "SERVER_PORT", "SERVER_PROTOCOL") {
		delete(e, key)
	}
	return e
}

// gunicornLacks are those that it does not show.
var gunicornLacks = []string{"HTTPS", "REQUEST_SCHEME", "REQUEST_URI", "UWSGI_SCHEME", "REMOTE_ADDR", "REMOTE_PORT"}

// common takes away what is of this request alone.
func common(t *testing.T, e environ) {
	t.Helper()
	wantKeys(t, e, "HTTP_X_REQUEST_ID", "REMOTE_PORT")
}

// wantKeys takes away what must be there, whatever its value.
func wantKeys(t *testing.T, e environ, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, ok := e[key]; !ok {
			t.Errorf("no %s", key)
		}
		delete(e, key)
	}
}

// answers are what is asked of the apps: app, method, target, body.
var troupeCalls = [][4]string{
	{"httpbin", "GET", "/get?a=1&b=%20"},
	{"httpbin", "POST", "/post", "a=1&b=2"},
	{"httpbin", "PUT", "/put", "c=3"},
	{"httpbin", "PATCH", "/patch", "x"},
	{"httpbin", "DELETE", "/delete"},
	{"httpbin", "HEAD", "/get"},
	{"httpbin", "OPTIONS", "/get"},
	{"httpbin", "GET", "/status/418"},
	{"httpbin", "GET", "/status/204"},
	{"httpbin", "GET", "/status/304"},
	{"httpbin", "GET", "/status/503"},
	{"httpbin", "GET", "/headers"},
	{"httpbin", "GET", "/ip"},
	{"httpbin", "GET", "/user-agent"},
	{"httpbin", "GET", "/stream/5"},
	{"httpbin", "GET", "/gzip"},
	{"httpbin", "GET", "/deflate"},
	{"httpbin", "GET", "/encoding/utf8"},
	{"httpbin", "GET", "/image/png"},
	{"httpbin", "GET", "/cookies"},
	{"httpbin", "GET", "/cookies/set?a=1&b=2"},
	{"httpbin", "GET", "/cookies/delete?a="},
	{"httpbin", "GET", "/redirect-to?url=http%3A%2F%2Fexample.com%2F&status_code=307"},
	{"httpbin", "GET", "/redirect/3"},
	{"httpbin", "GET", "/absolute-redirect/2"},
	{"httpbin", "GET", "/delay/1"},
	{"httpbin", "GET", "/drip?duration=0.3&numbytes=5&delay=0"},
	{"httpbin", "GET", "/range/100"},
	{"httpbin", "GET", "/range/1000?chunk_size=10"},
	{"httpbin", "GET", "/basic-auth/a/b"},
	{"httpbin", "GET", "/etag/x"},
	{"httpbin", "GET", "/cache"},
	{"httpbin", "GET", "/response-headers?X-A=1&X-A=2"},
	{"httpbin", "GET", "/base64/aGVsbG8%3D"},
	{"httpbin", "GET", "/links/3/0"},
	{"httpbin", "GET", "/anything/a%2Fb/%C3%A9?c"},
	{"httpbin", "POST", "/anything", strings.Repeat("x", 70000)},
	{"httpbin", "GET", "/forms/post"},
	{"httpbin", "GET", "/html"},
	{"httpbin", "GET", "/nothing"},
	{"httpbin", "GET", "/robots.txt"},
	{"shop", "GET", "/upload/"},
	{"shop", "HEAD", "/upload/"},
	{"shop", "GET", "/download/100000"},
	{"shop", "HEAD", "/download/100000"},
	{"shop", "GET", "/nothing"},
	{"shop", "GET", "/upload"},
	{"shop", "POST", "/upload/", "no token"},
	{"shop", "PUT", "/download/1", "x"},
	{"blog", "GET", "/"},
	{"blog", "GET", "/post/first"},
	{"blog", "HEAD", "/post/first"},
	{"blog", "GET", "/post/none"},
	{"blog", "POST", "/", "x"},
	{"valid", "GET", "/a?b=c"},
	{"valid", "GET", "/?counted"},
	{"valid", "HEAD", "/"},
	{"valid", "HEAD", "/?counted"},
	{"valid", "POST", "/caf%C3%A9", "hello"},
	{"valid", "DELETE", "/"},
	{"valid", "GET", ""},
}

func (w *troupe) testAnswers(t *testing.T) {
	w.each(t, func(t *testing.T, p protocol, client *http.Client) {
		for _, c := range troupeCalls {
			app, method, target, body := c[0], c[1], c[2], c[3]
			var want reply
			for _, server := range w.servers {
				r, err := http.NewRequestWithContext(t.Context(), method, p.url(target), strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("X-Request-Id", "the-same")
				r.Header.Set("Cookie", "a=1")
				a := plain(w.ask(t, client, server, app, r))
				if server == w.servers[0] {
					want = a
					if a.status >= 500 && !strings.Contains(target, fmt.Sprint(a.status)) {
						t.Errorf("%s %s: %s: status %d: %.300s", method, target, server, a.status, a.body)
					}
				} else if d := cmp.Diff(want, a, cmp.AllowUnexported(reply{})); d != "" {
					t.Errorf("%s %s: %s (-) and %s (+) differ:\n%s", method, target, w.servers[0], server, d)
				}
			}
		}
	})
}

// changing are parts of bodies that differ with each request.
var changing = regexp.MustCompile(`name="csrfmiddlewaretoken" value="[^"]*"|You came over HTTP/[.0-9]*`) // gunicorn says 1.1

// plain takes away what differs with each request.
func plain(a reply) reply {
	a.header = a.header.Clone()
	for _, name := range []string{"Date", "Last-Modified", "Etag"} { // of /cache
		if a.header.Get(name) != "" {
			a.header.Set(name, "is there")
		}
	}
	if a.body != "" { // which has its length, whether the gateway has seen the end of a short one at once or not
		a.header.Del("Content-Length")
	}
	if allow := strings.Split(a.header.Get("Allow"), ", "); len(allow) > 1 { // of a set
		slices.Sort(allow)
		a.header.Set("Allow", strings.Join(allow, ", "))
	}
	if a.header.Get("Server") == "gunicorn" { // which says so
		a.header.Del("Server")
	}
	if a.header.Get("Set-Cookie") != "" && strings.HasPrefix(a.header.Get("Set-Cookie"), "csrftoken=") {
		a.header.Set("Set-Cookie", "csrftoken")
	}
	a.body = changing.ReplaceAllString(a.body, "")
	return a
}

// testUpload sends Django a file, with its token.
func (w *troupe) testUpload(t *testing.T) {
	w.each(t, func(t *testing.T, p protocol, client *http.Client) {
		for _, server := range w.servers {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url("/upload/"), nil)
			if err != nil {
				t.Fatal(err)
			}
			form := w.ask(t, client, server, "shop", r)
			token := regexp.MustCompile(`csrfmiddlewaretoken" value="([^"]+)"`).FindStringSubmatch(form.body)
			if token == nil {
				t.Errorf("%s: status %d: %.300s", server, form.status, form.body)
				continue
			}
			var b bytes.Buffer
			m := multipart.NewWriter(&b)
			_ = m.WriteField("csrfmiddlewaretoken", token[1]) // into memory
			part, _ := m.CreateFormFile("file", "café.bin")
			content := bytes.Repeat([]byte("headgate"), 100_000)
			_, _ = part.Write(content)
			m.Close()
			if r, err = http.NewRequestWithContext(t.Context(), http.MethodPost, p.url("/upload/"), &b); err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", m.FormDataContentType())
			r.Header.Set("Referer", p.url("/upload/"))
			r.Header.Set("Cookie", strings.SplitN(form.header.Get("Set-Cookie"), ";", 2)[0])
			a := w.ask(t, client, server, "shop", r)
			if a.status != http.StatusOK || !strings.Contains(a.body, fmt.Sprintf("%x", sha256.Sum256(content))) {
				t.Errorf("%s: status %d: %.500s", server, a.status, a.body)
			}
		}
	})
}

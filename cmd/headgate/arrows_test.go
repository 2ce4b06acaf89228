package main

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows are the rooms of the house and what each may import of ours. A line
// more here is a decision about the architecture, not a formality.
var arrows = map[string][]string{
	"cmd/headgate": {
		"gateway", "gateway/accesslog", "gateway/admin", "gateway/apps", "gateway/config", "gateway/files", "gateway/filter/access", "gateway/filter/limit/redis", "gateway/stats", "gateway/tracing",
		"tls/acme", "tls/certs", "tls/storage", "upstream/worker", "upstream/worker/process", "upstream/worker/python",
	},
	"gateway": {
		"gateway/accesslog", "gateway/cache", "gateway/coding", "gateway/config", "gateway/expression", "gateway/files",
		"gateway/filter/access", "gateway/filter/compress", "gateway/filter/headers", "gateway/filter/limit", "gateway/forwarded",
		"gateway/h1", "gateway/h2", "gateway/h3", "gateway/notation", "gateway/proxyproto", "gateway/relay", "gateway/socket", "gateway/stats", "gateway/tracing", "gateway/wire",
		"routing", "tls/certs", "upstream", "upstream/dns", "upstream/origin", "upstream/subscribe", "upstream/uwsgi", "upstream/worker",
	},
	"gateway/apps":      {"gateway/config", "upstream/worker/process"}, // users of files
	"gateway/forwarded": {"gateway/wire"},
	"gateway/h1":        {"gateway/socket", "gateway/wire"},
	"gateway/h2":        {"gateway/goroutines", "gateway/socket", "gateway/wire"},
	"gateway/h3":        {"gateway/goroutines", "gateway/wire"},
	"gateway/config": {
		"gateway/accesslog", "gateway/cache", "gateway/expression", "gateway/files", "gateway/filter/access", "gateway/filter/compress",
		"gateway/filter/headers", "gateway/filter/limit", "gateway/notation", "gateway/spelling", "gateway/tracing",
		"routing", "tls/certs", "upstream", "upstream/dns", "upstream/subscribe", "upstream/uwsgi", "upstream/worker",
	},
	"gateway/expression":         {"gateway/spelling"},
	"gateway/cache":              {"gateway/conditional", "gateway/notation", "gateway/wire"},
	"gateway/coding":             {"gateway/wire"},
	"gateway/conditional":        {"gateway/wire"},
	"gateway/files":              {"gateway/coding", "gateway/conditional", "gateway/notation", "gateway/wire"},
	"gateway/filter/access":      {"gateway/notation", "gateway/wire"},
	"gateway/filter/compress":    {"gateway/coding", "gateway/notation", "gateway/wire"},
	"gateway/filter/headers":     {"gateway/expression", "gateway/wire"},
	"gateway/filter/limit":       {"gateway/expression", "gateway/notation", "gateway/wire"},
	"gateway/filter/limit/redis": {"gateway/filter/limit"},
	"gateway/admin":              {"gateway/stats"},
	"tls/acme":                   {"tls/certs"},
	"upstream/dns":               {"upstream"},
	"upstream/subscribe":         {"upstream", "upstream/uwsgi"},
	"upstream/worker":            {"gateway/notation", "upstream", "upstream/worker/process", "upstream/worker/python", "upstream/worker/watch"}, // sizes are written as everywhere
	"upstream/worker/python":     {"upstream/worker/builtin"},

	// Leaves import nothing of ours.
	"gateway/accesslog":       nil,
	"gateway/goroutines":      nil,
	"gateway/notation":        nil,
	"gateway/proxyproto":      nil,
	"gateway/relay":           nil,
	"gateway/socket":          nil,
	"gateway/spelling":        nil,
	"gateway/stats":           nil,
	"gateway/tracing":         nil,
	"gateway/wire":            nil,
	"routing":                 nil,
	"tls/certs":               nil,
	"tls/storage":             nil,
	"upstream":                nil,
	"upstream/origin":         nil,
	"upstream/uwsgi":          nil,
	"upstream/worker/builtin": nil,
	"upstream/worker/process": nil,
	"upstream/worker/watch":   nil,

	// For tests and measurements: no other package may import them, see below.
	"cmd/benchtool":            nil,
	"cmd/headgate/livetest":    nil,
	"gateway/gatewaytest":      {"gateway", "gateway/accesslog", "gateway/config", "gateway/stats", "tls/certs", "tls/storage"},
	"tls/acme/pebbletest":      nil,
	"upstream/uwsgi/uwsgitest": {"upstream/uwsgi"},
}

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Module     *struct {
		Path string
		Main bool
	}
}

func (p pkg) ours() bool { return p.Module != nil && p.Module.Main }

// forTests reports whether a package exists only for tests and measurements.
func (p pkg) forTests() bool {
	return strings.HasSuffix(p.ImportPath, "test") || p.ImportPath == "headgate/cmd/benchtool"
}

// list returns our packages and everything they import, by path.
func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Module", "headgate/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	all := make(map[string]pkg)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func TestArrowsPointDown(t *testing.T) {
	all := list(t)
	for _, path := range slices.Sorted(maps.Keys(all)) {
		p := all[path]
		if !p.ours() {
			continue
		}
		room := strings.TrimPrefix(path, "headgate/")
		may, known := arrows[room]
		if !known {
			t.Errorf("%s has no place among the arrows: say what it may import", room)
		}
		for _, to := range p.Imports {
			q := all[to]
			if !q.ours() {
				continue
			}
			if !slices.Contains(may, strings.TrimPrefix(to, "headgate/")) {
				t.Errorf("%s imports %s, which no arrow allows", room, to)
			}
			if q.forTests() {
				t.Errorf("%s imports %s, which is for tests", room, to)
			}
		}
	}
	for room := range arrows {
		if _, ok := all["headgate/"+room]; !ok {
			t.Errorf("%s is among the arrows and does not exist", room)
		}
	}
}

// shared are the libraries that more than one package imports, by decision.
var shared = map[string][]string{
	// Names of socket options that package syscall does not have, epoll, and the terminal.
	"golang.org/x/sys": {
		"headgate/cmd/headgate", "headgate/gateway", "headgate/gateway/apps", "headgate/gateway/socket", "headgate/upstream/origin",
		"headgate/upstream/subscribe", "headgate/upstream/worker", "headgate/upstream/worker/process", "headgate/upstream/worker/watch",
	},
	// Single files that are certificates, whose links are followed; and whole trees.
	"github.com/fsnotify/fsnotify": {"headgate/tls/certs", "headgate/upstream/worker/watch"},
	// Hashes of passwords, and OCSP: they have nothing in common.
	"golang.org/x/crypto": {"headgate/gateway/filter/access", "headgate/tls/certs"},
	// Each has its own script and its own patience: 50 ms for a rate, seconds for a lock.
	"github.com/redis/go-redis/v9": {"headgate/gateway/filter/limit/redis", "headgate/tls/storage"},
	// A module of many libraries: upstream/dns has its DNS messages, gateway/h2 its
	// HPACK, and gateway/h3 the Huffman code of strings, which HPACK and QPACK share.
	"golang.org/x/net": {"headgate/gateway/h2", "headgate/gateway/h3", "headgate/upstream/dns"},
	// tls/storage has its Storage interface, which is a contract and no code;
	// tls/acme uses its DNS-01 solver. Neither uses what the other does.
	"github.com/caddyserver/certmagic": {"headgate/tls/acme", "headgate/tls/storage"},
}

// TestOnePackageImportsEachLibrary: what changes in a library is met in one place.
func TestOnePackageImportsEachLibrary(t *testing.T) {
	all := list(t)
	users := make(map[string][]string)
	for path, p := range all {
		if !p.ours() || p.forTests() {
			continue
		}
		for _, to := range p.Imports {
			if m := all[to].Module; m != nil && !m.Main && !slices.Contains(users[m.Path], path) {
				users[m.Path] = append(users[m.Path], path)
			}
		}
	}
	for library, by := range users {
		slices.Sort(by)
		if len(by) > 1 && !slices.Equal(by, shared[library]) {
			t.Errorf("%s is imported by %s: one of them should wrap it", library, strings.Join(by, " and "))
		}
	}
}

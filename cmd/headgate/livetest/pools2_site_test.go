package livetest_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// poolsConf is what a test says of pools and routes, in YAML.
type poolsConf struct {
	pools  string // lines of block style
	routes string // in flow style
}

// startSite runs the binary with them.
func startSite(t testing.TB, s poolsConf) *gateway {
	t.Helper()
	return startSiteBy(t, s)
}

// startSiteBy is startSite with words before the command.
func startSiteBy(t testing.TB, s poolsConf, before ...string) *gateway {
	t.Helper()
	dir := shortDir(t)
	g := &gateway{certificate: newCertificate(t), file: filepath.Join(dir, "headgate.yaml"), admin: filepath.Join(dir, "admin.sock")}
	g.write(t, s)
	g.process = start(t, dir, accepts("unix", g.admin), append(before, headgate, "run", "-c", g.file)...)
	g.learn(t)
	return g
}

// write makes the configuration.
func (g *gateway) write(t testing.TB, s poolsConf) {
	t.Helper()
	var pools strings.Builder
	for line := range strings.Lines(s.pools) {
		pools.WriteString("  " + line)
	}
	write(t, g.file, fmt.Sprintf(`listen: {http: "127.0.0.1:0", https: "127.0.0.1:0"}
tls: {issuer: none, certificates: [{cert: %q, key: %q}]}
admin: {socket: %q}
log: {access: "off"}
pools:
%s
sites:
  - {hosts: [%s], http: serve, routes: [%s]}
`, g.cert, g.key, g.admin, pools.String(), host, s.routes))
}

// poolStatus is what headgate status says of a pool.
type poolStatus struct {
	Name        string
	Queued      int
	Retries     int
	PausedUntil string `json:"paused_until"`
	Members     []memberStatus
}

type memberStatus struct {
	Address, State, Cause, Known string
	Slots, Limit                 int
	Share                        float64
	Requests                     int
	InFlight                     int `json:"in_flight"`
}

// pool asks the gateway how a pool fares.
func (g *gateway) pool(t testing.TB, name string) poolStatus {
	t.Helper()
	stdout, stderr, code := run(t, headgate, "status", "--json", "--socket", g.admin)
	var status struct{ Pools []poolStatus }
	if err := json.Unmarshal([]byte(stdout), &status); err != nil || code != 0 {
		t.Fatalf("headgate status: exit code %d, %v: %s", code, err, stderr)
	}
	for _, p := range status.Pools {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("headgate status tells nothing of the pool %s", name)
	return poolStatus{}
}

// member returns what is known of the one at address; the zero value if it is none.
func (p poolStatus) member(address string) memberStatus {
	for _, m := range p.Members {
		if m.Address == address {
			return m
		}
	}
	return memberStatus{}
}

// startMember runs testdata/member.py on uWSGI at a socket.
func startMember(t testing.TB, socket, name string, nap float64, options ...string) *app {
	t.Helper()
	return startAppAt(t, socket, append([]string{
		"--wsgi-file", absolute(t, "testdata/member.py"),
		"--env", "NAME=" + name, "--env", fmt.Sprint("NAP=", nap), "--env", "RUNS=" + runsOf(socket), "--env", "MOOD=" + moodOf(socket),
	}, options...)...)
}

// runsOf and moodOf are the files that a member at a socket has beside it.
func runsOf(socket string) string { return filepath.Join(filepath.Dir(socket), "runs") }
func moodOf(socket string) string { return socket + ".mood" }

package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"headgate/gateway/config"
	"headgate/gateway/files"
	"headgate/upstream/worker"
	"headgate/upstream/worker/process"
	"headgate/upstream/worker/python"
)

// upPool is the name of the one pool.
const upPool = "app"

// watchedProcesses bounds the processes while files are watched: a developer's machine
// has other things to do, and many processes start late.
const watchedProcesses = 4

// watch reports whether changed files start new workers.
func (f *upFlags) watch() bool { return f.command == nil && !f.noWatch }

// workers makes of the flags what a file would say of workers.
func (f *upFlags) workers() (worker.Options, error) {
	o := worker.Options{
		App: f.app, Command: f.command, Chdir: f.chdir, Venv: f.venv, User: f.user,
		Idle: f.idle, Watch: f.watch(), MaxRequests: f.maxRequests,
	}
	if f.command == nil {
		o.Threads = f.threads
	}
	errs := []error{
		oneOf("tls", f.tls, "auto", "internal", "none"),
		oneOf("protocol", f.protocol, "", config.ProtocolUWSGI, config.ProtocolHTTP, config.ProtocolH2C),
	}
	if err := o.Server.UnmarshalText([]byte(f.server)); err != nil {
		errs = append(errs, fmt.Errorf("--server: %w", err))
	}
	switch {
	case f.processes != "":
		if err := o.Processes.UnmarshalText([]byte(f.processes)); err != nil {
			errs = append(errs, fmt.Errorf("--processes: %w", err))
		}
	case f.watch():
		o.Processes = worker.Count(min(2*runtime.GOMAXPROCS(0), watchedProcesses))
	}
	for _, e := range f.env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			errs = append(errs, fmt.Errorf("--env: %q is not NAME=VALUE", e))
			continue
		}
		if o.Env == nil {
			o.Env = map[string]string{}
		}
		o.Env[name] = value
	}
	for _, n := range []struct {
		flag  string
		value int
		least int
	}{{"threads", f.threads, 1}, {"max-requests", f.maxRequests, 0}, {"idle", int(f.idle), 0}} {
		if n.value < n.least {
			errs = append(errs, fmt.Errorf("--%s: %v is too little", n.flag, n.value))
		}
	}
	return o, errors.Join(errs...)
}

// oneOf refuses a word that a flag does not know.
func oneOf(flag, word string, words ...string) error {
	if slices.Contains(words, word) {
		return nil
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	last := len(words) - 1
	return fmt.Errorf("--%s: %q is not known: write %s or %s", flag, word, strings.Join(words[:last], ", "), words[last])
}

// request is what is asked of those who find apps.
func (f *upFlags) request(o worker.Options) (python.Request, error) {
	r := python.Request{
		App: o.App, Command: o.Command, Dir: o.Chdir, Server: o.Server, Venv: o.Venv, Env: o.Env,
		Processes: int(o.Processes), Threads: o.Threads, MaxRequests: o.MaxRequests,
	}
	if o.User == "" || os.Geteuid() != 0 {
		return r, nil
	}
	u, err := process.LookUpUser(o.User)
	if err != nil {
		return r, fmt.Errorf("--user: %w", err)
	}
	r.User = &python.User{UID: u.UID, GID: u.GID, Groups: u.Groups, Name: u.Name, Home: u.Home}
	return r, nil
}

// config makes of the flags, the addresses that were chosen and what was found what a
// file would say.
func (f *upFlags) config(l upListen, static []python.Static) (*config.Config, error) {
	o, err := f.workers()
	if err != nil {
		return nil, usageError{err}
	}
	c := &config.Config{
		Metrics: f.metrics, Admin: config.Admin{Socket: f.socket},
		Listen: config.Listen{HTTP: l.http, HTTPS: l.https},
		Pools:  map[string]config.Pool{upPool: {Workers: &o, Protocol: cmp.Or(f.protocol, f.guessProtocol())}},
	}
	c.TLS.Issuer, c.TLS.Storage = []string{f.issuer(l)}, f.storage
	site := config.Site{Hosts: f.host}
	for _, s := range static {
		if info, err := os.Stat(s.Dir); err == nil && info.IsDir() {
			site.Routes = append(site.Routes, config.Route{Path: s.URL, Files: &files.Options{Root: s.Dir}, Pool: upPool})
		}
	}
	site.Routes = append(site.Routes, config.Route{Pool: upPool})
	c.Sites = []config.Site{site}
	c.SetDefaults()
	if err := c.Validate(); err != nil {
		return nil, usageError{hintError{err, "as flags: listen.http is --http, listen.https --https, tls.issuer --tls, tls.storage --storage, the site's hosts --host, and what is below workers has flags of its own"}}
	}
	return c, nil
}

func (f *upFlags) guessProtocol() string {
	if f.command != nil && speaksHTTP(f.command) {
		return config.ProtocolHTTP
	}
	return config.ProtocolUWSGI
}

// issuer is who makes certificates: no public authority can look at an address that
// only this machine reaches, and none knows a name when no host is said.
func (f *upFlags) issuer(l upListen) string {
	if f.tls == "auto" && (len(f.host) == 0 || l.local()) {
		return "internal"
	}
	return f.tls
}

// upListen are the addresses of headgate up.
type upListen struct{ http, https []string }

// local reports whether only this machine reaches them.
func (l upListen) local() bool {
	for _, a := range append(append([]string{}, l.http...), l.https...) {
		host, _, err := net.SplitHostPort(a)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// url is where a browser on this machine finds the app.
func (l upListen) url(hosts []string) string {
	scheme, usual, address := "http", "80", ""
	switch {
	case len(l.https) > 0:
		scheme, usual, address = "https", "443", l.https[0]
	case len(l.http) > 0:
		address = l.http[0]
	}
	host, port, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	for _, h := range hosts {
		if !strings.HasPrefix(h, "*") {
			host = h
			break
		}
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != usual {
		host += ":" + port
	}
	return scheme + "://" + host + "/"
}

// shortPath is a path as a person in dir would write it.
func shortPath(dir, path string) string {
	if rel, err := filepath.Rel(dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

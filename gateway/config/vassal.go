package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"headgate/upstream/worker"
)

// ParseVassal reads an ini file of uWSGI as its Emperor takes it; file is its path.
// What is in its section [uwsgi] goes to the uwsgi command as it is: only the hosts
// (subscribe2, subscribe-to), the number of processes and threads, and what static-map
// serves are taken from it, and what cannot work here is an error. A section [headgate],
// which uWSGI does not read, says the rest: hosts, static = URL=DIRECTORY, idle, user,
// and the keys of sites and pools, such as compress = on or queue.limit = 100. A
// subscribe2 goes on announcing the app to whom it names, which does no harm.
//
// Errors are of type Errors, as those of ParseApp.
func ParseVassal(file string, data []byte) (*Fragment, error) {
	if err := checkApp(file, data); err != nil {
		return nil, Errors{err}
	}
	text := strings.ToValidUTF8(string(data), "\uFFFD")
	v := &vassal{k: newFragmentReader(file, text, nil), file: file, dir: filepath.Dir(file), keys: headgateKeys()}
	if abs, err := filepath.Abs(file); err == nil {
		v.file = abs
	}
	v.k.f.Vassal = new(Vassal)
	if at, msg, hint := v.read(text); msg != "" {
		v.k.r.add(&v.k.r.errs, at, path{}, msg, hint)
		return nil, v.k.errors()
	}
	v.refuse()
	v.k.read(v.tree())
	return v.k.finish()
}

// vassal is an ini file that is read.
type vassal struct {
	k        *fragmentReader
	file     string // absolute
	dir      string
	keys     map[string]string // of the section [headgate]
	at       place             // of the section [uwsgi]
	uwsgi    []iniEntry        // its options, in their order, with what is in loops repeated
	headgate []iniEntry
	grown    int  // by loops and variables, in bytes
	unknown  bool // some options are in other files, or depend on what only uWSGI knows
}

// tree is the file as if it were the YAML of an app.
func (v *vassal) tree() *node {
	root := mapAt(v.at)
	workers := root.sub("workers", v.at)
	workers.put("ini", v.at, textAt(filepath.Base(v.k.f.File), v.at))
	routes := &node{kind: listNode, at: v.at}
	routes.items = v.ownStatic()
	for _, e := range v.headgate {
		v.put(root, workers, e)
	}
	v.count(workers, "processes", "processes", "workers")
	v.count(workers, "threads", "threads", "async", "gevent", "asyncio", "fiber", "tornado", "ugreen")
	v.user()
	if root.get("hosts") == nil {
		v.subscribed(root)
	}
	maps := v.staticMaps()
	v.k.f.Vassal.Static = len(maps)
	routes.items = append(append(maps, routes.items...), mapAt(v.at))
	root.put("routes", v.at, routes)
	return root
}

// count takes a number of uWSGI's for what is said of the workers. Without one of
// these options it is 1, if there are no others than those of the file. What the
// section [headgate] says counts more.
func (v *vassal) count(workers *node, key string, options ...string) {
	if workers.get(key) != nil {
		return
	}
	n, at, said := 1, v.at, !v.unknown
	for _, e := range v.uwsgi {
		if slices.Contains(options, e.key) {
			i, err := strconv.Atoi(e.value)
			n, at, said = i, e.valueAt, err == nil && !e.perhaps
		}
	}
	if most := map[string]int{"processes": worker.MostProcesses, "threads": worker.MostThreads}[key]; said && n >= 1 && n <= most {
		workers.put(key, at, textAt(strconv.Itoa(n), at))
	}
}

// user notes whom uWSGI would become.
func (v *vassal) user() {
	uid, gid := "", ""
	for _, e := range v.uwsgi {
		switch e.key {
		case "uid":
			uid = e.value
		case "gid":
			gid = e.value
		}
	}
	if uid != "" && gid != "" {
		uid += ":" + gid
	}
	v.k.f.Vassal.User = uid
}

// refuse reports options that cannot work with somebody else looking after the
// processes, and warns of those that do something else than they did.
func (v *vassal) refuse() {
	all := troubles()
	for _, e := range v.uwsgi {
		t, ok := all[e.key]
		if !ok || t.unless != nil && t.unless(e.value) {
			continue
		}
		to := &v.k.r.warnings
		if t.fatal {
			to = &v.k.r.errs
		}
		v.k.r.add(to, e.keyAt, path{}, "[uwsgi]: "+e.key+" "+t.msg, t.hint)
	}
}

// trouble is what is wrong with an option of uWSGI's here.
type trouble struct {
	fatal     bool
	msg, hint string
	unless    func(value string) bool // it has no such value
}

func troubles() map[string]trouble {
	background := trouble{fatal: true, msg: "sends uWSGI into the background, where nobody can look after it", hint: "remove it; for a log of its own write logto2 = FILE"}
	front := trouble{msg: "opens a web server of uWSGI's own beside Headgate", hint: "remove it; the hosts of the app are served here, over HTTP/2 and HTTP/3 too"}
	return map[string]trouble{
		"daemonize": background, "daemonize2": background,
		"emperor": {fatal: true, msg: "makes an Emperor of the app", hint: "name its directory in headgate.yaml: apps: DIRECTORY"},
		"zerg":    {fatal: true, msg: "takes the sockets of another instance, and the workers get theirs from Headgate", hint: "remove it"},
		"protocol": {
			fatal: true, msg: "makes its sockets speak something else than uwsgi, also the one that Headgate talks to", hint: "remove it",
			unless: func(v string) bool { return v == "uwsgi" },
		},
		"http": front, "https": front, "https2": front, "http-socket": front, "https-socket": front, "httprouter": front,
		"fastrouter": front, "rawrouter": front, "sslrouter": front, "sslrouter2": front,
		"master": {
			msg: "is off, and workers that end would not come back", hint: "remove it: it is on here",
			unless: func(v string) bool { return !isOffForUWSGI(v) },
		},
		"die-on-idle": {msg: "ends a uWSGI that would be started again at once", hint: "write idle = 10m in a section [headgate], and remove idle and die-on-idle here"},
		"chroot":      {msg: "needs root, and workers do not run as root", hint: "remove it"},
	}
}

// isOffForUWSGI reports whether an option with this value is off.
func isOffForUWSGI(value string) bool {
	return slices.Contains([]string{"false", "off", "no", "0"}, strings.ToLower(value))
}

// put adds what the section [headgate] says to the tree.
func (v *vassal) put(root, workers *node, e iniEntry) {
	first, _, _ := strings.Cut(e.key, ".")
	switch in, ok := v.keys[first]; {
	case e.key == "static":
	case e.key == "hosts" || e.key == "host":
		list := root.sub("hosts", e.keyAt)
		list.kind = listNode
		for _, host := range strings.FieldsFunc(e.value, isListSeparator) {
			list.items = append(list.items, textAt(host, e.valueAt))
		}
	case !ok:
		v.noKey(e)
	case in == "workers":
		v.set(workers, e)
	case in == "pool":
		v.set(root.sub("pool", e.keyAt), e)
	default:
		v.set(root, e)
	}
}

func isListSeparator(r rune) bool { return r == ',' || r == ' ' || r == '\t' }

// set puts a value where its key, a.b.c, says. A key that is repeated is a list.
func (v *vassal) set(n *node, e iniEntry) {
	names := strings.Split(e.key, ".")
	if e.key[:min(4, len(e.key))] == "env." || e.key[:min(5, len(e.key))] == "vars." { // whose names may have dots
		names = strings.SplitN(e.key, ".", 2)
	}
	if len(names) > maxDepth {
		v.noKey(e)
		return
	}
	for _, name := range names[:len(names)-1] {
		n = n.sub(name, e.keyAt)
	}
	name, value := names[len(names)-1], textAt(e.value, e.valueAt)
	switch old := n.get(name); {
	case n.kind != mapNode || old != nil && old.kind == mapNode:
		v.k.r.add(&v.k.r.errs, e.keyAt, path{}, fmt.Sprintf("[headgate]: %s is said both with and without keys below it", quoteShort(e.key)), "keep one of the two")
	case old == nil:
		n.put(name, e.keyAt, value)
	case old.kind == listNode:
		old.items = append(old.items, value)
	default:
		first := *old
		*old = node{kind: listNode, at: old.at, items: []*node{&first, value}}
	}
}

// noKey reports a key that the section [headgate] does not have.
func (v *vassal) noKey(e iniEntry) {
	known := []string{"hosts", "static"}
	for name := range v.keys {
		known = append(known, name)
	}
	hint := ""
	if len(v.k.r.errs) < maxErrors {
		hint = didYouMean(e.key, known)
	}
	switch {
	case hint != "":
	case e.key == "routes" || e.key == "workers" || e.key == "pool":
		hint = "write the app as " + v.k.f.Name + ".yaml, with workers: {ini: FILE}"
	default:
		hint = "known here are hosts, static, idle, user, and the keys of sites and pools, such as http, compress and queue.limit"
	}
	v.k.r.add(&v.k.r.errs, e.keyAt, path{}, "[headgate]: unknown key "+quoteShort(e.key), hint)
}

// headgateKeys are the keys of the section [headgate], with what they belong to. What
// is said in two places is of the site.
func headgateKeys() map[string]string {
	out := map[string]string{}
	for _, f := range poolFields() {
		out[f] = "pool"
	}
	for _, f := range siteFields() {
		out[f] = "site"
	}
	for _, f := range []string{"idle", "user", "processes", "threads", "env", "start_timeout", "stop_timeout", "watch", "chdir"} {
		out[f] = "workers"
	}
	return out
}

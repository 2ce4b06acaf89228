package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// subscribed takes the hosts that the file announces to a subscription server.
func (v *vassal) subscribed(root *node) {
	list, seen := &node{kind: listNode}, map[string]bool{}
	for _, e := range v.uwsgi {
		key := ""
		switch e.key {
		case "subscribe2":
			key = subscribe2Key(e.value)
		case "subscribe-to", "subscribe", "st":
			key = subscribeToKey(e.value)
		default:
			continue
		}
		host, ok := hostOfKey(key)
		if !ok {
			v.k.r.add(&v.k.r.warnings, e.valueAt, path{}, fmt.Sprintf("[uwsgi]: %s: the key %s is no host name", e.key, quoteShort(key)), "write hosts = NAME in a section [headgate]")
			continue
		}
		if !seen[host] {
			seen[host] = true
			list.items = append(list.items, textAt(host, e.valueAt))
		}
	}
	if len(list.items) > 0 {
		list.at = list.items[0].at
		root.put("hosts", list.at, list)
	}
}

// subscribe2Key is the key of server=ADDRESS,key=KEY,...
func subscribe2Key(value string) string {
	for part := range strings.SplitSeq(value, ",") {
		if name, key, _ := strings.Cut(part, "="); strings.TrimSpace(name) == "key" {
			return strings.TrimSpace(key)
		}
	}
	return ""
}

// subscribeToKey is the key of [=NUMBER=]ADDRESS:KEY[,...], where ADDRESS is a host
// and a port or the path of a socket.
func subscribeToKey(value string) string {
	if rest, ok := strings.CutPrefix(value, "="); ok {
		_, value, _ = strings.Cut(rest, "=")
	}
	value, _, _ = strings.Cut(value, ",")
	_, key, _ := strings.Cut(value, ":")
	if !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "@") {
		_, key, _ = strings.Cut(key, ":")
	}
	return key
}

// hostOfKey is the host of a key, which may have a port or a path after it, or a dot
// before it for all names below it.
func hostOfKey(key string) (string, bool) {
	host, _, _ := strings.Cut(key, "/")
	host, _, _ = strings.Cut(host, ":")
	if strings.HasPrefix(host, ".") {
		host = "*" + host
	}
	return host, hostFault(host) == ""
}

// staticMaps are routes for static-map, where uWSGI looks for a file before it asks
// the app. What is not found goes to uWSGI, which looks again, so that all it does
// beyond that holds; with options that say more of it, uWSGI serves the files alone.
func (v *vassal) staticMaps() (routes []*node) {
	index := textAt("off", v.at)
	for _, e := range v.uwsgi {
		switch {
		case e.key == "static-index":
			if index.kind != listNode {
				index = &node{kind: listNode, at: e.valueAt}
			}
			index.items = append(index.items, textAt(e.value, e.valueAt))
		case slices.Contains([]string{"static-map", "static-map2", "static-gzip", "static-gzip-all", "static-gzip-dir", "static-gzip-prefix"}, e.key):
		case strings.HasPrefix(e.key, "static-"), strings.HasPrefix(e.key, "route"), e.key == "check-static":
			return nil
		}
	}
	seen := map[string]bool{}
	for _, e := range v.uwsgi {
		if e.key != "static-map" && e.key != "static-map2" || e.perhaps {
			continue
		}
		prefix, dir, ok := v.staticMap(e)
		if !ok || seen[prefix] || e.key == "static-map" && filepath.Ext(prefix) != "" { // one file
			continue
		}
		seen[prefix] = true
		t := v.filesAt(prefix, dir, e)
		files := t.get("files")
		files.put("index", e.keyAt, index)
		t.put("pool", e.keyAt, textAt(v.k.f.Name, e.valueAt))
		routes = append(routes, t)
	}
	return routes
}

// staticMap reads /prefix=DIRECTORY.
func (v *vassal) staticMap(e iniEntry) (prefix, dir string, ok bool) {
	prefix, dir, ok = strings.Cut(e.value, "=")
	prefix, dir = strings.TrimSuffix(strings.TrimSpace(prefix), "/"), strings.TrimSpace(dir)
	if !ok || !strings.HasPrefix(prefix, "/") || dir == "" || strings.ContainsAny(prefix+dir, "%$\x00") {
		return "", "", false
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(v.chdir(), dir)
	}
	if e.key == "static-map2" {
		dir = filepath.Join(dir, prefix)
	}
	return prefix, dir, true
}

// chdir is where uWSGI goes before it serves.
func (v *vassal) chdir() string {
	dir := v.dir
	for _, e := range v.uwsgi {
		if e.key == "chdir" && filepath.IsAbs(e.value) {
			dir = e.value
		}
	}
	return dir
}

// ownStatic are routes for the static of the section [headgate].
func (v *vassal) ownStatic() (routes []*node) {
	for _, e := range v.headgate {
		if e.key != "static" {
			continue
		}
		prefix, dir, ok := v.staticMap(e)
		if !ok {
			v.k.r.add(&v.k.r.errs, e.valueAt, path{}, fmt.Sprintf("[headgate]: static: %s does not say which directory is where", quoteShort(e.value)), "write it like static = /static=/srv/"+v.k.f.Name+"/static")
			continue
		}
		routes = append(routes, v.filesAt(prefix, dir, e))
	}
	return routes
}

// filesAt is a route that serves a directory.
func (v *vassal) filesAt(prefix, dir string, e iniEntry) *node {
	t := mapAt(e.keyAt)
	t.put("path", e.keyAt, textAt(prefix+"/", e.valueAt))
	files := mapAt(e.keyAt)
	files.put("root", e.keyAt, textAt(dir, e.valueAt))
	t.put("files", e.keyAt, files)
	return t
}

package config

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"headgate/gateway/spelling"
	"headgate/upstream/worker"
)

// maxApp is how long the file of an app may be.
const maxApp = 1 << 20

// ParseApp reads the YAML file of an app; file is its path, of which the name of the
// app and its host are taken, and env looks up variables as in Parse. Whatever can be
// known to be wrong without the rest of the configuration is an error of type Errors;
// Merge finds the rest.
func ParseApp(file string, data []byte, env func(string) (string, bool)) (*Fragment, error) {
	if err := checkApp(file, data); err != nil {
		return nil, Errors{err}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	k := newFragmentReader(file, string(data), env)
	root, faults := parseYAML(data)
	k.r.src.broken = len(faults) > 0
	for _, f := range faults {
		k.r.add(&k.r.errs, f.at, path{}, f.msg, k.r.envHint(f))
	}
	if root == nil {
		if len(faults) == 0 {
			k.r.add(&k.r.errs, place{}, path{}, "nothing to serve: the file says nothing", "begin with hosts: and workers:")
		}
		return nil, k.errors()
	}
	k.read(root)
	return k.finish()
}

// checkApp looks at the file as a whole.
func checkApp(file string, data []byte) *Error {
	name := FragmentName(file)
	switch {
	case len(data) > maxApp:
		return &Error{File: file, Msg: fmt.Sprintf("is longer than %s", Size(maxApp)), Hint: "is it the file of an app?"}
	case !isName(name):
		return &Error{File: file, Msg: fmt.Sprintf("%s cannot be the name of an app", quoteShort(name)), Hint: "rename the file: 1 to 64 letters, digits, - _ and dots before its ending"}
	}
	return nil
}

// fragmentReader makes a Fragment of what a file says. Below it everything is where
// the whole configuration has it, pools.NAME and sites[0], so that the same rules hold.
type fragmentReader struct {
	f          *Fragment
	r          *report
	d          *decoder
	pool, site path
	app        App
}

func newFragmentReader(file, text string, env func(string) (string, bool)) *fragmentReader {
	k := &fragmentReader{f: &Fragment{Name: FragmentName(file), File: file, text: text}}
	k.r = newReport(newSource(file, []byte(text)))
	k.d = newDecoder(k.r, env)
	k.pool, k.site = k.f.paths()
	return k
}

// paths are where the pool and the site of f are.
func (f *Fragment) paths() (pool, site path) {
	return path{}.key("pools").name(f.Name), path{}.key("sites").item(0)
}

// read fills the app from the whole document.
func (k *fragmentReader) read(root *node) {
	k.r.site = k.nameOfSite(root)
	if root.kind != mapNode {
		k.r.decodeErr(root.at, path{}, "want a map, got "+root.what(), "begin with hosts: and workers:")
		return
	}
	k.r.places[k.site.id()] = span{root.at, root.at}
	fields := fieldsOf(reflect.TypeFor[App]())
	for _, e := range root.pairs {
		at := k.site.key(e.key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == e.key })
		switch {
		case i < 0:
			k.unknown(root, e, fields)
			continue
		case e.key == "workers":
			at = k.pool.key("workers")
			if _, ok := k.r.places[k.pool.id()]; !ok {
				k.r.places[k.pool.id()] = span{e.at, e.value.at}
			}
		case e.key == "pool":
			at = k.pool
		}
		k.r.places[at.id()] = span{e.at, k.d.placeOf(e)}
		k.d.value(e.value, reflect.ValueOf(&k.app).Elem().FieldByIndex(fields[i].index), at)
	}
}

// nameOfSite names the site in messages: by its first host, or by the file.
func (k *fragmentReader) nameOfSite(root *node) func(int) string {
	name := k.f.Name
	if host := root.get("hosts").first(); host != nil && host.kind == scalarNode {
		if text, _, _ := expand(host.text, k.d.env); text != "" {
			name = text
		}
	}
	return func(int) string { return name }
}

// unknown reports a key that files of apps do not have.
func (k *fragmentReader) unknown(root *node, e pair, fields []field) {
	var known []string
	for _, f := range fields {
		known = append(known, f.name)
	}
	has := func(t reflect.Type) bool {
		return slices.ContainsFunc(fieldsOf(t), func(f field) bool { return f.name == e.key })
	}
	hint := "known here are hosts, workers, pool, routes, and what else a site may say"
	switch meant := spelling.Similar(e.key, known); {
	case e.key == "uwsgi":
		k.r.fail(k.site.key("hosts")) // it is no file of ours
		hint = "write uWSGI's own options as an ini file, " + k.f.Name + ".ini"
	case e.key == "pools" || e.key == "sites" || e.key == "listen":
		k.r.fail(k.site.key("hosts"))
		hint = "it belongs to headgate.yaml; the file of an app has hosts, workers, pool and routes"
	case has(reflect.TypeFor[worker.Options]()):
		hint = fmt.Sprintf("write it within workers: workers: {%s: ...}", e.key)
	case has(reflect.TypeFor[Pool]()):
		hint = fmt.Sprintf("write it within pool: pool: {%s: ...}", e.key)
	case fromNginx()[e.key] != "":
		hint = "write " + fromNginx()[e.key]
	case meant != "":
		hint = fmt.Sprintf("did you mean %q?", meant)
		at := map[string]path{"workers": k.pool, "pool": k.pool}[meant]
		if root.get(meant) == nil && len(at.elems) > 0 {
			k.r.fail(at)
		} else if root.get(meant) == nil {
			k.r.fail(k.site.key(meant))
		}
	}
	k.r.add(&k.r.errs, e.at, k.site.key(e.key), "unknown key "+quoteShort(e.key), hint)
}

// finish completes the Fragment, checks what can be checked of it alone, and returns
// it, or all that is wrong.
func (k *fragmentReader) finish() (*Fragment, error) {
	k.joinPool()
	k.f.Pool, k.f.Site = k.app.Pool, k.app.Site
	k.hosts()
	k.routes()
	if k.f.Workers() != nil {
		k.directories(k.f.Pool.Workers)
	}
	if k.f.Pool != nil || len(k.f.Site.Routes) > 0 {
		k.f.checkAlone(k.r)
	} else if !k.r.muted(path{}) {
		k.r.add(&k.r.errs, place{1, 1}, path{}, "says nothing to run and nothing to serve", "write workers: {app: \"shop.wsgi:application\", chdir: /srv/shop}, or routes")
	}
	if len(k.r.errs) > 0 {
		return nil, k.errors()
	}
	k.f.places, k.f.secrets = k.r.places, k.r.src.secrets
	k.f.Warnings = k.f.plain(k.r.finish(k.r.warnings))
	return k.f, nil
}

func (k *fragmentReader) errors() Errors { return k.f.plain(k.r.finish(k.r.errs)) }

// joinPool makes one of workers and pool.
func (k *fragmentReader) joinPool() {
	if k.app.Workers == nil {
		return
	}
	if k.app.Pool == nil {
		k.app.Pool = new(Pool)
	}
	if k.app.Pool.Workers != nil {
		at := k.pool.key("workers")
		k.r.add(&k.r.errs, k.r.find(at), at, "workers are said twice", "keep those outside of pool")
	}
	k.app.Pool.Workers = k.app.Workers
}

// hosts takes the name of the file for the host if the file does not say one.
func (k *fragmentReader) hosts() {
	at := k.site.key("hosts")
	if len(k.f.Site.Hosts) > 0 || k.r.muted(at) {
		return
	}
	if strings.Contains(k.f.Name, ".") && hostFault(k.f.Name) == "" || k.f.Name == "localhost" {
		k.f.Site.Hosts = []string{k.f.Name}
		return
	}
	ext, cure := filepath.Ext(k.f.File), "write hosts: ["+plainHost(k.f.Name)+"]"
	if k.f.Vassal != nil {
		cure = "write hosts = " + plainHost(k.f.Name) + " in a section [headgate]"
	}
	k.r.add(&k.r.errs, k.r.find(at), at, fmt.Sprintf("has no hosts, and its name, %s, is no host name", quoteShort(k.f.Name)),
		fmt.Sprintf("%s, or name the file %s%s", cure, plainHost(k.f.Name), ext))
	k.r.fail(at)
}

// plainHost is an example of a host for an app.
func plainHost(name string) string {
	if hostFault(name) != "" {
		name = "app"
	}
	return name + ".example.com"
}

// routes sends to the app what no route says otherwise.
func (k *fragmentReader) routes() {
	if k.f.Pool == nil {
		return
	}
	if len(k.f.Site.Routes) == 0 {
		k.f.Site.Routes = []Route{{Pool: k.f.Name}}
		return
	}
	lead(k.f.Site.Routes, k.f.Name)
}

// lead sends to pool what has nothing to do, and nothing around it that does.
func lead(routes []Route, pool string) {
	for i := range routes {
		t := &routes[i]
		switch {
		case t.acts() || t.Rewrite != nil:
		case len(t.Routes) > 0:
			lead(t.Routes, pool)
		default:
			t.Pool = pool
		}
	}
}

// directories completes relative paths of workers.
func (k *fragmentReader) directories(o *worker.Options) {
	dir := filepath.Dir(k.f.File)
	if o.Ini != "" && !filepath.IsAbs(o.Ini) {
		o.Ini = filepath.Join(dir, o.Ini)
	}
	switch {
	case filepath.IsAbs(o.Chdir):
	case o.Chdir != "":
		o.Chdir = filepath.Join(dir, o.Chdir)
	case filepath.IsAbs(o.App):
		o.Chdir = filepath.Dir(o.App)
	case o.App == "" || isAppFile(o.App):
		o.Chdir = dir
	default:
		at := k.pool.keys("workers.chdir")
		k.r.check(at, k.pool.key("workers"), fmt.Sprintf("nothing says where the app %s is", quoteShort(o.App)), "write chdir: /srv/"+k.f.Name+", the directory that it is imported from")
	}
}

// isAppFile reports whether an app is named by its file, not by its module.
func isAppFile(app string) bool {
	file, _, _ := strings.Cut(app, ":")
	return strings.HasSuffix(file, ".py") || strings.Contains(file, "/")
}

// plain has the keys of the whole configuration as the file of an app writes them.
func (f *Fragment) plain(errs Errors) Errors {
	words := strings.NewReplacer("pools.NAME.workers", "workers", "pools.NAME.", "pool.", "sites[].", "")
	pool := "pools." + f.Name
	for _, e := range errs {
		if rest, ok := strings.CutPrefix(e.Path, pool+".workers"); ok {
			e.Path = "workers" + rest
		} else if rest, ok := strings.CutPrefix(e.Path, pool); ok {
			e.Path = "pool" + rest
		} else if e.Path == "sites[0]" {
			e.Path = ""
		} else {
			e.Path = strings.TrimPrefix(e.Path, "sites[0].")
		}
		if strings.HasPrefix(e.Hint, "it belongs to ") {
			e.Hint = words.Replace(e.Hint)
		}
	}
	return errs
}

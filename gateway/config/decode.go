package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"headgate/gateway/notation"
	"headgate/gateway/spelling"
	"headgate/gateway/tracing"
	"headgate/tls/certs"
	"headgate/upstream"
	"headgate/upstream/worker"
)

// maxVisits bounds what aliases of aliases can make us read.
const maxVisits = 2 * maxTokens

// decoder fills structs from nodes. It reports every fault and goes on.
type decoder struct {
	r      *report
	env    func(string) (string, bool)
	rules  map[string]rule
	homes  map[string][]string // where a key lives: its name to patterns
	secret map[string]bool     // patterns of keys that no excerpt may show
	visits int
}

func newDecoder(r *report, env func(string) (string, bool)) *decoder {
	d := &decoder{r: r, env: env, rules: rules(), homes: map[string][]string{}, secret: map[string]bool{}}
	keysOf(reflect.TypeFor[Config](), path{}, func(p path, t reflect.Type) {
		d.secret[p.pattern] = t == reflect.TypeFor[certs.Secret]() || t == reflect.TypeFor[upstream.Secret]() || t == reflect.TypeFor[tracing.Headers]() || t == reflect.TypeFor[worker.Env]()
		if len(p.elems) > 1 {
			name := p.elems[len(p.elems)-1]
			d.homes[name] = append(d.homes[name], p.pattern)
		}
	})
	return d
}

// config fills c from the whole document.
func (d *decoder) config(root *node, c *Config) {
	d.structure(root, reflect.ValueOf(c).Elem(), path{})
}

// value fills v, which can be set, from n.
func (d *decoder) value(n *node, v reflect.Value, p path) {
	if d.secret[p.pattern] {
		d.r.src.hide(n)
	}
	if d.visits++; d.visits > maxVisits {
		if d.visits == maxVisits+1 {
			d.r.decodeErr(n.at, path{}, "aliases repeat too much", "write fewer of them")
		}
		return
	}
	if n.kind == badNode {
		d.r.fail(p)
		return
	}
	if cure := d.rules[p.pattern].notMap; n.kind == mapNode && cure != "" {
		d.r.fail(p)
		d.r.decodeErr(n.at, p, "want text, got a map", cure)
		return
	}
	switch t := v.Type(); {
	case t.Kind() == reflect.Pointer:
		d.pointer(n, v, p)
	case isScalar(t):
		d.scalar(n, v, p)
	case t.Kind() == reflect.Struct:
		d.structure(n, v, p)
	case t.Kind() == reflect.Map:
		d.mapping(n, v, p)
	case t.Kind() == reflect.Slice:
		d.list(n, v, p)
	default:
		panic("config: a key of type " + t.String())
	}
}

// pointer fills v, which is nil where the file says nothing. Where off is a word, it
// is a struct that has nothing.
func (d *decoder) pointer(n *node, v reflect.Value, p path) {
	if n.kind == nullNode {
		return
	}
	canBeOff := d.rules[p.pattern].off
	if canBeOff && n.kind == mapNode && len(n.pairs) == 0 {
		d.r.decodeErr(n.at, p, "is empty", "write "+listed(d.keys(fieldsOf(v.Type().Elem()), p))+", or off")
		return
	}
	v.Set(reflect.New(v.Type().Elem()))
	if !canBeOff || !d.isOff(n) {
		d.value(n, v.Elem(), p)
	}
}

// isOff reports whether n is the word off.
func (d *decoder) isOff(n *node) bool {
	if n.kind != scalarNode {
		return false
	}
	text, _, _ := expand(n.text, d.env)
	return text == "off"
}

func (d *decoder) structure(n *node, v reflect.Value, p path) {
	fields := fieldsOf(v.Type())
	if i := slices.IndexFunc(fields, func(f field) bool { return f.short }); i >= 0 && n.kind == scalarNode {
		r, ok := d.rules[p.pattern]
		if !ok {
			r = d.rules[p.key(fields[i].name).pattern]
		}
		d.scalarBy(n, v.FieldByIndex(fields[i].index), p, r)
		d.r.places[p.key(fields[i].name).id()] = span{n.at, n.at}
		return
	}
	if n.kind == nullNode && !strings.HasSuffix(p.pattern, "[]") {
		return
	}
	if n.kind != mapNode {
		hint := ""
		if keys := d.keys(fields, p); len(keys) <= maxListed {
			hint = "its keys are " + listed(keys)
		}
		d.r.decodeErr(n.at, p, "want a map, got "+n.what(), hint)
		return
	}
	for _, e := range n.pairs {
		at := p.key(e.key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == e.key })
		switch {
		case i < 0:
			d.unknown(n, e, p, d.keys(fields, p))
		default:
			d.r.places[at.id()] = span{e.at, d.placeOf(e)}
			d.value(e.value, v.FieldByIndex(fields[i].index), at)
		}
	}
}

// placeOf is where a value stands; one that is not there stands at its key.
func (d *decoder) placeOf(e pair) place {
	if e.value.kind == nullNode {
		return e.at
	}
	return e.value.at
}

// keys are the names that the struct at p knows, those of the future included.
func (d *decoder) keys(fields []field, p path) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.name)
	}
	return out
}

// maxListed is how many keys a message lists.
const maxListed = 20

// unknown reports a key that nobody knows, with the one that was meant or the
// place where it would be known.
func (d *decoder) unknown(n *node, e pair, p path, known []string) {
	hint := ""
	if ours := fromNginx()[e.key]; ours != "" {
		hint = "write " + ours
	} else if meant := spelling.Nearest(e.key, known); meant != "" {
		hint = fmt.Sprintf("did you mean %q?", meant)
		if d.secret[p.key(meant).pattern] {
			d.r.src.hide(e.value)
		}
		if n.get(meant) == nil {
			d.r.fail(p.key(meant))
		}
	} else if homes := d.homes[e.key]; len(homes) > 0 {
		hint = "it belongs to " + readable(homes[0])
	} else if len(known) > maxListed {
		hint = "headgate schema has all the keys"
	} else if len(known) > 0 {
		hint = "known here are " + listed(known)
	}
	d.r.fail(p.key(e.key))
	d.r.add(&d.r.errs, e.at, p.key(e.key), join2(p.title(d.r.site), "unknown key "+quoteShort(e.key)), hint)
}

// fromNginx are words that people bring along, with what they write here.
func fromNginx() map[string]string {
	return map[string]string{
		"add_header":           "headers: {response: {add: {NAME: VALUE}}}",
		"alias":                "files: DIRECTORY",
		"auth_basic":           "basic_auth: FILE",
		"auth_request":         "forward_auth: {pool: NAME, path: PATH}",
		"autoindex":            "files: {root: DIRECTORY, listing: true}",
		"client_max_body_size": "limits: {body: SIZE}",
		"error_page":           "errors: {404: PATH}",
		"expires":              "files: {root: DIRECTORY, max_age: TIME}",
		"filters":              "each filter as a key of its own, such as compress: on",
		"gzip":                 "compress: on",
		"limit_conn":           "in_flight: NUMBER",
		"limit_rate":           "bandwidth: SIZE",
		"limit_req":            "rate_limit: NUMBER/s",
		"location":             "routes: [{path: PREFIX}]",
		"proxy_cache":          "cache: on",
		"proxy_pass":           "pool: NAME",
		"proxy_set_header":     "headers: {request: {set: {NAME: VALUE}}}",
		"return":               "redirect: PATH, or respond: {status: NUMBER}",
		"root":                 "files: DIRECTORY",
		"server_name":          "hosts: [NAME]",
		"static":               "files: DIRECTORY",
		"try_files":            "files: {root: DIRECTORY, try: [$path, NAME]}, and pool: NAME for the rest",
		"uwsgi_pass":           "pool: NAME",
	}
}

// readable is a pattern in the words of a person: pools.NAME.queue.limit.
func readable(pattern string) string { return strings.ReplaceAll(pattern, "*", "NAME") }

func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

func (d *decoder) mapping(n *node, v reflect.Value, p path) {
	if n.kind == nullNode {
		return
	}
	off := d.rules[p.pattern].off
	if off && d.isOff(n) {
		v.Set(reflect.MakeMap(v.Type()))
		return
	}
	if n.kind != mapNode {
		d.r.decodeErr(n.at, p, "want a map of names, got "+n.what(), "")
		return
	}
	if off && len(n.pairs) == 0 {
		return // as if it were absent: it is not off
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range n.pairs {
		at := p.name(e.key)
		d.r.places[at.id()] = span{e.at, d.placeOf(e)}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, elem, at)
		v.SetMapIndex(reflect.ValueOf(e.key), elem)
	}
}

func (d *decoder) list(n *node, v reflect.Value, p path) {
	items, rule := n.items, d.rules[p.pattern]
	isMap := n.kind == mapNode && v.Type().Elem().Kind() == reflect.Struct
	switch {
	case n.kind == nullNode:
		return
	case rule.off && d.isOff(n):
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		return
	case rule.one && (n.kind == scalarNode || isMap):
		items = []*node{n}
	case n.kind != listNode:
		hint := "write each item on a line of its own after \"- \""
		if n.kind == scalarNode && len(n.text) < 60 {
			hint = fmt.Sprintf("write [%s]", n.text)
		}
		d.r.decodeErr(n.at, p, "want a list, got "+n.what(), hint)
		return
	}
	if len(items) == 0 {
		return // as if it were absent, so that both are equal
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		d.r.places[p.item(i).id()] = span{item.at, item.at}
		d.value(item, out.Index(i), p.item(i))
	}
	v.Set(out)
}

// scalar fills v, whose type is written as text.
func (d *decoder) scalar(n *node, v reflect.Value, p path) { d.scalarBy(n, v, p, d.rules[p.pattern]) }

// scalarBy is scalar with the rule of another key than p.
func (d *decoder) scalarBy(n *node, v reflect.Value, p path, r rule) {
	if n.kind != scalarNode {
		if msg := "want " + wanted(v) + ", got " + n.what(); n.kind != nullNode {
			d.r.decodeErr(n.at, p, msg, "")
		} else if s, ok := d.r.places[p.id()]; ok {
			d.r.decodeErr(s.key, p, "has no value", "give it one, or remove the key")
		}
		return
	}
	text, msg, hint := expand(n.text, d.env)
	if msg == "" {
		msg, hint = r.set(v, text)
	}
	switch {
	case msg != "":
		d.r.decodeErr(n.at, p, msg, hint)
	}
}

// wanted names what a value of this type is written as.
func wanted(v reflect.Value) string {
	switch v.Interface().(type) {
	case time.Duration:
		return "a duration such as 30s"
	case Size:
		return "a size such as 64KiB"
	case notation.Switch:
		return "on or off"
	case notation.Rate:
		return "a rate such as 10/s"
	case encoding.TextMarshaler:
		return "a word"
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "a number"
	}
	return "text"
}

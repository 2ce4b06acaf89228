package config

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"headgate/gateway/tracing"
	"headgate/tls/certs"
	"headgate/upstream"
	"headgate/upstream/worker"
)

// Marshal returns c as a file that Parse reads back to the same Config, in the
// order of the design, names sorted. Secrets, values of tracing.headers, which
// tend to be keys, and users and passwords of URLs are replaced by ***. What has
// no value is left out.
func (c *Config) Marshal() []byte { return c.encode(true) }

// Hash identifies the meaning of c: equal for equal configurations, whatever
// their comments, order of keys and spelling of sizes.
func (c *Config) Hash() string {
	sum := sha256.Sum256(c.encode(false))
	return hex.EncodeToString(sum[:])
}

func (c *Config) encode(hide bool) []byte {
	out, err := yaml.MarshalWithOptions(encoder{hide, rules()}.value(reflect.ValueOf(*c), path{}), yaml.IndentSequence(true))
	if err != nil {
		panic("config: " + err.Error()) // maps, lists and text only: there is nothing to fail
	}
	return out
}

// encoder turns structs into what the library writes.
type encoder struct {
	hide  bool
	rules map[string]rule
}

// value returns nil for what has no value.
func (e encoder) value(v reflect.Value, p path) any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return unlessZero(v, duration(x))
	case Size:
		return unlessZero(v, x.String())
	case encoding.TextMarshaler:
		text, _ := x.MarshalText()
		if len(text) == 0 {
			return nil
		}
		return string(text)
	case tracing.Headers:
		return e.headers(x, p)
	case worker.Env:
		return e.headers(tracing.Headers(x), p)
	case certs.Secret:
		if e.hide && x != "" {
			return "***"
		}
		return unlessZero(v, escape(string(x)))
	case upstream.Secret:
		if e.hide && x != "" {
			return "***"
		}
		return unlessZero(v, escape(string(x)))
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if v.Elem().Kind() == reflect.Bool {
			return v.Elem().Bool()
		}
		if e.rules[p.pattern].off && v.Elem().IsZero() {
			return "off"
		}
		return e.value(v.Elem(), p)
	case reflect.Struct:
		return e.structure(v, p)
	case reflect.Map, reflect.Slice:
		if e.rules[p.pattern].off && !v.IsNil() && v.Len() == 0 {
			return "off"
		}
		if v.Kind() == reflect.Map {
			return e.mapping(v, p)
		}
		return e.list(v, p)
	case reflect.String:
		text := v.String()
		if e.hide {
			text = withoutUser(text)
		}
		return unlessZero(v, escape(text))
	case reflect.Int:
		if v.Int() < 0 {
			return "off"
		}
	}
	return unlessZero(v, v.Interface())
}

func unlessZero(v reflect.Value, out any) any {
	if v.IsZero() {
		return nil
	}
	return out
}

// escape keeps ${ a plain ${ when the text is read back.
func escape(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// withoutUser hides the user and the password that a URL may have.
func withoutUser(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if i := strings.LastIndexByte(rest, '@'); ok && i >= 0 {
		return scheme + "://***" + rest[i:]
	}
	return s
}

// duration writes 1m for 1m0s, and off for less than nothing.
func duration(d time.Duration) string {
	if d < 0 {
		return "off"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// headers writes what may have secrets for values.
func (e encoder) headers(h tracing.Headers, p path) any {
	if e.hide {
		hidden := map[string]string{}
		for name := range h {
			hidden[name] = "***"
		}
		return e.mapping(reflect.ValueOf(hidden), p)
	}
	return e.mapping(reflect.ValueOf(map[string]string(h)), p)
}

func (e encoder) structure(v reflect.Value, p path) any {
	var out yaml.MapSlice
	for _, f := range fieldsOf(v.Type()) {
		if value := e.value(v.FieldByIndex(f.index), p.key(f.name)); value != nil {
			out = append(out, yaml.MapItem{Key: f.name, Value: value})
		}
	}
	if out == nil {
		return nil
	}
	return out
}

func (e encoder) mapping(v reflect.Value, p path) any {
	var out yaml.MapSlice
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		value := e.value(v.MapIndex(key), p.name(key.String()))
		if value == nil && v.Type().Elem().Kind() == reflect.String {
			value = ""
		}
		out = append(out, yaml.MapItem{Key: key.String(), Value: value})
	}
	if out == nil {
		return nil
	}
	return out
}

func (e encoder) list(v reflect.Value, p path) any {
	var out []any
	for i := range v.Len() {
		if n := v.Index(i); n.Kind() == reflect.Int && n.Int() == 0 { // a number like any other, where nothing has a default
			out = append(out, 0)
			continue
		}
		out = append(out, e.value(v.Index(i), p.item(i)))
	}
	if out == nil {
		return nil
	}
	return out
}

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// iniEntry is an option of an ini file.
type iniEntry struct {
	key, value     string
	keyAt, valueAt place
	perhaps        bool // it is in a condition
}

// Bounds of the options of one file, with those that its loops make, and of what its
// variables and loops add to it, in bytes.
const (
	maxEntries = 10_000
	maxGrowth  = 4 << 20
)

// read splits the file into its sections as uWSGI does: a line is a comment, a
// section, or an option up to the first = and its value.
func (v *vassal) read(text string) (at place, msg, hint string) {
	if strings.ContainsRune(text, 0) {
		return place{1, 1}, "this is not text", "is it an ini file?"
	}
	section, sections := "", map[string]place{}
	var options []iniEntry
	for i, line := range v.k.r.src.lines {
		e, ok := readEntry(strings.TrimSuffix(line, "\r"), i+1)
		switch {
		case !ok:
		case strings.HasPrefix(e.key, "["):
			section = strings.Trim(e.key, "[]")
			if _, again := sections[section]; !again {
				sections[section] = e.keyAt
			}
		case section == "uwsgi":
			options = append(options, e)
		case section == "headgate":
			v.headgate = append(v.headgate, e)
		}
		if len(options)+len(v.headgate) > maxEntries {
			return e.keyAt, fmt.Sprintf("more than %d options", maxEntries), "is it the file of an app?"
		}
	}
	v.at = sections["uwsgi"]
	if v.at == (place{}) {
		return place{1, 1}, "has no section [uwsgi]", "write [uwsgi] above the options of uWSGI"
	}
	v.warnSections(sections)
	if e, ok := v.expandLoops(options); !ok {
		return e.keyAt, fmt.Sprintf("this loop makes more than %d options", maxEntries), "say less in it"
	}
	v.fill()
	return place{}, "", ""
}

// warnSections finds a section whose name is nearly ours.
func (v *vassal) warnSections(sections map[string]place) {
	for name, at := range sections {
		if name == "uwsgi" || name == "headgate" {
			continue
		}
		if hint := didYouMean(name, []string{"headgate"}); hint != "" {
			v.k.r.add(&v.k.r.warnings, at, path{}, fmt.Sprintf("nobody reads the section [%s]", name), hint)
		}
	}
}

// readEntry reads a line. It is no entry when it is empty or a comment. Of a section
// the key is the line itself.
func readEntry(line string, number int) (iniEntry, bool) {
	text := strings.TrimSpace(line)
	if text == "" || text[0] == '#' || text[0] == ';' {
		return iniEntry{}, false
	}
	column := func(rest string) int { return utf8.RuneCountInString(line[:len(line)-len(rest)]) + 1 }
	e := iniEntry{keyAt: place{number, column(strings.TrimLeft(line, " \t"))}}
	e.valueAt = e.keyAt
	if text[0] == '[' {
		e.key = text
		return e, true
	}
	key, value, found := strings.Cut(line, "=")
	e.key, e.value = strings.TrimSpace(key), strings.TrimSpace(value)
	if found && e.value != "" {
		e.valueAt.column = column(strings.TrimLeft(value, " \t"))
	}
	return e, true
}

// expandLoops repeats what stands between for and endfor, and marks what stands in a
// condition. It fails at a loop that makes too much.
func (v *vassal) expandLoops(options []iniEntry) (iniEntry, bool) {
	var over []string // what %(_) is
	var body []iniEntry
	looping, conditions := false, 0
	for _, e := range options {
		switch {
		case e.key == "for" || e.key == "for-times":
			looping, body, over = true, nil, strings.Fields(v.magic(e.value))
			if n, err := strconv.Atoi(v.magic(e.value)); e.key == "for-times" && err == nil {
				over = times(n)
			}
		case strings.HasPrefix(e.key, "for-"):
			looping, body, over, v.unknown = true, nil, nil, true
		case e.key == "endfor":
			if len(v.uwsgi)+len(body)*len(over) > maxEntries || !v.mayGrow(body, over) {
				return e, false
			}
			for _, item := range over {
				for _, in := range body {
					in.value = strings.ReplaceAll(in.value, "%(_)", item)
					v.uwsgi = append(v.uwsgi, in)
				}
			}
			looping = false
		case e.key == "endif":
			conditions = max(0, conditions-1)
		case strings.HasPrefix(e.key, "if-"):
			conditions++
		case looping:
			e.perhaps = conditions > 0
			body = append(body, e)
		default:
			e.perhaps = conditions > 0
			v.uwsgi = append(v.uwsgi, e)
		}
	}
	return iniEntry{}, true
}

// mayGrow counts what a loop adds, and reports whether it is not too much.
func (v *vassal) mayGrow(body []iniEntry, over []string) bool {
	items := 0
	for _, item := range over {
		items += len(item)
	}
	for _, in := range body {
		v.grown += len(in.value)*len(over) + strings.Count(in.value, "%(_)")*items
	}
	return v.grown <= maxGrowth
}

// times are the turns of a loop that counts.
func times(n int) (out []string) {
	for i := range min(n, maxEntries+1) {
		out = append(out, strconv.Itoa(i))
	}
	return out
}

// fill replaces the variables in all values.
func (v *vassal) fill() {
	first := map[string]string{}
	for _, e := range slices.Concat(v.uwsgi, v.headgate) {
		if _, ok := first[e.key]; !ok {
			first[e.key] = v.magic(e.value)
		}
		if slices.Contains([]string{"include", "inherit", "ini", "yaml", "yml", "json", "xml"}, e.key) {
			v.unknown = true
		}
	}
	for _, list := range [][]iniEntry{v.uwsgi, v.headgate} {
		for i := range list {
			list[i].value = v.placeholders(v.magic(list[i].value), first)
		}
	}
}

// maxPlaces bounds the placeholders that are replaced in one value.
const maxPlaces = 32

// placeholders replaces %(key) by the first value of that option. What is not known,
// or is too much, stays as it is.
func (v *vassal) placeholders(s string, values map[string]string) string {
	from := 0
	for range maxPlaces {
		i := strings.Index(s[from:], "%(")
		if i < 0 {
			break
		}
		i += from
		key, rest, closed := strings.Cut(s[i+2:], ")")
		value, ok := values[key]
		if !closed {
			break
		}
		if from = i + 2; ok && len(s)+len(value) <= maxValue && v.grown <= maxGrowth {
			s, from = s[:i]+value+rest, i
			v.grown += len(value)
		}
	}
	return s
}

// magic replaces the variables of uWSGI that are about the file itself. Those that are
// not known here stay as they are.
func (v *vassal) magic(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if text, ok := v.variable(s[i+1]); ok {
			b.WriteString(text)
			i++
			continue
		}
		b.WriteByte('%')
	}
	return b.String()
}

// variable is what % and a letter stand for; capitals are those of the first file,
// which is this one.
func (v *vassal) variable(c byte) (string, bool) {
	file, dir := v.file, filepath.Dir(v.file)
	switch c {
	case '%':
		return "%", true
	case 'o', 'O', 'p', 'P':
		return file, true
	case 's', 'S':
		return filepath.Base(file), true
	case 'n', 'N':
		return v.k.f.Name, true
	case 'd', 'D':
		return strings.TrimSuffix(dir, "/") + "/", true
	case 'c', 'C':
		return filepath.Base(dir), true
	case 'e', 'E':
		return strings.TrimPrefix(filepath.Ext(file), "."), true
	case 'v':
		return dir, true
	case 'x', 'X':
		return "uwsgi", true
	case 'k':
		return strconv.Itoa(runtime.NumCPU()), true
	case 'h':
		name, err := os.Hostname()
		return name, err == nil
	}
	if c >= '0' && c <= '9' {
		parts := strings.Split(strings.Trim(dir, "/"), "/")
		if i := int(c - '0'); i < len(parts) {
			return parts[i], true
		}
	}
	return "", false
}

func poolFields() (names []string) {
	for _, f := range fieldsOf(reflect.TypeFor[Pool]()) {
		if !slices.Contains([]string{"members", "workers", "subscriptions"}, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

func siteFields() (names []string) {
	for _, f := range fieldsOf(reflect.TypeFor[Site]()) {
		if f.name != "hosts" && f.name != "routes" {
			names = append(names, f.name)
		}
	}
	return names
}

func mapAt(at place) *node { return &node{kind: mapNode, at: at} }

// textAt is a scalar of text that is meant as it is.
func textAt(text string, at place) *node {
	return &node{kind: scalarNode, at: at, text: escape(text)}
}

// put adds an entry to a map.
func (n *node) put(key string, at place, value *node) {
	n.pairs = append(n.pairs, pair{key: key, at: at, value: value})
}

// sub is the map at key, which is made if it is not there.
func (n *node) sub(key string, at place) *node {
	if in := n.get(key); in != nil {
		return in
	}
	in := mapAt(at)
	n.put(key, at, in)
	return in
}

package config

import "strings"

// span is where a key and its value stand.
type span struct{ key, value place }

// report collects what is wrong, with the places that the decoder found.
type report struct {
	src      *source // nil for a Config that was built in Go
	places   map[string]span
	compiled map[compiled]error
	told     map[string]bool // ids of the values of which all is said
	failed   []string        // ids of the paths that the decoder could not read
	site     func(i int) string
	errs     Errors
	warnings Errors
}

func newReport(src *source) *report {
	return &report{src: src, places: map[string]span{}, told: map[string]bool{}, compiled: map[compiled]error{}, site: func(int) string { return "" }}
}

// decodeErr reports a value that could not be read, and mutes later checks of it.
func (r *report) decodeErr(at place, p path, msg, hint string) {
	r.fail(p)
	r.add(&r.errs, at, p, join2(p.title(r.site), msg), hint)
}

// fail mutes the checks of p, of all below it and of all above it.
func (r *report) fail(p path) { r.failed = append(r.failed, p.id()) }

// check reports a value that was read but makes no sense; about says in the
// message what it belongs to.
func (r *report) check(p, about path, msg, hint string) {
	if !r.muted(p) && !r.told[p.id()] {
		r.add(&r.errs, r.find(p), p, join2(about.title(r.site), msg), hint)
	}
}

// checkAt is check at a place within the value at p, of which no more is said.
func (r *report) checkAt(at place, p, about path, msg, hint string) {
	if !r.muted(p) {
		r.add(&r.errs, at, p, join2(about.title(r.site), msg), hint)
		r.told[p.id()] = true
	}
}

// checkKey is check at the key of p in place of its value.
func (r *report) checkKey(p, about path, msg, hint string) {
	if !r.muted(p) {
		r.add(&r.errs, r.places[p.id()].key, p, join2(about.title(r.site), msg), hint)
	}
}

// warnKey is warn at the key of p in place of its value.
func (r *report) warnKey(p, about path, msg, hint string) {
	if !r.muted(p) {
		r.add(&r.warnings, r.places[p.id()].key, p, join2(about.title(r.site), msg), hint)
	}
}

// warn reports what works but is hardly meant.
func (r *report) warn(p, about path, msg, hint string) {
	if !r.muted(p) {
		r.add(&r.warnings, r.find(p), p, join2(about.title(r.site), msg), hint)
	}
}

func (r *report) add(to *Errors, at place, p path, msg, hint string) {
	e := &Error{Line: at.line, Column: at.column, Path: p.String(), Msg: msg, Hint: hint}
	if r.src != nil {
		e.File = r.src.name
	}
	*to = append(*to, e)
}

// finish orders what was reported and adds the excerpts, which is only possible
// when all is known that they must not show.
func (r *report) finish(es Errors) Errors {
	es = es.sorted()
	for _, e := range es {
		if r.src != nil {
			e.Excerpt = r.src.excerpt(place{e.Line, e.Column})
		}
	}
	return es
}

func join2(title, msg string) string {
	if title == "" {
		return msg
	}
	return title + ": " + msg
}

// muted reports whether the decoder already complained at p, below or above it.
func (r *report) muted(p path) bool {
	id := p.id()
	for _, f := range r.failed {
		if id == "" || f == "" || f == id || strings.HasPrefix(f, id+"\x00") || strings.HasPrefix(id, f+"\x00") {
			return true
		}
	}
	return false
}

// find is the place of the value at p, or of the nearest key above it.
func (r *report) find(p path) place {
	if s, ok := r.places[p.id()]; ok {
		return s.value
	}
	for len(p.elems) > 0 {
		p = p.parent()
		if s, ok := r.places[p.id()]; ok {
			return s.key
		}
	}
	if r.src == nil {
		return place{}
	}
	return place{1, 1}
}

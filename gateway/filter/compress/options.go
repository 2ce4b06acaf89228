package compress

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"headgate/gateway/notation"
)

// Options say what of the answers is compressed. The zero value compresses text of
// 1 KiB and more with zstd, br or gzip.
type Options struct {
	On      notation.Switch `yaml:"on,short"` // on (default where compress is written); off: not at all
	Codings []string        `yaml:"codings"`  // that are offered, the preferred one first ([zstd, br, gzip])
	Types   []string        `yaml:"types"`    // media types, also as text/* or *+json; text, JSON, XML, SVG, JavaScript, fonts and WebAssembly by default
	MinSize notation.Size   `yaml:"min_size"` // of a body (1KiB); off: none
	Level   string          `yaml:"level"`    // fast, default or best
	Padding notation.Switch `yaml:"padding"`  // on (default): a random length is added to dynamic pages, against BREACH
}

// maxMinSize bounds what is held back of an answer whose length is not known.
const maxMinSize = notation.MiB

// levels are the values of Options.Level.
func levels() []string { return []string{"fast", "default", "best"} }

// defaultTypes are those of Options.Types.
func defaultTypes() []string {
	return []string{
		"text/*", "*+json", "*+xml",
		"application/json", "application/javascript", "application/x-javascript", "application/xml",
		"application/x-ndjson", "application/wasm", "application/vnd.ms-fontobject",
		"font/ttf", "font/otf", "image/bmp", "image/x-icon", "image/vnd.microsoft.icon",
	}
}

// WithDefaults returns o with what is left out filled in.
func (o Options) WithDefaults() Options {
	o.On = o.On.Or(notation.On)
	o.Padding = o.Padding.Or(notation.On)
	if o.Codings == nil {
		o.Codings = []string{zstdName, brName, gzipName}
	}
	if o.Types == nil {
		o.Types = defaultTypes()
	}
	if o.MinSize == 0 {
		o.MinSize = notation.KiB
	}
	if o.Level == "" {
		o.Level = "default"
	}
	return o
}

// Validate returns all mistakes, each with its key before it.
func (o Options) Validate() error {
	var all []error
	fault := func(key, format string, args ...any) {
		all = append(all, fmt.Errorf(key+": "+format, args...))
	}
	known := []string{zstdName, brName, gzipName}
	for i, name := range o.Codings {
		if !slices.Contains(known, name) {
			fault("codings", "%q is not one that can be offered: choose of zstd, br and gzip", name)
		} else if slices.Contains(o.Codings[:i], name) {
			fault("codings", "%q is there twice: leave one out", name)
		}
	}
	for _, t := range o.Types {
		switch {
		case strings.EqualFold(t, eventStream):
			fault("types", "an event stream is never compressed: leave %s out", t)
		case !isPattern(t):
			fault("types", "%q is no media type: write it like text/html, text/* or *+json", t)
		}
	}
	if o.MinSize > maxMinSize {
		fault("min_size", "%s would be held back of each answer whose length is not known: choose %s at most", o.MinSize, maxMinSize)
	}
	if o.Level != "" && !slices.Contains(levels(), o.Level) {
		fault("level", "%q is none: choose fast, default or best", o.Level)
	}
	return errors.Join(all...)
}

// isPattern reports whether t is a media type, or one that ends in /* or begins with
// *+.
func isPattern(t string) bool {
	if suffix, ok := strings.CutPrefix(t, "*+"); ok {
		return isToken(suffix)
	}
	kind, sub, ok := strings.Cut(t, "/")
	return ok && isToken(kind) && (sub == "*" || isToken(sub))
}

// isToken reports whether s is a restricted name (RFC 6838, 4.2).
func isToken(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', i > 0 && strings.IndexByte("!#$&-^_.+", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

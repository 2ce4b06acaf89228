package files

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"headgate/gateway/notation"
)

// Options describe a directory that is served. Only Root is required.
type Options struct {
	Root string `yaml:"root,short"` // directory; nothing outside of it is ever served, whatever links lead there

	// Names below the root that are tried in their order, the first that is a file
	// answers; $path is what the request asks for ([$path]). A number such as =404
	// at the end is the answer when there is none.
	Try []string `yaml:"try"`

	Index         []string          `yaml:"index"`         // files that stand for their directory ([index.html]); off: none
	Listing       bool              `yaml:"listing"`       // false (default); true: a directory without an index is listed
	Hidden        bool              `yaml:"hidden"`        // false (default): names that begin with a dot are not there; .well-known is
	Precompressed []string          `yaml:"precompressed"` // codings of files beside the file ([br, zstd, gzip]: .br, .zst, .gz) that are not older; off: none
	Manifest      string            `yaml:"manifest"`      // JSON of Django (staticfiles.json), webpack or vite below the root: what it names never changes
	Immutable     time.Duration     `yaml:"immutable"`     // how long what the manifest names may be cached (8760h, a year)
	MaxAge        time.Duration     `yaml:"max_age"`       // how long other files may be cached without asking; none by default
	Types         map[string]string `yaml:"types"`         // Content-Type by the end of a name, with its dot; beside those that are known
	Memory        notation.Size     `yaml:"memory"`        // for small files that are asked for often (16MiB); off: none
}

// Defaults of Options.
const (
	defaultImmutable = 365 * 24 * time.Hour
	defaultMemory    = 16 * notation.MiB
)

// variable stands for the path of the request in Options.Try.
const variable = "$path"

// WithDefaults returns o with its defaults in place of what is not said.
func (o Options) WithDefaults() Options {
	if len(o.Try) == 0 {
		o.Try = []string{variable}
	}
	if o.Index == nil {
		o.Index = []string{"index.html"}
	}
	if o.Precompressed == nil {
		o.Precompressed = []string{"br", "zstd", "gzip"}
	}
	if o.Immutable == 0 && o.Manifest != "" {
		o.Immutable = defaultImmutable
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	return o
}

// Validate reports every value that Options cannot have. It looks at no file.
func (o Options) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case o.Root == "":
		wrong("root: there is no directory to serve: give its path")
	case strings.IndexByte(o.Root, 0) >= 0:
		wrong("root: a path has no NUL byte: write the path of a directory")
	}
	errs = append(errs, o.validateTry()...)
	for _, name := range o.Index {
		if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, `/\`) {
			wrong("index: %q is not the name of a file in a directory: write a name like index.html", name)
		}
	}
	for i, coding := range o.Precompressed {
		if suffix(coding) == "" {
			wrong("precompressed: %q is not a coding: write br, zstd or gzip", coding)
		} else if slices.Contains(o.Precompressed[:i], coding) {
			wrong("precompressed: %s is there twice: remove one", coding)
		}
	}
	if o.Manifest != "" && (!fs.ValidPath(o.Manifest) || o.Manifest == ".") {
		wrong("manifest: %q is not the path of a file below the root: write it without the root, like staticfiles.json", o.Manifest)
	}
	if o.Immutable > 0 && o.Manifest == "" {
		wrong("immutable: it is for files that a manifest names, and there is none: give manifest, or use max_age")
	}
	errs = append(errs, wholeSeconds("immutable", o.Immutable), wholeSeconds("max_age", o.MaxAge))
	for _, end := range slices.Sorted(maps.Keys(o.Types)) {
		errs = append(errs, validateType(end, o.Types[end]))
	}
	if o.Memory < notation.Off {
		wrong("memory: %d is not a size: write a size like 16MiB, or off", o.Memory)
	}
	return errors.Join(errs...)
}

func wholeSeconds(key string, d time.Duration) error {
	if d > 0 && d < time.Second {
		return fmt.Errorf("%s: %v is less than a second, the unit of Cache-Control: write 1s or more, or off", key, d)
	}
	return nil
}

func validateType(end, contentType string) error {
	if len(end) < 2 || end[0] != '.' || strings.ContainsAny(end, "/\\\x00") {
		return fmt.Errorf("types: %q is not the end of a name: write it with its dot, like .css", end)
	}
	if _, _, err := mime.ParseMediaType(contentType); err != nil || !strings.Contains(contentType, "/") || strings.ContainsFunc(contentType, isControl) {
		return fmt.Errorf("types: %s: %q is not a media type: write one like text/css", end, contentType)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f }

func (o Options) validateTry() (errs []error) {
	for i, name := range o.Try {
		if code, ok := strings.CutPrefix(name, "="); ok {
			n, err := strconv.Atoi(code)
			switch {
			case err != nil || n < 400 || n > 599:
				errs = append(errs, fmt.Errorf("try: %q is not the status of an error: write one like =404", name))
			case i < len(o.Try)-1:
				errs = append(errs, fmt.Errorf("try: nothing behind %s is ever tried: put it at the end", name))
			case i == 0:
				errs = append(errs, fmt.Errorf("try: there is no name before %s: put %s before it", name, variable))
			}
			continue
		}
		literal := strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, variable, "x")), "/")
		switch {
		case name == "":
			errs = append(errs, errors.New("try: a name is empty: write "+variable+" or the name of a file"))
		case strings.Contains(strings.ReplaceAll(name, variable, ""), "$"):
			errs = append(errs, fmt.Errorf("try: %q has a variable that is not known: use %s", name, variable))
		case !fs.ValidPath(literal) || strings.ContainsAny(name, "\\\x00") || slices.Contains(strings.Split(name, "/"), ".."):
			errs = append(errs, fmt.Errorf("try: %q is not a name below the root: write one like %s.html", name, variable))
		}
	}
	return errs
}

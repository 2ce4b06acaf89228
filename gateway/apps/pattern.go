package apps

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of a folder.
const (
	maxFiles        = 10_000
	maxFile         = 1 << 20
	maxAlternatives = 64
)

// pattern names files: a directory, or globs.
type pattern struct {
	text  string   // absolute
	globs []string // text without braces
}

func parsePattern(text string) (pattern, error) {
	if text == "" {
		return pattern{}, errors.New("apps: is empty: name a directory, or write a pattern such as /etc/headgate/apps/*.{yaml,ini}")
	}
	abs, err := filepath.Abs(text)
	if err != nil {
		return pattern{}, fmt.Errorf("apps: %w", err)
	}
	globs, err := alternatives(abs)
	if err != nil {
		return pattern{}, fmt.Errorf("apps: %q: %w", text, err)
	}
	for _, g := range globs {
		if _, err := filepath.Match(g, ""); err != nil {
			return pattern{}, fmt.Errorf("apps: %q is no pattern: write it like /etc/headgate/apps/*.{yaml,ini}", text)
		}
	}
	return pattern{text: abs, globs: globs}, nil
}

// alternatives writes out the braces of s.
func alternatives(s string) ([]string, error) {
	done, todo := []string(nil), []string{s}
	for len(todo) > 0 {
		s, todo = todo[0], todo[1:]
		before, rest, found := strings.Cut(s, "{")
		if !found {
			done = append(done, s)
			continue
		}
		inside, after, closed := cutBrace(rest)
		if !closed {
			return nil, errors.New("a { is never closed: write it like *.{yaml,ini}")
		}
		for _, alternative := range inside {
			todo = append(todo, before+alternative+after)
		}
		if len(todo)+len(done) > maxAlternatives {
			return nil, fmt.Errorf("its braces make more than %d patterns: write fewer", maxAlternatives)
		}
	}
	return done, nil
}

// cutBrace splits what follows a { at the commas of its level.
func cutBrace(s string) (inside []string, after string, closed bool) {
	depth, from := 0, 0
	for i := range len(s) {
		switch {
		case s[i] == '{':
			depth++
		case s[i] == '}' && depth == 0:
			return append(inside, s[from:i]), s[i+1:], true
		case s[i] == '}':
			depth--
		case s[i] == ',' && depth == 0:
			inside, from = append(inside, s[from:i]), i+1
		}
	}
	return nil, "", false
}

// list returns the files that there are, sorted. The error says why none can be
// known; there may be some all the same.
func (p pattern) list() (files []string, err error) {
	info, err := os.Stat(p.text)
	switch {
	case err == nil && info.IsDir():
		return p.directory()
	case err != nil && !errors.Is(err, fs.ErrNotExist) && len(p.globs) == 1 && p.globs[0] == p.text:
		return nil, err
	}
	for _, g := range p.globs {
		found, _ := filepath.Glob(g)
		files = append(files, found...)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return ignored(filepath.Base(f)) || isDir(f) })
	slices.Sort(files)
	files = slices.Compact(files)
	if _, err := os.Stat(p.fixed()); err != nil {
		return files, err
	}
	return files, nil
}

// directory lists the files of a directory that have one of our endings, or one of
// uWSGI's others, of which is said that they are not read.
func (p pattern) directory() (files []string, err error) {
	entries, err := os.ReadDir(p.text)
	for _, e := range entries {
		file := filepath.Join(p.text, e.Name())
		if ignored(e.Name()) || kindOf(file) == other || e.IsDir() || e.Type()&fs.ModeSymlink != 0 && isDir(file) {
			continue
		}
		files = append(files, file)
	}
	return files, err
}

// fixed is the directory above the first part of the pattern that is not a plain name.
func (p pattern) fixed() string {
	i := strings.IndexAny(p.text, `*?[{\`)
	if i < 0 {
		if kindOf(p.text) == other {
			return p.text
		}
		i = len(p.text)
	}
	return filepath.Dir(p.text[:i] + "x")
}

func isDir(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.IsDir()
}

// ignored reports whether a name is of a file that editors and packages leave behind,
// or is hidden.
func ignored(name string) bool {
	return name[0] == '.' || name[0] == '#' || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp") ||
		strings.Contains(name, ".dpkg-") || strings.Contains(name, ".rpm")
}

// kind is what a file is by its name.
type kind uint8

const (
	other    kind = iota
	yamlFile      // ours
	iniFile       // uWSGI's
	noFile        // uWSGI's, which is not read
)

func kindOf(file string) kind {
	switch filepath.Ext(file) {
	case ".yaml", ".yml":
		return yamlFile
	case ".ini":
		return iniFile
	case ".xml", ".json", ".js":
		return noFile
	}
	return other
}

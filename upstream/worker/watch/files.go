package watch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pythonFiles are the endings of files that a Python app reads when it starts, or once
// (templates). Not among them are .json, .txt, .csv and databases, which apps write
// themselves, often next to their code: each write would start all workers anew.
// Neither is .pyc, which Python writes.
var pythonFiles = []string{
	".py", ".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", // code and templates
	".toml", ".ini", ".cfg", ".conf", ".yaml", ".yml", ".env", // settings
	".mo", // translations
}

// PythonFiles tells whether a Python app has to be started anew when a file changes,
// by its name: code, templates, settings, translations.
func PythonFiles(file string) bool {
	name := filepath.Base(file)
	switch {
	case strings.HasPrefix(name, ".#"): // a lock of Emacs
		return false
	case strings.HasPrefix(name, ".env."): // .env.local
		return true
	}
	return slices.Contains(pythonFiles, strings.ToLower(filepath.Ext(name)))
}

// SkipUsual tells of a directory that holds nothing of an app's own: a hidden one,
// caches, what was installed, virtual environments (by their pyvenv.cfg). It reads
// the file system.
func SkipUsual(dir string) bool {
	name := filepath.Base(dir)
	switch name {
	case "__pycache__", "node_modules", "bower_components", "site-packages", "dist-packages":
		return true
	}
	if strings.HasPrefix(name, ".") && name != "." && name != ".." {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "pyvenv.cfg"))
	return err == nil
}

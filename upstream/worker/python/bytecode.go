package python

import (
	"io/fs"
	"os"
	"path"
	"strings"
)

// mostPlaces bounds the directories that are looked at for old bytecode.
const mostPlaces = 5000

// dropRacyBytecode removes cached bytecode of the project that may be of older source:
// Python believes it while the source has the size and the second that it had, so that
// of two edits within a second the later may never run. Bytecode that was written after
// that second is of the source as it is. What cannot be removed stays; nothing outside
// dir is touched, whatever links lead there.
func dropRacyBytecode(dir string) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return
	}
	defer root.Close()
	places := 0
	_ = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fs.SkipDir
		case !d.IsDir():
			return nil
		case d.Name() == "__pycache__":
			dropRacyIn(root, name)
			return fs.SkipDir
		}
		if places++; places > mostPlaces {
			return fs.SkipAll
		}
		if name != "." && foreign(root, name, d.Name()) {
			return fs.SkipDir
		}
		return nil
	})
}

// foreign reports whether a directory has no code that people edit.
func foreign(root *os.Root, name, base string) bool {
	if strings.HasPrefix(base, ".") || base == "node_modules" {
		return true
	}
	_, err := root.Stat(path.Join(name, "pyvenv.cfg"))
	return err == nil
}

// dropRacyIn looks at one __pycache__.
func dropRacyIn(root *os.Root, cache string) {
	entries, err := fs.ReadDir(root.FS(), cache)
	if err != nil {
		return
	}
	for _, e := range entries {
		module, _, _ := strings.Cut(e.Name(), ".")
		if !strings.HasSuffix(e.Name(), ".pyc") || !e.Type().IsRegular() {
			continue
		}
		compiled, err := e.Info()
		if err != nil {
			continue
		}
		source, err := root.Stat(path.Join(path.Dir(cache), module+".py"))
		if err == nil && compiled.ModTime().Unix() <= source.ModTime().Unix() {
			_ = root.Remove(path.Join(cache, e.Name()))
		}
	}
}

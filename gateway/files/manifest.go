package files

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// manifest is what a build tool has written: names of files whose content never
// changes, because it is part of the name.
type manifest struct {
	dir   string            // where it is, "." is the root
	names map[string][]mark // by what is behind their last slash
}

// mark is one name. One that is a URL begins with a path that only the tool knows.
type mark struct {
	name string
	url  bool
}

// maxManifest bounds what is read of a manifest.
const maxManifest = 32 << 20

var errNoObject = errors.New("it is not an object of JSON: name the file that the build writes, such as staticfiles.json, manifest.json or .vite/manifest.json")

// readManifest reads Options.Manifest.
func (s *Server) readManifest() (*manifest, error) {
	f, err := s.open(s.o.Manifest)
	if err != nil {
		err = cause(err)
		switch {
		case errors.Is(err, fs.ErrPermission):
			err = withCure(err)
		case isAbsent(err):
			err = fmt.Errorf("%w: build the files first (collectstatic), or set manifest to its path below the root", err)
		}
		return nil, fmt.Errorf("manifest %s below %s: %w", s.o.Manifest, s.path, err)
	}
	defer f.Close()
	m := &manifest{dir: path.Dir(s.o.Manifest), names: make(map[string][]mark)}
	if err := m.read(f); err != nil {
		return nil, fmt.Errorf("manifest %s below %s: %w", s.o.Manifest, s.path, err)
	}
	return m, nil
}

func (m *manifest) read(f fs.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("not a regular file: name the file that the build writes")
	case info.Size() > maxManifest:
		return fmt.Errorf("it has more than %d bytes: remove from the build what is not used", maxManifest)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return err
	}
	return m.parse(text)
}

// parse takes the names of one of the three forms.
func (m *manifest) parse(text []byte) error {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(text, &top); err != nil || top == nil {
		if err == nil {
			return errNoObject
		}
		return fmt.Errorf("%w (%w)", errNoObject, err)
	}
	var django map[string]string
	if paths, ok := top["paths"]; ok && json.Unmarshal(paths, &django) == nil {
		for from, to := range django {
			m.add(from, to)
		}
		return nil
	}
	for from, value := range top {
		m.addChunk(from, value)
	}
	return nil
}

// addChunk adds one member of the manifest of webpack, a name, or of vite.
func (m *manifest) addChunk(from string, value json.RawMessage) {
	var to string
	if json.Unmarshal(value, &to) == nil {
		m.add(from, to)
		return
	}
	var chunk struct {
		File string   `json:"file"`
		Src  string   `json:"src"`
		CSS  []string `json:"css"`
		More []string `json:"assets"`
	}
	if json.Unmarshal(value, &chunk) != nil {
		return
	}
	switch {
	case chunk.File != "":
		m.add(from, chunk.File)
	case chunk.Src != "" && len(chunk.CSS) == 0: // webpack-assets-manifest with integrity
		m.add(from, chunk.Src)
	}
	for _, to := range append(chunk.CSS, chunk.More...) {
		m.add("", to)
	}
}

// add adds a name that the tool has given to what was called from. One that is as it
// was has no fingerprint, and a page has to be asked for again to name others.
func (m *manifest) add(from, to string) {
	if u, err := url.Parse(to); err == nil && u.Path != "" && (u.Host != "" || u.RawQuery != "" || u.Fragment != "") {
		to = u.Path
	}
	prefixed := strings.HasPrefix(to, "/")
	to = strings.TrimPrefix(path.Clean("/"+to), "/")
	base := path.Base(to)
	if !fs.ValidPath(to) || to == "." || stem(base) == stem(path.Base(from)) || path.Ext(base) == ".html" {
		return
	}
	m.names[base] = append(m.names[base], mark{to, prefixed})
}

func stem(base string) string { return strings.TrimSuffix(base, path.Ext(base)) }

// has reports whether name is among those of m: which are relative to the root, to
// the manifest's directory or one above it, or the ends of URLs.
func (m *manifest) has(name string) bool {
	if m == nil {
		return false
	}
	for _, known := range m.names[name[strings.LastIndexByte(name, '/')+1:]] {
		dir, below := strings.CutSuffix(name, "/"+known.name)
		switch {
		case known.name == name, known.url && strings.HasSuffix(known.name, "/"+name):
			return true
		case below && (dir == m.dir || strings.HasPrefix(m.dir, dir+"/")):
			return true
		}
	}
	return false
}

// checkManifestLocked reads the manifest again if it has changed.
func (s *Server) checkManifestLocked() {
	info, err := s.stat(s.o.Manifest)
	if err == nil && s.tried != nil && same(info, s.tried) && time.Since(info.ModTime()) > 3*checkEvery {
		return
	}
	s.tried = info
	m, err := s.readManifest()
	switch {
	case err != nil && s.said != err.Error():
		s.said = err.Error()
		s.warner.log.Warn("manifest cannot be read, the last one holds", "err", err)
	case err != nil:
	default:
		if s.said != "" {
			s.said = ""
			s.warner.log.Info("manifest is read again")
		}
		if !m.equal(s.marks.Load()) {
			s.marks.Store(m)
		}
	}
}

// equal reports whether two manifests have the same names.
func (m *manifest) equal(o *manifest) bool {
	if len(m.names) != len(o.names) {
		return false
	}
	for base, names := range m.names {
		others := o.names[base]
		if len(names) != len(others) {
			return false
		}
		for _, name := range names {
			if !slices.Contains(others, name) {
				return false
			}
		}
	}
	return true
}

// cacheControl returns the Cache-Control of a file.
func (s *Server) cacheControl(name string) string {
	switch {
	case s.o.Immutable > 0 && s.marks.Load().has(name):
		return "public, max-age=" + seconds(s.o.Immutable) + ", immutable"
	case s.o.MaxAge > 0:
		return "max-age=" + seconds(s.o.MaxAge)
	}
	return ""
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

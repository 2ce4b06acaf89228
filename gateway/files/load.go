package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// find returns what name stands for. An error is one of the machine, or of the right
// to read.
func (s *Server) find(name string, now time.Duration) (*entry, error) {
	if s.found == nil {
		return s.load(name, now)
	}
	e := s.found.get(name)
	if e == nil {
		e = s.absent.get(name)
	}
	switch {
	case e == nil:
		return s.load(name, now)
	case int64(now)-e.checked.Load() < int64(checkEvery) && e.marks == s.marks.Load():
		return e, nil
	}
	return s.renew(e, now)
}

// renew returns e if it is still true, and what is in its place otherwise. Only one
// goroutine at a time looks, the others take e as it is.
func (s *Server) renew(e *entry, now time.Duration) (*entry, error) {
	last := e.checked.Load()
	if e.marks == s.marks.Load() {
		if int64(now)-last < int64(checkEvery) || !e.checked.CompareAndSwap(last, int64(now)) || s.holds(e) {
			return e, nil
		}
	}
	s.forget(e)
	return s.load(e.name, now)
}

// holds reports whether e is as it was. A fault of the machine leaves it so.
func (s *Server) holds(e *entry) bool {
	info, err := s.stat(e.name)
	switch {
	case err != nil && (isAbsent(err) || errors.Is(err, fs.ErrPermission)):
		return e.kind == missing && isAbsent(err)
	case err != nil:
		return true
	case e.kind == missing:
		return !info.IsDir() && !info.Mode().IsRegular()
	case e.kind == directory:
		return info.IsDir()
	case e.young || !same(e.info, info):
		return false
	}
	now := s.variants(e.name, info)
	if len(now) != len(e.variants) {
		return false
	}
	for i := range now {
		if now[i] != e.variants[i] {
			return false
		}
	}
	return true
}

func (s *Server) forget(e *entry) {
	if s.found == nil {
		return
	}
	s.found.drop(e)
	s.absent.drop(e)
}

// load looks for name in the directory, and keeps what it finds.
func (s *Server) load(name string, now time.Duration) (*entry, error) {
	if !s.servable(name) {
		return s.noFile, nil
	}
	name = strings.Clone(name) // it may be part of something larger
	e, err := s.look(name)
	if err != nil {
		if !isAbsent(err) {
			return nil, err
		}
		s.warnOfLink(name, err)
		e = &entry{name: name}
	}
	e.marks = s.marks.Load()
	e.checked.Store(int64(now))
	switch {
	case s.found == nil:
	case e.kind == missing:
		s.absent.put(e)
	default:
		s.absent.drop(e)
		s.found.put(e)
	}
	return e, nil
}

// look makes the entry of name.
func (s *Server) look(name string) (*entry, error) {
	info, err := s.stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return s.directory(name, info), nil
	case !info.Mode().IsRegular():
		return &entry{name: name}, nil
	case info.Size() > s.small || s.small == 0:
		return s.describe(name, info), nil
	}
	return s.read(name)
}

func (s *Server) directory(name string, info fs.FileInfo) *entry {
	e := &entry{name: name, kind: directory, info: info}
	for _, index := range s.o.Index {
		if name != "" {
			index = name + "/" + index
		}
		e.indexes = append(e.indexes, index)
	}
	return e
}

// errChanging is the fault of a file that is never the same twice.
var errChanging = errors.New("it changes while it is read, or its size is not that of its content: replace files by renaming a new one, and serve no files that the kernel makes up")

// read makes the entry of a small file with its content, as it was at one moment.
func (s *Server) read(name string) (*entry, error) {
	for range 3 {
		f, err := s.open(name)
		if err != nil {
			return nil, err
		}
		e, err := s.readOpen(name, f)
		f.Close()
		if e != nil || err != nil {
			return e, err
		}
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: errChanging}
}

// readOpen returns nil if f has changed meanwhile.
func (s *Server) readOpen(name string, f *os.File) (*entry, error) {
	before, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !before.Mode().IsRegular():
		return &entry{name: name}, nil
	case before.Size() > s.small:
		return s.describe(name, before), nil
	}
	content := make([]byte, before.Size())
	if _, err := io.ReadFull(f, content); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !same(before, after) {
		return nil, nil
	}
	e := s.describe(name, after)
	e.content = content
	return e, nil
}

// describe makes the entry of a file without its content.
func (s *Server) describe(name string, info fs.FileInfo) *entry {
	modified := info.ModTime()
	second := modified.Unix()
	e := &entry{
		name: name, kind: regular, info: info,
		contentType:  typeOf(s.o.Types, name),
		etag:         `"` + strconv.FormatInt(second, 16) + "-" + strconv.FormatInt(info.Size(), 16) + `"`,
		modified:     time.Unix(second, 0),
		lastModified: modified.UTC().Format(http.TimeFormat),
		cacheControl: s.cacheControl(name),
		marks:        s.marks.Load(),
		young:        time.Since(modified) < 2*checkEvery,
	}
	if compressed(name) {
		e.tagInRole = tagFor(e.etag, name)
	} else {
		e.variants = s.variants(name, info)
	}
	return e
}

// variants returns the codings that lie beside a file and are not older than it, in
// the order of preference. nginx does not compare; but a form that was left behind
// when its file changed is a wrong answer, and a missing one only a larger answer.
// The unit is the second, as in archives and HTTP.
func (s *Server) variants(name string, of fs.FileInfo) []variant {
	if compressed(name) {
		return nil
	}
	var all []variant
	for _, coding := range s.o.Precompressed {
		v := variant{coding: coding, name: name + suffix(coding)}
		info, err := s.stat(v.name)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		v.size, v.second = info.Size(), info.ModTime().Unix()
		if v.second < of.ModTime().Unix() {
			s.warner.warn(aboutVariants, "compressed file is older than its original and is not used", "file", v.name, "cure", "compress again, or touch it if it is right")
			continue
		}
		all = append(all, v)
	}
	return all
}

// same reports whether nothing shows that a file has changed.
func same(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && a.Mode() == b.Mode() && os.SameFile(a, b)
}

// isAbsent reports whether err means that a name stands for nothing: that there is
// nothing, that it cannot be a name, or that it leads out of the root, which os.Root
// tells by an error that is not the system's.
func isAbsent(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return !errors.Is(err, errChanging) && !errors.Is(err, os.ErrClosed) && !errors.Is(err, io.EOF)
	}
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EINVAL, syscall.ENXIO, syscall.ENODEV, syscall.EILSEQ:
		return true
	}
	return false
}

// warnOfLink tells the operator, who may not know why a file that is there is not
// served.
func (s *Server) warnOfLink(name string, err error) {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		s.warner.warn(aboutLinks, "link is absolute or leads out of the directory, and is not followed", "file", name, "cure", "copy the file, make the link relative, or set root to a directory that has both")
	}
}

// faultOf says what went wrong with a file, and the cure.
func (s *Server) faultOf(name string, err error) Result {
	outcome := Failed
	if errors.Is(err, fs.ErrPermission) {
		outcome = Forbidden
	}
	return Result{Outcome: outcome, Err: fmt.Errorf("file %s below %s: %w", name, s.path, withCure(cause(err)))}
}

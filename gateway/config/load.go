package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Load reads the file at path as Parse does. Its error is always of type Errors;
// errors.Is finds fs.ErrNotExist and its kin in it.
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	data, err := read(path)
	if err != nil {
		return nil, Errors{err}
	}
	return Parse(path, data, env)
}

func read(path string) ([]byte, *Error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, &Error{File: path, Msg: "is a directory", Hint: "name the file in it"}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return data, nil
}

func unreadable(path string, err error) *Error {
	e := &Error{File: path, Msg: err.Error(), err: err}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		e.Msg = pe.Err.Error()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Msg, e.Hint = "there is no such file", "write it, or name another with -c FILE"
	case errors.Is(err, fs.ErrPermission):
		e.Msg, e.Hint = "this user may not read it", "chmod or chown it, or run as its owner"
	}
	return e
}

// Parse reads a configuration; name is what messages call it and env looks up
// variables of the environment (os.LookupEnv; nil: there are none). It returns
// the Config with its defaults, checked, or else an error of type Errors: all
// that is wrong, in the order of the file.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	if len(data) > maxFile {
		return nil, Errors{{File: name, Msg: fmt.Sprintf("is longer than %s", Size(maxFile)), Hint: "is it a configuration?"}}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	r := newReport(newSource(name, data))
	root, faults := parseYAML(data)
	r.src.broken = len(faults) > 0
	for _, f := range faults {
		r.add(&r.errs, f.at, path{}, f.msg, r.envHint(f))
	}
	if root == nil {
		if len(faults) == 0 {
			r.add(&r.errs, place{}, path{}, "nothing to serve: the file says nothing", "begin with listen:, pools: and sites:")
		}
		return nil, r.finish(r.errs)
	}
	c := new(Config)
	r.site = siteNames(root, env)
	newDecoder(r, env).config(root, c)
	c.SetDefaults()
	c.check(r)
	if len(r.errs) > 0 {
		return nil, r.finish(r.errs)
	}
	c.Warnings = r.finish(r.warnings)
	return c, nil
}

// AdminSocket returns the admin socket that the file at path names, whatever else
// is wrong with the file: who reloads a broken configuration must reach the
// gateway that runs. Without such a key, or when it cannot be read, it returns
// DefaultSocket.
func AdminSocket(path string, env func(string) (string, bool)) string {
	data, err := read(path)
	if err != nil || len(data) > maxFile {
		return DefaultSocket()
	}
	root, _ := parseYAML(bytes.TrimPrefix(data, []byte("\ufeff")))
	n := root.get("admin").get("socket")
	if n == nil || n.kind != scalarNode {
		return DefaultSocket()
	}
	socket, wrong, _ := expand(n.text, env)
	if wrong != "" || socket == "" {
		return DefaultSocket()
	}
	return socket
}

// siteNames names sites in messages by their first hosts, as far as they can be
// read.
func siteNames(root *node, env func(string) (string, bool)) func(int) string {
	sites := root.get("sites")
	return func(i int) string {
		if sites == nil || i >= len(sites.items) {
			return ""
		}
		host := sites.items[i].get("hosts").first()
		if host == nil {
			return ""
		}
		name, _, _ := expand(host.text, env)
		return name
	}
}

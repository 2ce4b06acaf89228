package config

import (
	"maps"
	"slices"
	"strings"
)

// Opens names the first thing that the fragment would have the gateway itself open on
// this machine, such as a directory or a Unix socket; "": there is none. It matters
// where the gateway may open more than the owner of the file. What workers open, they
// open as their user.
func (f *Fragment) Opens() string {
	if f.Pool != nil {
		if what := f.Pool.opens(); what != "" {
			return what
		}
	}
	if what := f.Site.Filters.opens(); what != "" {
		return what
	}
	if auth := f.Site.TLS.ClientAuth; auth.CA != "" || auth.CRL != "" {
		return "tls.client_auth: " + auth.CA + auth.CRL
	}
	what := ""
	eachRoute(f.Site.Routes, func(t *Route) {
		if what == "" {
			what = t.opens()
		}
	})
	return what
}

func (p *Pool) opens() string {
	for _, m := range p.Members {
		for _, address := range []string{m.Address, m.Stats} {
			if strings.HasPrefix(address, "unix:") {
				return "member " + address
			}
		}
	}
	if strings.HasPrefix(p.Stats, "unix:") {
		return "stats: " + p.Stats
	}
	tls := p.UWSGI.TLS
	for _, file := range []string{tls.CA, tls.Cert, tls.Key} {
		if file != "" {
			return "tls: " + file
		}
	}
	return ""
}

func (t *Route) opens() string {
	switch {
	case t.Files != nil:
		return "files: " + t.Files.Root
	case len(t.Sendfile) > 0:
		return "sendfile: " + t.Sendfile[0]
	case t.Respond != nil && t.Respond.File != "":
		return "respond.file: " + t.Respond.File
	}
	return t.Filters.opens()
}

func (f Filters) opens() string {
	if f.BasicAuth != nil && f.BasicAuth.File != "" && f.BasicAuth.File != "off" {
		return "basic_auth: " + f.BasicAuth.File
	}
	for _, status := range slices.Sorted(maps.Keys(f.Errors)) {
		if page := f.Errors[status]; page.File != "" || page.Template != "" {
			return "errors." + status + ": " + page.File + page.Template
		}
	}
	if m := f.Maintenance; m != nil && (m.File != "" || m.Flag != "") {
		return "maintenance: " + m.File + m.Flag
	}
	return ""
}

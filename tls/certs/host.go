package certs

import (
	"context"
	"slices"
)

// authority is one issuer as a Set knows it. It is kept as long as its settings
// are the same, so that what it has learned outlives a reload.
type authority struct {
	name   string // "internal", "acme", or the name that the configuration gives it
	id     string // the same for the same authority, also in other processes
	issuer Issuer
	keys   []string // kinds of keys, the one to be preferred first

	settings string // what it was made from; "" for the local one

	room chan struct{} // one for each order under way that asks it first; nil for the local one
}

// local reports whether the authority makes certificates in this process and at
// once, so that they are kept nowhere.
func (a *authority) local() bool { return a.name == string(KindInternal) }

// want says who makes the certificate of some hosts. It is immutable.
type want struct {
	authorities []*authority // in the order in which they are asked; never empty

	// ask says whether a name that no site lists may have a certificate; nil
	// means that it may.
	ask func(ctx context.Context, name string) error
}

// local reports whether nobody but the local authority is asked.
func (w *want) local() bool { return len(w.authorities) == 1 && w.authorities[0].local() }

// keys are the kinds of keys of the certificates.
func (w *want) keys() []string { return w.authorities[0].keys }

// by finds an authority of a certificate that is there already.
func (w *want) by(id string) *authority {
	for _, a := range w.authorities {
		if a.id == id {
			return a
		}
	}
	return nil
}

// hostSet is what the configuration wants certificates for and no file covers.
// It is immutable.
type hostSet struct {
	exact map[string]*want
	wild  map[string]*want // by what follows the first label: ".example.com"
	rest  *want            // of every name that no site lists; nil: nobody's
}

// find says who makes the certificate of a clean name, and whether the name is
// listed one by one.
func (h *hostSet) find(name string) (w *want, listed bool) {
	if w := h.exact[name]; w != nil {
		return w, true
	}
	if w := h.wild[parent(name)]; w != nil {
		return w, false
	}
	return h.rest, false
}

// managed lists the names whose certificates are made before anybody asks: those
// that are listed, and wildcards that an authority can prove.
func (h *hostSet) managed() map[string]*want {
	out := make(map[string]*want, len(h.exact))
	for name, w := range h.exact {
		out[name] = w
	}
	for name, w := range h.wild {
		if !w.local() && w.ask == nil {
			out["*"+name] = w
		}
	}
	return out
}

func (h *hostSet) each(f func(*want)) {
	for _, w := range h.exact {
		f(w)
	}
	for _, w := range h.wild {
		f(w)
	}
	if h.rest != nil {
		f(h.rest)
	}
}

// uses reports whether some host's certificate may be made by an authority that
// is not this process.
func (h *hostSet) remote() (remote bool) {
	h.each(func(w *want) {
		remote = remote || slices.ContainsFunc(w.authorities, func(a *authority) bool { return !a.local() })
	})
	return remote
}

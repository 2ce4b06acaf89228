package certs

// hostSet is what the configuration wants certificates for and no file covers.
// It is immutable.
type hostSet struct {
	exact map[string]Kind
	wild  map[string]Kind // by what follows the first label: ".example.com"
	rest  bool            // some site answers for names that are not listed
	opts  Options
}

// kind says who makes the certificate of a clean name.
func (h *hostSet) kind(name string) Kind {
	if k, ok := h.exact[name]; ok {
		return k
	}
	if k, ok := h.wild[parent(name)]; ok {
		return k
	}
	if h.rest {
		if k, err := h.opts.IssuerFor(name); err == nil {
			return k
		}
	}
	return KindNone
}

// wants reports whether some host's certificate is made by k.
func (h *hostSet) wants(k Kind) bool {
	for _, m := range []map[string]Kind{h.exact, h.wild} {
		for _, got := range m {
			if got == k {
				return true
			}
		}
	}
	got, err := h.opts.IssuerFor("")
	return h.rest && err == nil && got == k
}

// names lists the exact names whose certificates are made by k.
func (h *hostSet) names(k Kind) []string {
	var names []string
	for name, got := range h.exact {
		if got == k {
			names = append(names, name)
		}
	}
	return names
}

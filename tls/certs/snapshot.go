package certs

import (
	"maps"
	"slices"
	"time"
)

// Info describes one certificate, for people.
type Info struct {
	Names     []string  `json:"names"`
	Source    string    `json:"source"`         // "file", or the kind of the issuer that made it
	File      string    `json:"file,omitempty"` // of the certificate, if it is from a file
	Issuer    string    `json:"issuer"`         // who signed it
	Key       string    `json:"key"`            // "ECDSA", "RSA" or "Ed25519"
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	RenewAt   time.Time `json:"renew_at,omitzero"` // zero for files
	OCSP      string    `json:"ocsp,omitempty"`    // one of the OCSP constants
	Err       string    `json:"error,omitempty"`   // the last thing that went wrong and still does
}

// Snapshot lists what is served: certificates from files as configured, then
// issued ones by name. A name whose issuer has not succeeded yet has zero times.
// The caller owns the result.
func (s *Store) Snapshot() []Info {
	v := s.view.Load()
	if v == nil {
		return nil
	}
	var out []Info
	for _, e := range v.index.entries {
		out = append(out, e.info())
	}
	if v.set.issued == nil {
		return out
	}
	leaves := v.set.issued.snapshot()
	for _, name := range slices.Sorted(maps.Keys(leaves)) {
		if l := leaves[name]; l.cert != nil || l.err != nil {
			out = append(out, l.info(name, v.set.issued.kind))
		}
	}
	return out
}

func (e *entry) info() Info {
	e.mu.Lock()
	st, bad := e.staple, e.badErr
	e.mu.Unlock()
	in := Info{
		Names:     slices.Clone(e.names),
		Source:    "file",
		File:      e.pair.Cert,
		Issuer:    e.leaf.Issuer.String(),
		Key:       e.leaf.PublicKeyAlgorithm.String(),
		NotBefore: e.leaf.NotBefore,
		NotAfter:  e.leaf.NotAfter,
	}
	if e.responder() != "" {
		in.OCSP = st.state
		if in.OCSP == OCSPNone {
			in.OCSP = OCSPPending
		}
	}
	switch {
	case bad != nil:
		in.Err = bad.Error()
	case st.err != nil:
		in.Err = st.err.Error()
	}
	return in
}

func (l *leaf) info(name string, k Kind) Info {
	in := Info{Names: []string{name}, Source: string(k)}
	if l.cert != nil {
		c := l.cert.Leaf
		in.Issuer, in.Key = c.Issuer.String(), c.PublicKeyAlgorithm.String()
		in.NotBefore, in.NotAfter, in.RenewAt = c.NotBefore, c.NotAfter, l.renewAt
	}
	if l.err != nil {
		in.Err = l.err.Error()
	}
	return in
}

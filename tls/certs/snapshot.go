package certs

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Info describes one certificate, for people.
type Info struct {
	Names     []string  `json:"names"`
	Source    string    `json:"source"`              // "file", or the name of the issuer that made it or is to make it
	File      string    `json:"file,omitempty"`      // of the certificate, if it is from a file
	Issuer    string    `json:"issuer"`              // who signed it
	Key       string    `json:"key"`                 // "ECDSA", "RSA" or "Ed25519"
	Challenge string    `json:"challenge,omitempty"` // how control of the name was proven
	OnDemand  bool      `json:"on_demand,omitempty"` // a client brought the name; no site lists it
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	RenewAt   time.Time `json:"renew_at,omitzero"` // zero for files
	RetryAt   time.Time `json:"retry_at,omitzero"` // after Err, when it is tried again
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
	issued := len(out)
	for _, t := range s.tasks(v) {
		out = append(out, t.info())
	}
	slices.SortStableFunc(out[issued:], func(a, b Info) int {
		return cmp.Or(strings.Compare(a.Names[0], b.Names[0]), strings.Compare(a.Key, b.Key))
	})
	return out
}

// info describes the certificate of an entry.
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

func (t task) info() Info {
	st := t.state.Load()
	in := Info{Names: []string{t.name}, OnDemand: !t.listed, Source: t.want.authorities[0].name}
	if st == nil {
		return in
	}
	if st.entry != nil {
		in = st.entry.info()
		in.OnDemand, in.Challenge, in.RenewAt = !t.listed, st.challenge, st.renewAt
		in.Source, _, _ = strings.Cut(st.authority, " ")
	}
	if st.err != nil {
		in.Err, in.RetryAt = oneLine(st.err), st.retryAt
	}
	return in
}

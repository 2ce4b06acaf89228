package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Set is everything that one configuration says about certificates, loaded and
// checked. Store.Build makes it, Store.Swap serves it. It is immutable.
type Set struct {
	options Options
	entries []*entry
	hosts   *hostSet
	issued  *issued // nil when no host needs an issuer
	ca      *CA     // nil when no host needs the local authority
}

// CA is the local authority that this set uses, or nil.
func (s *Set) CA() *CA { return s.ca }

// Check reports what Build would: mistakes in o, files that cannot be used, and
// hosts that nobody makes a certificate for. It reads the certificate files and
// changes nothing. What Build warns about goes to log; nil is silent.
func (o Options) Check(hosts []string, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	_, _, err := prepare(o, hosts, nil, log)
	return err
}

// Build loads what o asks for: every certificate file, and the local authority
// if some host needs it, which is made when there is none. Hosts are the names
// that the sites answer for: exact, wildcards such as *.example.com, IP
// addresses, and "" if some site answers for names that are not listed.
//
// Build changes nothing that serves. It reports every mistake at once, each with
// the key of Options it is about. Files that have not changed since they were
// loaded keep their staple, and certificates of the same issuer are kept.
func (s *Store) Build(ctx context.Context, o Options, hosts []string) (*Set, error) {
	var old *Set
	var have []*entry
	if v := s.view.Load(); v != nil {
		old, have = v.set, v.index.entries
	}
	entries, wanted, err := prepare(o, hosts, have, s.log)
	if err != nil {
		return nil, err
	}
	set := &Set{options: o, entries: entries, hosts: wanted}
	if !wanted.wants(KindInternal) {
		return set, nil
	}
	if set.ca, err = OpenCA(ctx, o.StorageDir()); err != nil {
		return nil, err
	}
	if set.ca.Made() {
		s.log.Info("made a local authority: run headgate trust to make browsers accept it", "file", set.ca.RootFile())
	}
	id := set.ca.id + " " + set.ca.dir
	if old != nil && old.issued != nil && old.issued.id == id {
		set.ca, set.issued = old.ca, old.issued
	} else {
		set.issued = newIssued(KindInternal, set.ca, id, s.log)
	}
	return set, nil
}

// prepare does the part of Build that only reads.
func prepare(o Options, hosts []string, have []*entry, log *slog.Logger) ([]*entry, *hostSet, error) {
	if err := o.Validate(); err != nil {
		return nil, nil, err
	}
	entries, err := loadEntries(o.Certificates, have, log)
	if err != nil {
		return nil, nil, err
	}
	wanted, err := assign(o, hosts, newIndex(entries), log)
	if err != nil {
		return nil, nil, err
	}
	return entries, wanted, nil
}

// loadEntries reads every pair, and keeps entries whose files hold the same
// bytes as when they were loaded.
func loadEntries(pairs []Pair, have []*entry, log *slog.Logger) ([]*entry, error) {
	var entries []*entry
	var errs []error
	for i, p := range pairs {
		e, err := loadOrKeep(p, have, log)
		if err != nil {
			errs = append(errs, fmt.Errorf("certificates[%d].%w", i, err))
			continue
		}
		entries = append(entries, e)
	}
	return entries, errors.Join(errs...)
}

func loadOrKeep(p Pair, have []*entry, log *slog.Logger) (*entry, error) {
	c, err := readPair(p)
	if err != nil {
		return nil, err
	}
	for _, e := range have {
		if e.pair == p && e.sum == c.sum {
			return e, nil
		}
	}
	return newEntry(p, c, log)
}

// assign decides for every host that no file covers who makes its certificate.
func assign(o Options, hosts []string, files *index, log *slog.Logger) (*hostSet, error) {
	h := &hostSet{exact: map[string]Kind{}, wild: map[string]Kind{}, opts: o}
	var errs []error
	for _, host := range hosts {
		host = cleanName(host)
		if host != "" && files.covers(host) {
			continue
		}
		k, err := o.IssuerFor(host)
		if err == nil && k == KindNone {
			err = uncovered(host, files, log)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		h.add(host, k)
	}
	return h, errors.Join(errs...)
}

// uncovered is about a host without certificate and issuer. With some file the
// first of them is shown, which a proxy in front may be content with.
func uncovered(host string, files *index, log *slog.Logger) error {
	if len(files.entries) > 0 {
		if host != "" {
			log.Warn("no certificate covers the host, the first one is shown", "host", host, "file", files.entries[0].pair.Cert)
		}
		return nil
	}
	if host == "" {
		host = "any host"
	}
	return fmt.Errorf("issuer: none, and no certificate covers %s: list one under certificates, or write internal", host)
}

func (h *hostSet) add(host string, k Kind) {
	switch {
	case host == "":
		h.rest = true
	case len(host) > 2 && host[:2] == "*.":
		h.wild[host[1:]] = k
	default:
		h.exact[host] = k
	}
}

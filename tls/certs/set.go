package certs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// Plan is what Build is told.
type Plan struct {
	Options Options

	// Sites are all sites with their hosts; one of them may have the host "",
	// which is every name that no other lists.
	Sites []Site

	// Ask is asked for permission before a certificate is obtained for a name
	// that no site lists, if Options.OnDemand is on: nil is yes, an error is no.
	// It returns when its context ends. A no is remembered for minutes; one with
	// the method Unanswered() bool that returns true, which is only the lack of an
	// answer, for seconds; and one with Fleeting() bool not at all.
	Ask func(ctx context.Context, name string) error
}

// Set is everything that one configuration says about certificates, loaded and
// checked. Store.Build makes it, Store.Swap serves it. It is immutable.
type Set struct {
	options    Options
	entries    []*entry
	hosts      *hostSet
	storageURL string
	storage    Storage // nil when nothing needs one
	challenges *Challenges
	remote     bool // some certificate is kept in the storage
	known      map[string]*authority
	policies   *policies
	ca         *CA   // nil when no host needs the local authority
	local      *want // what the local authority makes; nil without it
}

// CA is the local authority that this set uses, or nil.
func (s *Set) CA() *CA { return s.ca }

// wanted says who makes the certificate of a clean name. Addresses that clients
// connect to without naming a host are the local authority's, if there is one, and
// so are local names in place of a question to the app.
func (s *Set) wanted(name string) *want {
	w, _ := s.hosts.find(name)
	switch {
	case w == nil && isIP(name), w != nil && w.ask != nil && isLocal(name):
		return s.local
	}
	return w
}

// Check reports what Build would: mistakes in o, files that cannot be used, and
// hosts that nobody makes a certificate for. It reads the certificate files and
// changes nothing. What Build warns about goes to log; nil is silent.
func (o Options) Check(sites []Site, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	_, err := prepare(o, sites, nil, nil, log)
	return err
}

// Build loads what p asks for: every certificate file, and the local authority if
// some host needs it, which is made when there is none. Authorities are not asked
// for anything yet.
//
// Build changes nothing that serves. It reports every mistake at once, each with
// the key of Options it is about. Files that have not changed since they were
// loaded keep their staple, and authorities that are the same keep what they know.
func (s *Store) Build(ctx context.Context, p Plan) (*Set, error) {
	var old *Set
	var have []*entry
	if v := s.view.Load(); v != nil {
		old, have = v.set, v.index.entries
	}
	read, err := prepare(p.Options, p.Sites, old, have, s.log)
	if err != nil {
		return nil, err
	}
	set := &Set{
		options: p.Options, entries: read.entries, policies: read.policies,
		known: map[string]*authority{}, hosts: &hostSet{exact: map[string]*want{}, wild: map[string]*want{}},
	}
	if !read.needStorage(p.Options) {
		return set, nil
	}
	if err := s.openStorage(ctx, set, old); err != nil {
		return nil, err
	}
	for _, a := range read.assigned {
		w, err := s.want(ctx, set, old, p, a)
		if err != nil {
			s.Discard(set)
			return nil, err
		}
		set.hosts.add(a.host, w)
	}
	set.remote = set.hosts.remote()
	if a := set.known[string(KindInternal)]; a != nil {
		set.local = &want{authorities: []*authority{a}}
	}
	return set, nil
}

// Discard lets go of a set that will not be swapped in, which would keep its
// storage open until Run ends.
func (s *Store) Discard(set *Set) {
	c, ok := set.storage.(io.Closer)
	if v := s.view.Load(); !ok || v != nil && v.set.storage == set.storage {
		return
	}
	s.mu.Lock()
	s.opened = slices.DeleteFunc(s.opened, func(o io.Closer) bool { return o == c })
	s.mu.Unlock()
	if err := c.Close(); err != nil {
		s.log.Debug("storage not closed", "err", err)
	}
}

// openStorage gives set its storage: that of old if it is the same.
func (s *Store) openStorage(ctx context.Context, set, old *Set) error {
	set.storageURL = set.options.storageURL()
	if old != nil && old.storage != nil && old.storageURL == set.storageURL {
		set.storage, set.challenges = old.storage, old.challenges
		return nil
	}
	if s.setup.Storage == nil {
		return errors.New("storage: there is none to keep certificates in")
	}
	var err error
	if set.storage, err = s.setup.Storage(ctx, set.storageURL); err != nil {
		return keyed("storage", err)
	}
	if c, ok := set.storage.(io.Closer); ok {
		s.mu.Lock()
		s.opened = append(s.opened, c)
		s.mu.Unlock()
	}
	set.challenges = NewChallenges(set.storage)
	return nil
}

// assignment is a host that no file covers, and who is to make its certificate.
type assignment struct {
	host    string // clean; "" for every name that no site lists
	issuers []string
}

// want finds or makes the authorities of a.
func (s *Store) want(ctx context.Context, set, old *Set, p Plan, a assignment) (*want, error) {
	w := &want{}
	for _, name := range a.issuers {
		got := set.known[name]
		if got == nil {
			var err error
			if got, err = s.authority(ctx, set, old, name); err != nil {
				return nil, err
			}
			set.known[name] = got
		}
		w.authorities = append(w.authorities, got)
	}
	listed := a.host != "" && (!strings.HasPrefix(a.host, "*.") || p.Options.proves(a.issuers))
	if !listed && !w.local() {
		w.ask = p.Ask
		if p.Ask == nil {
			return nil, fmt.Errorf("on_demand.ask: nobody can be asked for permission")
		}
	}
	return w, nil
}

// authority makes one, or keeps that of old.
func (s *Store) authority(ctx context.Context, set, old *Set, name string) (*authority, error) {
	if name == string(KindInternal) {
		return s.localAuthority(ctx, set, old)
	}
	o, _ := set.options.authority(name)
	settings, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	id := name + " " + directoryOf(o.ACMEOptions)
	if old != nil && old.storage == set.storage {
		if a := old.known[name]; a != nil && a.settings == string(settings) {
			return a, nil
		}
	}
	if s.setup.ACME == nil {
		return nil, fmt.Errorf("issuer: %s is an ACME authority, and there is no client for one", name)
	}
	issuer, err := s.setup.ACME(Authority{
		Name: name, Email: o.Email, Options: o.ACMEOptions,
		Storage: set.storage, Challenges: set.challenges, Log: s.log,
	})
	if err != nil {
		return nil, fmt.Errorf("issuer %s: %w", name, err)
	}
	keys := o.Keys
	if len(keys) == 0 {
		keys = []string{keyP256}
	}
	return &authority{name: name, id: id, issuer: issuer, keys: slices.Clone(keys), settings: string(settings), room: make(chan struct{}, ordersAtOnce)}, nil
}

// localAuthority opens the local authority of the storage. One that has been read
// is not read again: a reload does not need the storage to be there. Where it is on
// another machine that cannot be reached, the gateway starts all the same, and the
// authority is opened when somebody needs it.
func (s *Store) localAuthority(ctx context.Context, set, old *Set) (*authority, error) {
	a := &authority{name: string(KindInternal), keys: []string{keyP256}}
	if old != nil && old.ca != nil && old.storage == set.storage {
		set.ca = old.ca
	} else {
		ca, err := OpenCA(ctx, set.storage)
		if err != nil && strings.HasPrefix(set.storageURL, fileScheme) {
			return nil, keyed("storage", err)
		}
		if err != nil {
			s.log.Error("local authority cannot be read yet: local names have no certificate until it can", "err", err)
			a.id, a.issuer = string(KindInternal)+" unread", &lateCA{storage: set.storage, turn: make(chan struct{}, 1)}
			return a, nil
		}
		if ca.Made() {
			s.log.Info("made a local authority: run headgate trust to make browsers accept it", "storage", set.options.publicStorage())
		}
		if old != nil && old.ca != nil && old.ca.id == ca.id {
			ca = old.ca
		}
		set.ca = ca
	}
	a.id, a.issuer = string(KindInternal)+" "+set.ca.id, set.ca
	return a, nil
}

func directoryOf(o ACMEOptions) string {
	if o.Directory == "" {
		return DefaultDirectory
	}
	return o.Directory
}

// prepared is what prepare has read.
type prepared struct {
	entries  []*entry
	assigned []assignment
	policies *policies
}

// needStorage reports whether there is something to keep. Ticket keys alone are
// kept only where gateways can share them.
func (p prepared) needStorage(o Options) bool {
	return len(p.assigned) > 0 || o.ECH.PublicName != "" || !strings.HasPrefix(o.storageURL(), fileScheme)
}

// prepare does the part of Build that only reads.
func prepare(o Options, sites []Site, old *Set, have []*entry, log *slog.Logger) (prepared, error) {
	if err := o.Validate(); err != nil {
		return prepared{}, err
	}
	var had *policies
	if old != nil {
		had = old.policies
	}
	var p prepared
	var errs [3]error
	p.policies, errs[0] = newPolicies(o, sites, had, log)
	if p.entries, errs[1] = loadEntries(o.Certificates, have, log); errs[1] == nil {
		p.assigned, errs[2] = assign(o, sites, newIndex(p.entries), log)
	}
	return p, errors.Join(append(o.checkFiles(), errs[:]...)...)
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

// assign decides for every host that no file covers who makes its certificate. A
// host that a wildcard of the same issuers stands for needs none of its own.
func assign(o Options, sites []Site, files *index, log *slog.Logger) ([]assignment, error) {
	var out []assignment
	var errs []error
	wild := map[string][]string{} // issuers of wildcards that can be proven, by ".example.com"
	for _, site := range sites {
		for _, host := range site.Hosts {
			host = cleanName(host)
			if host != "" && files.covers(host) {
				continue
			}
			names, err := o.IssuersFor(site.Options, host)
			if err == nil && len(names) == 0 {
				if err = uncovered(host, files, log); err == nil {
					continue
				}
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if strings.HasPrefix(host, "*.") && o.proves(names) {
				wild[host[1:]] = names
			}
			out = append(out, assignment{host, names})
		}
	}
	out = slices.DeleteFunc(out, func(a assignment) bool {
		names, ok := wild[parent(a.host)]
		return ok && !strings.HasPrefix(a.host, "*.") && slices.Equal(names, a.issuers)
	})
	return out, errors.Join(errs...)
}

// proves reports whether one of the issuers can prove wildcards.
func (o Options) proves(issuers []string) bool {
	return slices.ContainsFunc(issuers, func(n string) bool {
		a, ok := o.authority(n)
		return ok && a.provesWildcards()
	})
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

func (h *hostSet) add(host string, w *want) {
	switch {
	case host == "":
		h.rest = w
	case strings.HasPrefix(host, "*."):
		h.wild[host[1:]] = w
	default:
		h.exact[host] = w
	}
}

// keyed puts the key of Options before err, unless it is there.
func keyed(key string, err error) error {
	if strings.HasPrefix(err.Error(), key+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", key, err)
}

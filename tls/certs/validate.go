package certs

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// faults are mistakes, each message begins with its key.
type faults struct{ errs []error }

func (f *faults) add(key, format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf(key+": "+format, args...))
}

// word reports a value that is none of the known ones. Empty is the default.
func (f *faults) word(key, value string, known ...string) {
	if value != "" && !slices.Contains(known, value) {
		last := len(known) - 1
		f.add(key, "%s is not known here: write %s or %s", quote(value), strings.Join(known[:last], ", "), known[last])
	}
}

// Validate reports every mistake at once. Each message starts with the key it
// is about, as in "certificates[0].key: ". It does no I/O; see Check. What sites
// say is checked by [SiteOptions.Validate].
func (o Options) Validate() error {
	f := &faults{}
	f.issuerList(o.Issuer)
	for i, name := range o.Issuer {
		if !o.Knows(name) {
			f.add(item("issuer", i), "%s is not an issuer: write auto, acme, internal, none, or a name of tls.issuers", quote(name))
		}
	}
	f.email("email", o.Email)
	for i, p := range o.Certificates {
		if p.Cert == "" {
			f.add(item("certificates", i)+".cert", "no file is named: give the path of the certificate's PEM file")
		}
		if p.Key == "" {
			f.add(item("certificates", i)+".key", "no file is named: give the path of the key's PEM file")
		}
	}
	f.acme("acme", o.ACME)
	f.issuers(o.Issuers)
	f.onDemand(o.OnDemand)
	if n := o.ECH.PublicName; n != "" && (!isHostName(cleanName(n)) || isIP(cleanName(n))) {
		f.add("ech.public_name", "%s is not a host name: write it like ech.example.com", quote(n))
	}
	f.storage(o.Storage)
	f.word("min_version", o.MinVersion, "1.2", "1.3")
	return errors.Join(f.errs...)
}

// Validate reports every mistake of s alone at once, as [Options.Validate] does.
// Whether the issuers that it names exist, Options knows.
func (s SiteOptions) Validate() error {
	f := &faults{}
	f.issuerList(s.Issuer)
	f.word("min_version", s.MinVersion, "1.2", "1.3")
	f.clientAuth(s.ClientAuth)
	return errors.Join(f.errs...)
}

// Knows reports whether name can stand in Issuer: one of the four words, or a
// name of Issuers.
func (o Options) Knows(name string) bool {
	return isIssuerWord(name) || slices.ContainsFunc(o.Issuers, func(n NamedACME) bool { return n.Name == name })
}

func isIssuerWord(name string) bool {
	switch name {
	case issuerAuto, string(KindACME), string(KindInternal), string(KindNone):
		return true
	}
	return false
}

func (f *faults) issuerList(list []string) {
	for i, name := range list {
		switch first := slices.Index(list, name); {
		case first < i:
			f.add(item("issuer", i), "%s is listed twice: remove one of the two", quote(name))
		case name == string(KindNone) && len(list) > 1:
			f.add(item("issuer", i), "none stands among others: leave it alone, or remove it")
		}
	}
}

func (f *faults) email(key, s string) {
	if s != "" && !strings.Contains(strings.Trim(s, "@"), "@") {
		f.add(key, "%s is not an address: write it like ops@example.com", quote(s))
	}
}

func (f *faults) onDemand(o OnDemandOptions) {
	const key = "on_demand.ask"
	if o.Rate < 0 {
		f.add("on_demand.rate", "%d is no rate: write how many certificates an hour may bring", o.Rate)
	}
	if o.Ask == "" {
		if o.Rate != 0 {
			f.add(key, "is missing, and without it nothing is obtained on demand: give whom to ask, or remove on_demand")
		}
		return
	}
	u, err := url.Parse(o.Ask)
	switch {
	case o.Ask == AskSubscriptions:
	case err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "pool"}, u.Scheme):
		f.add(key, "%s is neither a URL nor an app: write it like https://app.example.com/allowed, pool://POOL/allowed, or subscriptions", quote(o.Ask))
	case u.Scheme == "pool" && (u.User != nil || u.Path == ""):
		f.add(key, "%s has no path: write it like pool://%s/allowed", quote(o.Ask), u.Host)
	case u.Fragment != "":
		f.add(key, "%s has a fragment, which is never sent: remove it", quote(o.Ask))
	}
}

func (f *faults) clientAuth(c ClientAuth) {
	const key = "client_auth"
	f.word(key+".mode", c.Mode, "require", "request")
	if c.CA == "" && c != (ClientAuth{}) {
		f.add(key+".ca", "is missing, and without it no client is asked for a certificate: give the PEM file of the authorities, or remove client_auth")
	}
}

func (f *faults) storage(s string) {
	const key = "storage"
	path, isFile := strings.CutPrefix(s, fileScheme)
	switch {
	case s == "":
	case strings.HasPrefix(s, "redis://"), strings.HasPrefix(s, "rediss://"):
		if fault := redisFault(s); fault != "" {
			f.add(key, "%s %s", quote(s), fault)
		}
	case strings.HasPrefix(s, "redis"):
		f.add(key, "this is not the URL of a Redis server: write redis://[user:password@]host:6379/0") // not quoted: it may hold a password
	case !isFile:
		f.add(key, "%s is not a place that can be used: write file:/path or redis://host:6379/0", quote(s))
	case !filepath.IsAbs(path):
		f.add(key, "%s is not an absolute path: write file:/path", quote(s))
	}
}

// redisFault says what is wrong with the URL of a Redis server, or "", as package
// storage would when it opens it. The error of url.Parse is not in it, since that
// repeats the password.
func redisFault(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "is not a URL: write it like redis://host:6379/0, with signs such as / # @ of a password as %2F %23 %40"
	}
	if u.Hostname() == "" {
		return "names no host: write it like redis://host:6379/0"
	}
	if port := u.Port(); port != "" && !isPort(port) {
		return "has no port from 1 to 65535: write it like redis://host:6379/0"
	}
	if _, ok := u.User.Password(); u.User.Username() != "" && !ok {
		return "has a user without a password: write it like redis://user:password@host:6379/0"
	}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		if n, err := strconv.Atoi(db); err != nil || n < 0 || n > maxRedisDB {
			return "has no number of a database after the host: write it like redis://host:6379/0"
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Fragment != "" {
		return "is not a URL: write it like redis://host:6379/0?prefix=shop:"
	}
	for name, values := range query {
		switch {
		case name != "prefix" && name != "lease" || len(values) > 1:
			return fmt.Sprintf("has a %s that is not known: leave no more than one prefix and one lease after the ?", quote(name))
		case name == "prefix" && !isPrefix(values[0]):
			return "has a prefix that cannot be one: give it 1 to 128 printable ASCII characters"
		case name == "lease" && !isLease(values[0]):
			return "has a lease that is no time from 1s to 10m: write it like lease=15s"
		}
	}
	return ""
}

const maxRedisDB = 1 << 20

func isPrefix(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func isLease(s string) bool {
	d, err := time.ParseDuration(s)
	return err == nil && d >= time.Second && d <= 10*time.Minute
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

// quote shows a value in a message: cut, and without the user and the password
// that a URL may have.
func quote(s string) string {
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			s = scheme + "://***" + rest[i:]
		}
	}
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "..."
	}
	return strconv.Quote(s)
}

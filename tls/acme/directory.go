package acme

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

const (
	directoryLife = time.Hour       // then it is read again
	directoryMiss = 5 * time.Second // an authority that is down is not asked by every name at once
)

// directory is what an authority says of itself (RFC 8555 section 7.1.1). The ACME
// library would read it under a lock that all authorities of the process share, so
// that a slow one holds up the one to fall back on, and keep it for good. It is
// given what is read here.
type directory struct {
	url  string
	http *http.Client
	log  *slog.Logger
	turn chan struct{} // holds one token; whoever has it may ask

	mu   sync.Mutex // guards the fields below
	now  *service
	read time.Time // when now was read
	miss error     // of the last try
	when time.Time // of the last try
}

// service is one state of a directory, and a client for it.
type service struct {
	dir    acme.Directory
	client *acme.Client
}

func newDirectory(url string, client *http.Client, log *slog.Logger) *directory {
	d := &directory{url: url, http: client, log: log, turn: make(chan struct{}, 1)}
	d.turn <- struct{}{}
	return d
}

// get returns the service, and asks the authority when it has not for a while. An
// old one is better than none.
func (d *directory) get(ctx context.Context) (*service, error) {
	if s, err := d.cached(); s != nil || err != nil {
		return s, err
	}
	select {
	case <-d.turn:
		defer func() { d.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s, err := d.cached(); s != nil || err != nil {
		return s, err
	}
	dir, err := d.fetch(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, err // this caller has no more time; that says nothing of the authority
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.miss, d.when = err, time.Now()
	if err != nil {
		if d.now == nil {
			return nil, err
		}
		return d.now, nil
	}
	d.now, d.read = d.serviceLocked(dir), d.when
	return d.now, nil
}

// cached returns what is known without asking; nothing means to ask.
func (d *directory) cached() (*service, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	recent := d.miss != nil && time.Since(d.when) < directoryMiss
	switch {
	case d.now != nil && (recent || time.Since(d.read) < directoryLife):
		return d.now, nil
	case recent:
		return nil, d.miss
	}
	return nil, nil
}

func (d *directory) fetch(ctx context.Context) (acme.Directory, error) {
	var dir acme.Directory
	resp, err := get(ctx, d.http, d.url)
	if err != nil {
		return dir, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return dir, fmt.Errorf("%s answers %s", d.url, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&dir); err != nil {
		return dir, fmt.Errorf("%s is not the directory of an ACME authority: %w", d.url, err)
	}
	if dir.NewNonce == "" || dir.NewAccount == "" || dir.NewOrder == "" {
		return dir, fmt.Errorf("%s is not the directory of an ACME authority: newNonce, newAccount or newOrder is missing", d.url)
	}
	return dir, nil
}

// get does a plain request.
func get(ctx context.Context, client *http.Client, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	return client.Do(req)
}

// serviceLocked makes a client for dir, or keeps the old one when nothing has
// changed. The library keeps directories by URL in a variable of its package, so
// another state is another URL. It is not told of renewal information: it would
// ask for it, with long retries, before it hands out a certificate.
func (d *directory) serviceLocked(dir acme.Directory) *service {
	plain := dir
	plain.RenewalInfo = ""
	body, err := json.Marshal(plain)
	if err != nil {
		panic("acme: directory does not marshal: " + err.Error())
	}
	sum := sha256.Sum256(body)
	url := d.url + "#" + hex.EncodeToString(sum[:8])
	if d.now != nil && d.now.client.Directory == url {
		return &service{dir: dir, client: d.now.client}
	}
	client := *d.http
	client.Transport = &known{next: client.Transport, url: url, body: body}
	return &service{dir: dir, client: &acme.Client{
		Directory: url, HTTPClient: &client, UserAgent: userAgent, Logger: slog.New(quiet{d.log.Handler()}),
	}}
}

// known answers the question for the directory by itself.
type known struct {
	next http.RoundTripper
	url  string
	body []byte
}

// RoundTrip implements http.RoundTripper.
func (k *known) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() != k.url {
		return k.next.RoundTrip(r)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(bytes.NewReader(k.body)), ContentLength: int64(len(k.body)),
	}, nil
}

// checkProfile reports a profile that the authority does not have.
func (s *service) checkProfile(name string) error {
	if name == "" {
		return nil
	}
	if s.dir.Meta == nil || len(s.dir.Meta.Profiles) == 0 {
		return fmt.Errorf("profile: the authority has no profiles: leave %q out", name)
	}
	if _, ok := s.dir.Meta.Profiles[name]; ok {
		return nil
	}
	return fmt.Errorf("profile: the authority has no %q: write one of %s", name, s.profiles())
}

// profiles are the names of the profiles of an authority that has some.
func (s *service) profiles() string {
	return short(strings.Join(slices.Sorted(maps.Keys(s.dir.Meta.Profiles)), ", "), maxDetail)
}

// quiet turns what the ACME library logs into debug records: what it logs as an
// error it also returns.
type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

package acme

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"headgate/tls/certs"
)

const (
	acmeDNSTime   = 10 * time.Second // for one request
	acmeDNSTries  = 3
	acmeDNSPause  = 500 * time.Millisecond // before the second try; then twice that
	maxAPIAnswer  = 16 << 10
	challengeName = "_acme-challenge."
)

// acmeDNS sets records through an acme-dns server, which knows no zones: each of
// its accounts sets the two last values of one name, which a CNAME of the domain
// leads to. It implements libdns. It is immutable and safe for concurrent use.
type acmeDNS struct {
	server string // URL
	file   string // of the accounts; it is read at each use
	strict bool   // a name that no CNAME leads away from is a mistake
	client *http.Client
}

func newACMEDNS(o certs.ACMEDNS, strict bool, log *slog.Logger) (*acmeDNS, error) {
	_, open, err := readAccounts(o.Accounts)
	if err != nil {
		return nil, err
	}
	if open {
		log.Warn("acme-dns accounts can be read by others: run chmod 600 on the file", "file", o.Accounts)
	}
	// Nothing is kept between two orders, which are weeks apart.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: acmeDNSTime, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the password is for nobody else
	}}
	return &acmeDNS{server: o.Server, file: o.Accounts, strict: strict, client: client}, nil
}

// AppendRecords implements libdns.RecordAppender for one TXT record or several of
// one name.
func (p *acmeDNS) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	for _, rec := range recs {
		rr := rec.RR()
		a, err := p.account(dns.CanonicalName(libdns.AbsoluteName(rr.Name, zone)))
		if err != nil {
			return nil, err
		}
		if err := p.update(ctx, a, rr.Data); err != nil {
			return nil, err
		}
	}
	return recs, nil
}

// DeleteRecords implements libdns.RecordDeleter. It does nothing: acme-dns has no
// way to remove a value, and forgets it when two newer ones are set.
func (p *acmeDNS) DeleteRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	return nil, nil
}

// account finds the account of a record: by the name that CNAMEs have led to, or,
// when nobody has looked for CNAMEs, by the domain.
func (p *acmeDNS) account(name string) (acmeDNSAccount, error) {
	accounts, _, err := readAccounts(p.file)
	if err != nil {
		return acmeDNSAccount{}, err
	}
	if a, ok := accounts.byTarget(name); ok {
		return a, nil
	}
	domain, direct := strings.CutPrefix(name, challengeName)
	if !direct {
		return acmeDNSAccount{}, fmt.Errorf("acme_dns.accounts: no account of %s has the fulldomain %s: add it there, or point the CNAME to the fulldomain of one that is", p.file, strings.TrimSuffix(name, "."))
	}
	domain = strings.TrimSuffix(domain, ".")
	a, ok := accounts[domain]
	switch {
	case !ok:
		return acmeDNSAccount{}, fmt.Errorf("acme_dns.accounts: %s has no account for %s: register one (curl -X POST %s), add the answer to the file under %q, and create the record %s CNAME with its fulldomain", p.file, domain, p.register(), domain, name)
	case p.strict:
		return acmeDNSAccount{}, fmt.Errorf("%s does not lead to acme-dns: create the record %s CNAME %s", name, name, dns.Fqdn(a.FullDomain))
	}
	return a, nil
}

func (p *acmeDNS) register() string {
	if u, err := url.JoinPath(p.server, "register"); err == nil {
		return u
	}
	return p.server
}

// update adds a value to the account's name, and tries again what may work the
// second time.
func (p *acmeDNS) update(ctx context.Context, a acmeDNSAccount, value string) error {
	server := a.ServerURL
	if server == "" {
		server = p.server
	}
	if server == "" {
		return errors.New("acme_dns.server: no server is named: give its URL")
	}
	u, err := url.JoinPath(server, "update")
	if err != nil {
		return fmt.Errorf("acme_dns.server: %w", err)
	}
	for try, pause := 1, acmeDNSPause; ; try, pause = try+1, 2*pause {
		again, err := p.post(ctx, u, a, value)
		if err == nil || !again || try == acmeDNSTries {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// post sends one update. Again reports that the same may have success later.
func (p *acmeDNS) post(ctx context.Context, u string, a acmeDNSAccount, value string) (again bool, err error) {
	body, err := json.Marshal(map[string]string{"subdomain": a.SubDomain, "txt": value})
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("acme_dns.server: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-User", a.Username)
	req.Header.Set("X-Api-Key", a.Password)
	resp, err := p.client.Do(req)
	if err != nil {
		return ctx.Err() == nil, fmt.Errorf("acme-dns: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, maxAPIAnswer))
	switch {
	case err != nil:
		return ctx.Err() == nil, fmt.Errorf("acme-dns: %w", err)
	case resp.StatusCode == http.StatusOK:
		return false, checkUpdated(said, value)
	}
	return resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests, p.refused(u, resp, said)
}

// checkUpdated makes sure that an acme-dns server has answered, not a login page.
func checkUpdated(said []byte, value string) error {
	var answer struct {
		TXT string `json:"txt"`
	}
	if err := json.Unmarshal(said, &answer); err != nil || answer.TXT != value {
		return fmt.Errorf("acme_dns.server: what answers there is not acme-dns: %s", plainText(said))
	}
	return nil
}

func (p *acmeDNS) refused(u string, resp *http.Response, said []byte) error {
	text := plainText(said)
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("acme-dns refuses the account (%s %s): its username and password in %s are not those of %s, or its allowfrom lacks the address of this machine", resp.Status, text, p.file, u)
	case http.StatusBadRequest:
		return fmt.Errorf("acme-dns refuses the update (%s %s): the subdomain in %s has to be the one of the account", resp.Status, text, p.file)
	case http.StatusNotFound:
		return fmt.Errorf("acme_dns.server: %s answers %s: give the URL without /update", u, resp.Status)
	}
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		return fmt.Errorf("acme_dns.server: %s leads to %s (%s): give the URL that it leads to, without /update", u, plainText([]byte(to)), resp.Status)
	}
	return fmt.Errorf("acme-dns: %s answers %s %s", u, resp.Status, text)
}

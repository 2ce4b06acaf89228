package acme

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/miekg/dns"
)

const maxAccountsFile = 1 << 20

// acmeDNSAccount is one entry of an accounts file, as acme-dns hands it out.
type acmeDNSAccount struct {
	Username   string `json:"username"`
	Password   string `json:"password"`
	FullDomain string `json:"fulldomain"`
	SubDomain  string `json:"subdomain"`
	ServerURL  string `json:"server_url"` // "": the server of the configuration
}

// acmeDNSAccounts are accounts by domain: clean, without "*." and final dot.
type acmeDNSAccounts map[string]acmeDNSAccount

// readAccounts reads an accounts file. Open reports that others may read it.
func readAccounts(file string) (accounts acmeDNSAccounts, open bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, false, fmt.Errorf("acme_dns.accounts: %w: give the JSON file of an acme-dns client", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxAccountsFile+1))
	if err != nil {
		return nil, false, err
	}
	if len(data) > maxAccountsFile {
		return nil, false, fmt.Errorf("acme_dns.accounts: %s is larger than %d bytes: it is no accounts file", file, maxAccountsFile)
	}
	accounts, err = parseAccounts(data)
	if err != nil {
		return nil, false, fmt.Errorf("acme_dns.accounts: %s: %w", file, err)
	}
	return accounts, fi.Mode().Perm()&0o077 != 0, nil
}

// parseAccounts reads the JSON that acme-dns clients keep. Keys that it does not
// know are passed over, since clients add some of their own.
func parseAccounts(data []byte) (acmeDNSAccounts, error) {
	var raw map[string]acmeDNSAccount
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf(`not accounts by domain, as in {"example.com": {"username": …, "password": …, "fulldomain": …, "subdomain": …}}: %w`, err)
	}
	out := acmeDNSAccounts{}
	for domain, a := range raw {
		clean := cleanDomain(domain)
		switch {
		case clean == "":
			return nil, fmt.Errorf("%q is not a domain", domain)
		case a.Username == "" || a.Password == "" || a.SubDomain == "" || a.FullDomain == "":
			return nil, fmt.Errorf("the account of %s lacks username, password, subdomain or fulldomain: copy the whole answer of acme-dns", domain)
		}
		if twin, ok := out[clean]; ok && twin != a {
			return nil, fmt.Errorf("%s has two accounts: keep the one that the CNAME of _acme-challenge.%s leads to", clean, clean)
		}
		out[clean] = a
	}
	return out, nil
}

// byTarget returns the account that sets the record name.
func (as acmeDNSAccounts) byTarget(name string) (acmeDNSAccount, bool) {
	for _, a := range as {
		if dns.CanonicalName(a.FullDomain) == name {
			return a, true
		}
	}
	return acmeDNSAccount{}, false
}

func cleanDomain(s string) string {
	return strings.TrimRight(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "*."), ".")
}

package redis

import (
	"errors"
	"fmt"
	"net"
	neturl "net/url"
	"strconv"
	"strings"
)

const (
	defaultPrefix = "headgate:"
	maxPrefix     = 128
	maxDB         = 1 << 20
)

// params is what the URL of a server says.
type params struct {
	secure         bool
	host, port     string
	user, password string
	db             int
	prefix         string // of all keys
}

func (p params) addr() string { return net.JoinHostPort(p.host, p.port) }

// parse reads redis://[user:password@]host[:port][/db][?prefix=...], and rediss with
// TLS, as the storage of certificates does. No error repeats the URL: the password
// may be in it.
func parse(url string) (params, error) {
	u, err := neturl.Parse(url)
	if err != nil || u.Opaque != "" || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.Fragment != "" {
		return params{}, errors.New("this is no URL of redis: write redis://user:password@host:6379/0, with %40 for @, %2F for /, %3A for :, %23 for # and %25 for % inside the password")
	}
	p := params{secure: u.Scheme == "rediss", host: u.Hostname(), port: u.Port(), prefix: defaultPrefix}
	if p.port == "" {
		p.port = "6379"
	}
	if n, err := strconv.ParseUint(p.port, 10, 16); err != nil || n == 0 {
		return params{}, errors.New("the port of the redis URL is none: write a number from 1 to 65535")
	}
	p.user = u.User.Username()
	p.password, _ = u.User.Password()
	if p.user != "" && p.password == "" {
		return params{}, errors.New("the redis URL has a user and no password: write redis://user:password@host, or redis://:password@host for the default user")
	}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" {
		if p.db, err = strconv.Atoi(db); err != nil || p.db < 0 || p.db > maxDB {
			return params{}, fmt.Errorf("redis %s: the database after the slash is no number: write /0", p.addr())
		}
	}
	return p, p.setQuery(u.RawQuery)
}

func (p *params) setQuery(raw string) error {
	query, err := neturl.ParseQuery(raw)
	if err != nil {
		return fmt.Errorf("redis %s: what follows the ? cannot be read: write ?prefix=name, or leave it out", p.addr())
	}
	for name, values := range query {
		if name != "prefix" {
			return fmt.Errorf("redis %s: %.40q is no parameter: write prefix, or leave it out", p.addr(), name)
		}
		p.prefix = values[0]
		bad := strings.ContainsFunc(p.prefix, func(r rune) bool { return r <= ' ' || r > '~' })
		if p.prefix == "" || len(p.prefix) > maxPrefix || bad || len(values) > 1 {
			return fmt.Errorf("redis %s: prefix: this cannot be one: write 1 to %d printable ASCII characters, once", p.addr(), maxPrefix)
		}
	}
	return nil
}

package redis

import (
	"errors"
	"fmt"
	"net"
	neturl "net/url"
	"strconv"
	"strings"
	"time"
)

const (
	defaultPrefix = "headgate:"
	maxPrefix     = 128
	maxDB         = 1 << 20

	defaultTimeout = 50 * time.Millisecond
	minTimeout     = time.Millisecond
	maxTimeout     = 5 * time.Second
)

// params is what the URL of a server says.
type params struct {
	secure         bool
	host, port     string
	user, password string
	db             int
	prefix         string        // of all keys
	timeout        time.Duration // for an answer
}

func (p params) addr() string { return net.JoinHostPort(p.host, p.port) }

// parse reads redis://[user:password@]host[:port][/db][?prefix=...&timeout=...], and
// rediss with TLS, as the storage of certificates does. No error repeats the URL: the
// password may be in it.
func parse(url string) (params, error) {
	u, err := neturl.Parse(url)
	if err != nil || u.Opaque != "" || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.Fragment != "" {
		return params{}, errors.New("this is no URL of redis: write redis://user:password@host:6379/0, with %40 for @, %2F for /, %3A for :, %23 for # and %25 for % inside the password")
	}
	p := params{secure: u.Scheme == "rediss", host: u.Hostname(), port: u.Port(), prefix: defaultPrefix, timeout: defaultTimeout}
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
		value := values[len(values)-1]
		switch {
		case len(values) > 1:
			return fmt.Errorf("redis %s: %.40q is given twice: write it once", p.addr(), name)
		case name == "prefix":
			err = p.setPrefix(value)
		case name == "timeout":
			err = p.setTimeout(value)
		default:
			err = fmt.Errorf("redis %s: %.40q is no parameter: write prefix or timeout", p.addr(), name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *params) setPrefix(value string) error {
	bad := strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
	if value == "" || len(value) > maxPrefix || bad {
		return fmt.Errorf("redis %s: prefix: this cannot be one: write 1 to %d printable ASCII characters", p.addr(), maxPrefix)
	}
	p.prefix = value
	return nil
}

func (p *params) setTimeout(value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < minTimeout || d > maxTimeout {
		return fmt.Errorf("redis %s: timeout: this is none: write a duration from %v to %v, as 50ms", p.addr(), minTimeout, maxTimeout)
	}
	p.timeout = d
	return nil
}

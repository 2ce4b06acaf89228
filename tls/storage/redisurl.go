package storage

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	neturl "net/url"
	"strconv"
	"strings"
	"time"
)

const (
	defaultPrefix = "headgate:"
	defaultLease  = 15 * time.Second
	minLease      = time.Second
	maxLease      = 10 * time.Minute
	maxPrefix     = 128
	maxDB         = 1 << 20
)

// redisParams is what the URL of a Redis server says.
type redisParams struct {
	secure         bool
	host, port     string
	user, password string
	db             int
	prefix         string // of all keys and locks
	lease          time.Duration
}

func (p redisParams) addr() string { return net.JoinHostPort(p.host, p.port) }

// parseRedis reads redis://[user:password@]host[:port][/db][?prefix=...&lease=...].
// No error repeats the URL, nor what a parser quotes of it: the password may be in it.
func parseRedis(url string) (redisParams, error) {
	u, err := neturl.Parse(url)
	if err != nil || u.Opaque != "" {
		return redisParams{}, errors.New("the redis URL cannot be read: write redis://user:password@host:6379/0, with %40 for @, %2F for /, %3A for :, %23 for # and %25 for % inside the password")
	}
	p := redisParams{secure: u.Scheme == "rediss", host: u.Hostname(), port: u.Port(), prefix: defaultPrefix, lease: defaultLease}
	if p.host == "" {
		return redisParams{}, errors.New("the redis URL names no host: write redis://host:6379/0")
	}
	if _, err := netip.ParseAddr(p.host); err != nil && strings.Contains(p.host, ":") {
		return redisParams{}, errors.New("the host of the redis URL is none: write redis://user:password@host:6379/0")
	}
	if p.port == "" {
		p.port = "6379"
	}
	if n, err := strconv.ParseUint(p.port, 10, 16); err != nil || n == 0 {
		return redisParams{}, errors.New("the port of the redis URL is none: write a number from 1 to 65535")
	}
	if u.Fragment != "" {
		return redisParams{}, errors.New("the redis URL has a #: write %23 when it belongs to the password")
	}
	p.user = u.User.Username()
	p.password, _ = u.User.Password()
	if p.user != "" && p.password == "" {
		return redisParams{}, errors.New("the redis URL has a user and no password: write redis://user:password@host, or redis://:password@host for the default user")
	}
	if err := p.setDB(u.Path); err != nil {
		return redisParams{}, err
	}
	return p, p.setQuery(u.RawQuery)
}

func (p *redisParams) setDB(path string) error {
	name := strings.TrimPrefix(path, "/")
	if name == "" {
		return nil
	}
	n, err := strconv.Atoi(name)
	if err != nil || n < 0 || n > maxDB {
		return fmt.Errorf("redis %s: the database after the slash is no number: write /0", p.addr())
	}
	p.db = n
	return nil
}

func (p *redisParams) setQuery(raw string) error {
	query, err := neturl.ParseQuery(raw)
	if err != nil {
		return fmt.Errorf("redis %s: what follows the ? cannot be read: write ?prefix=headgate:&lease=15s", p.addr())
	}
	for name, values := range query {
		value := values[len(values)-1]
		switch {
		case len(values) > 1:
			return fmt.Errorf("redis %s: %q is given twice: write it once", p.addr(), name)
		case name == "prefix":
			err = p.setPrefix(value)
		case name == "lease":
			err = p.setLease(value)
		default:
			err = fmt.Errorf("redis %s: %.40q is no parameter: write prefix or lease", p.addr(), name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *redisParams) setPrefix(value string) error {
	bad := strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' })
	if value == "" || len(value) > maxPrefix || bad {
		return fmt.Errorf("redis %s: prefix: %.40q cannot be one: write 1 to %d printable ASCII characters", p.addr(), value, maxPrefix)
	}
	p.prefix = value
	return nil
}

func (p *redisParams) setLease(value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < minLease || d > maxLease {
		return fmt.Errorf("redis %s: lease: %.40q is none: write a duration from %v to %v, as 15s", p.addr(), value, minLease, maxLease)
	}
	p.lease = d
	return nil
}

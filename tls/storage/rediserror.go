package storage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

var errNoAnswer = errors.New("no answer in time")

// redisCures are by the first word of what a server answers.
var redisCures = []struct{ code, cure string }{
	{"NOAUTH ", "write user and password into the URL of storage"},
	{"WRONGPASS ", "correct user and password in the URL of storage"},
	{"ERR invalid password", "correct the password in the URL of storage"},
	{"ERR AUTH ", "the server knows no password: take it out of the URL of storage"},
	{"NOPERM ", "allow the user what is needed: ACL SETUSER name ~headgate:* +@all -@admin"},
	{"OOM ", "raise maxmemory of this server, or make room in it"},
	{"READONLY ", "this is a replica: name the primary in the URL of storage"},
	{"MISCONF ", "the server cannot write to its disk: look into its log"},
	{"LOADING ", "the server reads its data: wait"},
	{"MASTERDOWN ", "this is a replica: name the primary in the URL of storage"},
	{"WRONGTYPE ", "something else uses these keys: give storage a ?prefix= of its own"},
	{"ERR DB index is out of range", "correct the number of the database in the URL of storage"},
	{"ERR unknown command", "a Redis 5 or later is needed"},
	{"MOVED ", "a cluster is not supported: name a single server in the URL of storage"},
	{"CROSSSLOT ", "a cluster is not supported: name a single server in the URL of storage"},
}

// wrap names the server and the cure. It never names the password.
func (r *Redis) wrap(op, key string, err error) error {
	if hint := redisCure(err); hint != "" {
		return fmt.Errorf("redis %s: %s %q: %w: %s", r.params.addr(), op, key, err, hint)
	}
	return fmt.Errorf("redis %s: %s %q: %w", r.params.addr(), op, key, err)
}

func redisCure(err error) string {
	var answer redis.Error
	if errors.As(err, &answer) {
		for _, c := range redisCures {
			if strings.Contains(answer.Error(), c.code) { // a script's error has words before it
				return c.cure
			}
		}
		return ""
	}
	var unknown x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	var ne net.Error
	switch {
	case errors.As(err, &unknown):
		return "name the file of its authority in SSL_CERT_FILE"
	case errors.As(err, &record):
		return "it speaks no TLS: write redis:// instead of rediss://"
	case errors.As(err, &dns):
		return "correct the host in the URL of storage"
	case errors.Is(err, redis.ErrPoolTimeout):
		return "the server is too slow for what is asked of it"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "start redis there, or correct the URL of storage"
	case errors.As(err, &ne), errors.Is(err, errNoAnswer), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "start redis there, or correct the URL of storage: rediss:// is with TLS, redis:// without"
	}
	return ""
}

// again reports whether an attempt that failed is worth another one: when a
// connection broke, as after a restart of the server, not when time ran out.
func again(err error) bool {
	var answer redis.Error
	if errors.As(err, &answer) {
		return strings.HasPrefix(answer.Error(), "LOADING ")
	}
	var ne net.Error
	if errors.As(err, &ne) {
		return !ne.Timeout()
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

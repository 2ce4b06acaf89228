package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	dialTime  = 5 * time.Second // for a connection: no request waits for it longer than for an answer, but the next one has it
	poolSize  = 32
	idleConns = 8
)

// Server is one server. Its methods may be called by several goroutines at once.
type Server struct {
	params  params
	client  *redis.Client
	script  *redis.Script
	circuit circuit
}

// New returns the server of a URL, and asks it nothing yet. log may be nil.
func New(url string, log *slog.Logger) (*Server, error) {
	p, err := parse(url)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	logging.Disable() // the library's log is one for all; what it says comes as errors too
	o := &redis.Options{
		Addr: p.addr(), Username: p.user, Password: p.password, DB: p.db,
		DialTimeout: dialTime, ReadTimeout: p.timeout, WriteTimeout: p.timeout, ContextTimeoutEnabled: true,
		PoolSize: poolSize, MaxIdleConns: idleConns, PoolTimeout: p.timeout, ConnMaxIdleTime: 5 * time.Minute,
		DialerRetries: 1, MaxRetries: -1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if p.secure {
		o.TLSConfig = &tls.Config{ServerName: p.host, MinVersion: tls.VersionTLS12}
	}
	return &Server{params: p, client: redis.NewClient(o), script: newScript(), circuit: circuit{log: log, addr: p.addr()}}, nil
}

// newScript is GCRA in microseconds. KEYS: the time of the key. ARGV: emission,
// limit. It answers with how far ahead of now the key was, and 1 if the request
// passes.
func newScript() *redis.Script {
	return redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local ahead = math.max((tonumber(redis.call('GET', KEYS[1])) or 0) - now, 0)
if ahead > tonumber(ARGV[2]) then return {string.format('%.0f', ahead), 0} end
local after = ahead + ARGV[1]
redis.call('SET', KEYS[1], string.format('%.2f', now + after), 'PX', string.format('%.0f', math.ceil(after / 1000)))
return {string.format('%.0f', ahead), 1}`)
}

// ErrAway is returned while a server that did not answer is left alone.
var ErrAway = errors.New("redis: the server has not answered lately")

// Take implements limit.Shared.
func (s *Server) Take(ctx context.Context, key string, emission, limit time.Duration) (ahead time.Duration, allowed bool, err error) {
	pause, ok := s.circuit.begin()
	if !ok {
		return 0, false, ErrAway
	}
	limited, cancel := context.WithTimeout(ctx, s.params.timeout)
	defer cancel()
	answer, err := s.script.Run(limited, s.client, []string{s.params.prefix + "rate:" + key}, micros(emission), micros(limit)).Slice()
	if err == nil {
		ahead, allowed, err = read(answer)
	}
	if err != nil && ctx.Err() != nil { // the client's doing: nothing is known of the server
		s.circuit.unknown()
		return 0, false, ctx.Err()
	}
	s.circuit.end(pause, err)
	return ahead, allowed, err
}

func micros(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', 3, 64)
}

func read(answer []any) (ahead time.Duration, allowed bool, err error) {
	if len(answer) != 2 {
		return 0, false, fmt.Errorf("redis answers with %d values", len(answer))
	}
	text, _ := answer[0].(string)
	n, err := strconv.ParseInt(text, 10, 64)
	ok, _ := answer[1].(int64)
	return time.Duration(n) * time.Microsecond, ok == 1, err
}

// Close closes the connections. Take returns errors from then on.
func (s *Server) Close() error { return s.client.Close() }

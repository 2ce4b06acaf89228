package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"sync"
	"time"
)

// ALPNProto is the protocol that an authority offers, alone, when it comes for
// the answer to a tls-alpn-01 challenge (RFC 8737).
const ALPNProto = "acme-tls/1"

const (
	maxToken        = 256             // of a token in bytes; authorities use 43
	challengeMisses = 4096            // tokens and names known not to be there
	challengeLooks  = 32              // at the storage at once
	missLife        = 2 * time.Second // an answer is put before the authority is told to come
	challengeTime   = 5 * time.Second // to look in the storage
)

// Challenges are the answers that authorities come for. What one gateway puts
// here is answered by every gateway with the same storage. They know nothing of
// ACME: an answer to http-01 is text, one to tls-alpn-01 a certificate and its
// key. Safe for concurrent use.
type Challenges struct {
	storage Storage

	mu     sync.Mutex // guards the fields below
	texts  map[string][]byte
	certs  map[string]*tls.Certificate
	misses map[string]time.Time // storage keys and when they were not there
	swept  time.Time            // when misses was last cleaned
	looks  map[string]*look     // under way, by storage key

	room chan struct{} // one for each look under way
}

// NewChallenges returns Challenges that are shared through storage; with nil they
// are those of this process alone.
func NewChallenges(storage Storage) *Challenges {
	return &Challenges{
		storage: storage, texts: map[string][]byte{}, certs: map[string]*tls.Certificate{}, misses: map[string]time.Time{},
		looks: map[string]*look{}, room: make(chan struct{}, challengeLooks),
	}
}

func textKey(token string) string { return "challenges/http-01/" + token }
func alpnKey(name string) string  { return "challenges/tls-alpn-01/" + safeName(name) + ".pem" }

// PutText answers requests for /.well-known/acme-challenge/token with text (RFC
// 8555 section 8.3) until RemoveText. A token is of the characters of base64url.
func (c *Challenges) PutText(ctx context.Context, token string, text []byte) error {
	if !isToken(token) {
		return errors.New("the authority sent a token that is not base64url")
	}
	c.mu.Lock()
	c.texts[token] = text
	c.mu.Unlock()
	if c.storage == nil {
		return nil
	}
	return c.storage.Store(ctx, textKey(token), text)
}

// RemoveText undoes PutText.
func (c *Challenges) RemoveText(ctx context.Context, token string) error {
	c.mu.Lock()
	delete(c.texts, token)
	c.mu.Unlock()
	if c.storage == nil || !isToken(token) {
		return nil
	}
	return c.storage.Delete(ctx, textKey(token))
}

// PutCertificate shows cert to whoever asks for the server name sni with
// [ALPNProto] alone, until RemoveCertificate.
func (c *Challenges) PutCertificate(ctx context.Context, sni string, cert *tls.Certificate) error {
	sni = cleanName(sni)
	c.mu.Lock()
	c.certs[sni] = cert
	c.mu.Unlock()
	if c.storage == nil {
		return nil
	}
	bundle, err := encodeBundle(cert.PrivateKey, cert.Certificate)
	if err != nil {
		return err
	}
	return c.storage.Store(ctx, alpnKey(sni), bundle)
}

// RemoveCertificate undoes PutCertificate.
func (c *Challenges) RemoveCertificate(ctx context.Context, sni string) error {
	sni = cleanName(sni)
	c.mu.Lock()
	delete(c.certs, sni)
	c.mu.Unlock()
	if c.storage == nil {
		return nil
	}
	return c.storage.Delete(ctx, alpnKey(sni))
}

// Text returns the answer for a token that a client has chosen, or false.
func (c *Challenges) Text(ctx context.Context, token string) ([]byte, bool) {
	if !isToken(token) {
		return nil, false
	}
	c.mu.Lock()
	text, ok := c.texts[token]
	c.mu.Unlock()
	if ok {
		return text, true
	}
	return c.fromStorage(ctx, textKey(token), true)
}

// Certificate returns the answer for a server name that a client has chosen, or
// nil. It takes as long as Text.
func (c *Challenges) Certificate(ctx context.Context, sni string) *tls.Certificate {
	sni = cleanName(sni)
	c.mu.Lock()
	cert := c.certs[sni]
	c.mu.Unlock()
	if cert != nil || !isHostName(sni) {
		return cert
	}
	bundle, ok := c.fromStorage(ctx, alpnKey(sni), false)
	if !ok {
		return nil
	}
	cert, err := parseBundle(bundle)
	if err != nil {
		return nil
	}
	return cert
}

// look is one look at the storage under way.
type look struct {
	done  chan struct{} // closed when value is set
	value []byte        // nil: it is not there
}

// fromStorage looks for what another gateway has put there. Authorities come from
// several places at once, and attackers choose the keys as they like: there is one
// look at a time for a key, few at once in all, and what is not there is not looked
// for again at once.
//
// Only what cannot be guessed is remembered as missing: a server name is known, and
// whoever asked for it in vain would keep the authority's answer from coming up.
func (c *Challenges) fromStorage(ctx context.Context, key string, remember bool) ([]byte, bool) {
	if c.storage == nil {
		return nil, false
	}
	c.mu.Lock()
	if at, missed := c.misses[key]; missed && time.Since(at) < missLife {
		c.mu.Unlock()
		return nil, false
	}
	l := c.looks[key]
	first := l == nil
	if first {
		l = &look{done: make(chan struct{})}
		c.looks[key] = l
	}
	c.mu.Unlock()
	if first {
		c.take(context.WithoutCancel(ctx), key, l, remember)
	}
	select {
	case <-l.done:
		return l.value, l.value != nil
	case <-ctx.Done():
		return nil, false
	}
}

// take fills l, whether the client that began it stays or not.
func (c *Challenges) take(ctx context.Context, key string, l *look, remember bool) {
	ctx, cancel := context.WithTimeout(ctx, challengeTime)
	defer cancel()
	var value []byte
	var err error
	select {
	case c.room <- struct{}{}:
		value, err = c.storage.Load(ctx, key)
		<-c.room
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.looks, key)
	if err == nil {
		l.value = value
	} else if remember && errors.Is(err, fs.ErrNotExist) {
		c.missLocked(key)
	}
	close(l.done)
}

// missLocked remembers for a moment that a key is not there, as far as there is
// room for that.
func (c *Challenges) missLocked(key string) {
	now := time.Now()
	if len(c.misses) >= challengeMisses && now.Sub(c.swept) >= missLife/8 {
		c.swept = now
		for k, at := range c.misses {
			if now.Sub(at) >= missLife {
				delete(c.misses, k)
			}
		}
	}
	if len(c.misses) < challengeMisses {
		c.misses[key] = now
	}
}

// isToken reports whether s can be a token: it becomes part of a storage key.
func isToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

package limit

import (
	"crypto/sha256"
	"encoding/base64"
	"hash/maphash"
	"net/netip"

	"headgate/gateway/expression"
)

// who is what requests are counted by: a text, or the address of the client.
type who struct {
	text   string
	addr   netip.Addr // IPv4, or the first address of a /64; the zero Addr: a text, or nobody
	failed bool       // the text could not be had
}

// keyer tells who a request comes from.
type keyer struct{ program *expression.Program } // nil: the client

func newKeyer(key string) (keyer, error) {
	if isDefault(key) {
		return keyer{}, nil
	}
	p, err := expression.Compile(key, expression.String)
	return keyer{p}, err
}

// of reports false if the request has no key.
func (k keyer) of(client netip.Addr, view func() expression.View) (w who, ok bool) {
	if k.program == nil {
		return who{addr: network(client)}, true
	}
	text, err := k.program.String(view())
	if err != nil {
		return who{failed: true}, true
	}
	return who{text: text}, text != ""
}

// network returns the part of an address that tells clients apart.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	b := a.As16()
	clear(b[8:])
	return netip.AddrFrom16(b)
}

// String is for a store that others share. A text may be a secret of a client, such
// as a token, and of any length: it is hashed.
func (w who) String() string {
	switch {
	case w.failed:
		return "failed"
	case w.text != "":
		sum := sha256.Sum256([]byte(w.text))
		return "text:" + base64.RawURLEncoding.EncodeToString(sum[:16])
	case !w.addr.IsValid():
		return "nobody"
	}
	return w.addr.String()
}

// key is a who in 128 bits, under seeds that nobody knows: no client can find two
// that are the same.
type key struct{ high, low uint64 }

// seeds make keys.
type seeds [2]maphash.Seed

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

func (s *seeds) key(w who) key {
	if w.text != "" {
		return key{maphash.String(s[0], w.text), maphash.String(s[1], w.text)}
	}
	b := [18]byte{} // a text of the same bytes would have to be guessed, and would gain nothing
	if w.addr.IsValid() {
		a := w.addr.As16()
		copy(b[:], a[:])
		b[16] = 1
	}
	if w.failed {
		b[17] = 1
	}
	return key{maphash.Bytes(s[0], b[:]), maphash.Bytes(s[1], b[:])}
}

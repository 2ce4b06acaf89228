package subscribe

import (
	"bytes"
	"encoding/binary"
	"errors"

	"headgate/upstream/uwsgi"
)

const (
	modifierSubscription = 0xe0 // modifier1 of every packet

	maxPacket = 4096 // bytes; uWSGI's own servers read no more
	maxPairs  = 64   // uWSGI sends at most 13, and 2.1 at most 20
	maxName   = 255  // bytes of a key or an address
	maxNumber = 1 << 20
)

// What is wrong with a packet.
var (
	errLong      = errors.New("packet of more than 4096 bytes")
	errShort     = errors.New("packet without a header")
	errModifier  = errors.New("modifier1 is not 224")
	errCommand   = errors.New("modifier2 is neither 0 nor 1")
	errSize      = errors.New("size in the header is not the packet's")
	errPair      = errors.New("pair runs past the end of the packet")
	errEmptyName = errors.New("pair without a name")
	errPairs     = errors.New("more than 64 pairs")
	errTwice     = errors.New("pair is there twice")
	errNumber    = errors.New("value is no number in its range")
	errNoKey     = errors.New("key of no or more than 255 bytes")
	errNoAddress = errors.New("address of no or more than 255 bytes")
	errSignFirst = errors.New("sign is not the last pair")
)

// packet is a datagram taken apart. Its slices are parts of it. The zero value is no
// packet.
type packet struct {
	Unsubscribe bool

	Key, Address, Notify, Proto []byte
	Modifier1, Modifier2        int
	Cores, Load, Weight, Backup int

	Unix   int64  // when it was sent, in seconds; 0: not said
	Signed []byte // what was signed: all between the header and the pair sign
	Sign   []byte // nil: it is not signed
	SNI    bool   // it names files of certificates, which are not used
}

// decode takes a datagram apart. It allocates nothing, and what it returns is valid
// as long as b is. Pairs that it does not know are skipped, as uWSGI does; unlike
// there a pair may not come twice, and nothing may follow the signature.
func decode(b []byte) (p packet, err error) {
	switch {
	case len(b) > maxPacket:
		return p, errLong
	case len(b) < uwsgi.HeaderBytes:
		return p, errShort
	}
	modifier1, size, command := uwsgi.ParseHeader([uwsgi.HeaderBytes]byte(b))
	block := b[uwsgi.HeaderBytes:]
	switch {
	case modifier1 != modifierSubscription:
		return p, errModifier
	case command > 1:
		return p, errCommand
	case size != len(block):
		return p, errSize
	}
	p.Unsubscribe = command == 1
	if err := p.pairs(block); err != nil {
		return packet{}, err
	}
	switch {
	case len(p.Key) == 0 || len(p.Key) > maxName:
		return packet{}, errNoKey
	case len(p.Address) == 0 || len(p.Address) > maxName:
		return packet{}, errNoAddress
	}
	return p, nil
}

// pairs reads a block of pairs.
func (p *packet) pairs(block []byte) error {
	var seen [maxPairs][]byte
	for at, n := 0, 0; at < len(block); n++ {
		name, next, ok := cut(block, at)
		if !ok {
			return errPair
		}
		value, end, ok := cut(block, next)
		switch {
		case !ok:
			return errPair
		case len(name) == 0:
			return errEmptyName
		case n == maxPairs:
			return errPairs
		case p.Sign != nil:
			return errSignFirst
		}
		for _, other := range seen[:n] {
			if bytes.Equal(name, other) {
				return errTwice
			}
		}
		seen[n] = name
		if err := p.take(name, value, block[:at]); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// take notes one pair, which comes behind the ones before it.
func (p *packet) take(name, value, before []byte) (err error) {
	switch string(name) {
	case "key":
		p.Key = value
	case "address":
		p.Address = value
	case "notify":
		p.Notify = value
	case "proto":
		p.Proto = value
	case "unix":
		p.Unix, err = number(value, 1<<40)
	case "sign":
		p.Sign, p.Signed = value, before
	case "sni_key", "sni_crt", "sni_ca":
		p.SNI = true
	default:
		return p.count(name, value)
	}
	return err
}

// count is take for pairs that are numbers.
func (p *packet) count(name, value []byte) error {
	to, most := (*int)(nil), int64(maxNumber)
	switch string(name) {
	case "modifier1":
		to, most = &p.Modifier1, 255
	case "modifier2":
		to, most = &p.Modifier2, 255
	case "cores":
		to = &p.Cores
	case "load":
		to = &p.Load
	case "weight":
		to = &p.Weight
	case "backup":
		to = &p.Backup
	default:
		return nil
	}
	n, err := number(value, most)
	*to = int(n)
	return err
}

// cut reads a length and that many bytes at an offset of block, and returns the
// offset behind them. uwsgi.ParseVars would copy each.
func cut(block []byte, at int) (s []byte, next int, ok bool) {
	if len(block)-at < 2 {
		return nil, at, false
	}
	size := int(binary.LittleEndian.Uint16(block[at:]))
	at += 2
	if len(block)-at < size {
		return nil, at, false
	}
	return block[at : at+size], at + size, true
}

// number reads a decimal number from 0 to most.
func number(b []byte, most int64) (int64, error) {
	if len(b) == 0 || len(bytes.TrimLeft(b, "0")) > 15 {
		return 0, errNumber
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errNumber
		}
		n = n*10 + int64(c-'0')
	}
	if n > most {
		return 0, errNumber
	}
	return n, nil
}

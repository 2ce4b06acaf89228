package subscribe_test

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"headgate/upstream/subscribe"
	"headgate/upstream/uwsgi"
)

// captured is what uWSGI 2.0.21 sent for
// subscribe2 = server=127.0.0.1:38100,key=two.example,weight=7,modifier1=0,addr=/run/uwsgi/s.sock.
const captured = `
e0 88 00 00 03 00 6b 65 79 0b 00 74 77 6f 2e 65 78 61 6d 70 6c 65 07 00
61 64 64 72 65 73 73 11 00 2f 72 75 6e 2f 75 77 73 67 69 2f 73 2e 73 6f
63 6b 09 00 6d 6f 64 69 66 69 65 72 31 01 00 30 09 00 6d 6f 64 69 66 69
65 72 32 01 00 30 05 00 63 6f 72 65 73 01 00 36 04 00 6c 6f 61 64 01 00
30 06 00 77 65 69 67 68 74 01 00 37 06 00 6e 6f 74 69 66 79 16 00 2f 72
75 6e 2f 75 77 73 67 69 2f 6e 6f 74 69 66 79 2e 73 6f 63 6b`

func capture(t testing.TB) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(captured), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// encode makes a packet of pairs as uWSGI does: key, value, key, value.
func encode(unsubscribe bool, pairs ...string) []byte {
	var block []byte
	for i := 0; i < len(pairs); i += 2 {
		block = uwsgi.AppendVar(block, pairs[i], pairs[i+1])
	}
	return seal(unsubscribe, block)
}

func seal(unsubscribe bool, block []byte) []byte {
	var command byte
	if unsubscribe {
		command = 1
	}
	return append(uwsgi.AppendHeader(nil, 0xe0, len(block), command), block...)
}

// announce is a subscription as uWSGI's, without a signature.
func announce(key, address string, more ...string) []byte {
	return encode(false, standard(key, address, more...)...)
}

func withdraw(key, address string, more ...string) []byte {
	return encode(true, standard(key, address, more...)...)
}

// standard is the pairs of both; more replaces some of them or adds to them.
func standard(key, address string, more ...string) []string {
	pairs := []string{"key", key, "address", address, "modifier1", "0", "modifier2", "0", "cores", "6", "load", "0", "weight", "0"}
next:
	for i := 0; i < len(more); i += 2 {
		for j := 0; j < len(pairs); j += 2 {
			if pairs[j] == more[i] {
				pairs[j+1] = more[i+1]
				continue next
			}
		}
		pairs = append(pairs, more[i], more[i+1])
	}
	return pairs
}

func TestDecodeCaptured(t *testing.T) {
	p, err := subscribe.Decode(capture(t))
	if err != nil {
		t.Fatal(err)
	}
	want := subscribe.Packet{
		Key: []byte("two.example"), Address: []byte("/run/uwsgi/s.sock"), Notify: []byte("/run/uwsgi/notify.sock"),
		Cores: 6, Weight: 7,
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	again := encode(false, standard("two.example", "/run/uwsgi/s.sock", "weight", "7", "notify", "/run/uwsgi/notify.sock")...)
	if diff := cmp.Diff(capture(t), again); diff != "" {
		t.Errorf("the tests do not encode as uWSGI does: %s", diff)
	}
	b := capture(t)
	b[3] = 1
	if p, err := subscribe.Decode(b); err != nil || !p.Unsubscribe {
		t.Errorf("got %+v, %v, want an unsubscription", p, err)
	}
}

func TestDecodeTellsWhatWasSigned(t *testing.T) {
	p, err := subscribe.Decode(announce("a.example", "10.0.0.7:1", "unix", "1795343194", "sign", "\x00\xffsigned"))
	if err != nil {
		t.Fatal(err)
	}
	before := announce("a.example", "10.0.0.7:1", "unix", "1795343194")[4:]
	if p.Unix != 1795343194 || string(p.Sign) != "\x00\xffsigned" || !bytes.Equal(p.Signed, before) {
		t.Errorf("got %d, %q over %q, want all before the signature", p.Unix, p.Sign, p.Signed)
	}
}

func TestDecodeRefuses(t *testing.T) {
	many := []string{"key", "a", "address", ":1"}
	for i := range 63 {
		many = append(many, "x"+strconv.Itoa(i), "")
	}
	header := func(change func([]byte)) []byte {
		b := announce("a", ":1")
		change(b)
		return b
	}
	for want, b := range map[string][]byte{
		"packet of more than 4096 bytes":                announce("a", ":1", "x", strings.Repeat("x", 4096)),
		"packet without a header":                       {0xe0, 0, 0},
		"modifier1 is not 224":                          header(func(b []byte) { b[0] = 7 }),
		"modifier2 is neither 0 nor 1":                  header(func(b []byte) { b[3] = 2 }),
		"size in the header is not the packet's":        header(func(b []byte) { b[1]++ }),
		"pair runs past the end of the packet":          seal(false, []byte{3, 0, 'k', 'e', 'y', 2, 0, 'a'}),
		"pair without a name":                           seal(false, []byte{0, 0, 1, 0, 'a'}),
		"more than 64 pairs":                            encode(false, many...),
		"pair is there twice":                           encode(false, "key", "a", "address", ":1", "key", "b"),
		"value is no number in its range":               announce("a", ":1", "modifier1", "256"),
		"key of no or more than 255 bytes":              encode(false, "address", ":1"),
		"address of no or more than 255 bytes":          announce("a", strings.Repeat("1", 256)),
		"sign is not the last pair":                     announce("a", ":1", "sign", "x", "unix", "1"),
		"sign is not the last pair ":                    announce("a", ":1", "sign", "", "y", ""),
		"value is no number in its range ":              announce("a", ":1", "cores", ""),
		"value is no number in its range  ":             announce("a", ":1", "load", "-1"),
		"value is no number in its range   ":            announce("a", ":1", "unix", "18446744073709551616"),
		"pair is there twice, though nobody knows it ":  encode(false, "key", "a", "address", ":1", "x", "", "x", ""),
		"pair runs past the end of the packet, in name": seal(false, []byte{3, 0, 'k'}),
	} {
		want, _, _ = strings.Cut(want, ",")
		if p, err := subscribe.Decode(b); err == nil || err.Error() != strings.TrimSpace(want) {
			t.Errorf("got %+v, %v, want %q", p, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(capture(f))
	f.Add(announce("a.example", "10.0.0.7:1", "unix", "1795343194", "sign", "\x00\xffsigned"))
	f.Add(withdraw(".example.com", "[::1]:1", "backup", "1", "sni_key", "/etc/k.pem", "vassal", "x", "proto", "http"))
	f.Add(seal(true, []byte{3, 0, 'k'}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := subscribe.Decode(b)
		if err != nil {
			if diff := cmp.Diff(subscribe.Packet{}, p); diff != "" {
				t.Errorf("an error and a packet: %s", diff)
			}
			return
		}
		pairs := []string{"key", string(p.Key), "address", string(p.Address)}
		for name, n := range map[string]int{
			"modifier1": p.Modifier1, "modifier2": p.Modifier2, "cores": p.Cores, "load": p.Load, "weight": p.Weight, "backup": p.Backup, "unix": int(p.Unix),
		} {
			pairs = append(pairs, name, strconv.Itoa(n))
		}
		for name, v := range map[string][]byte{"notify": p.Notify, "proto": p.Proto} {
			if v != nil {
				pairs = append(pairs, name, string(v))
			}
		}
		if p.SNI {
			pairs = append(pairs, "sni_ca", "")
		}
		if p.Sign != nil {
			pairs = append(pairs, "sign", string(p.Sign))
		}
		again := encode(p.Unsubscribe, pairs...)
		if len(again) > 4096 {
			return // it has more to say than b
		}
		q, err := subscribe.Decode(again)
		p.Signed, q.Signed = nil, nil
		if diff := cmp.Diff(p, q, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v: %s", err, diff)
		}
	})
}

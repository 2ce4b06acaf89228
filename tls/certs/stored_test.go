package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"testing"

	"headgate/tls/certs"
)

// FuzzParseStored: whatever is in the storage never makes the process panic, and
// what can be read is written as it was.
func FuzzParseStored(f *testing.F) {
	good := func() []byte {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			f.Fatal(err)
		}
		a := newAuthority(&testing.T{})
		leaf, _ := a.leaf(&testing.T{}, order{names: []string{"a.example.com"}, key: key})
		data, err := certs.EncodeStored(&tls.Certificate{Certificate: [][]byte{leaf.Raw, a.inter.Raw}, PrivateKey: key}, "acme https://ca.example.net/dir", "http-01")
		if err != nil {
			f.Fatal(err)
		}
		return data
	}()
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("Authority: x\nChallenge:\n-----BEGIN PRIVATE KEY-----\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		once, err := certs.ParseStored(data)
		if err != nil {
			return
		}
		twice, err := certs.ParseStored(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("written and read again: %v", err)
		}
	})
}

package subscribe_test

import (
	"crypto"
	"testing"
	"time"

	"headgate/upstream/subscribe"
)

// BenchmarkHandle is one packet, from the socket's buffer to the table.
func BenchmarkHandle(b *testing.B) {
	plain := subscribe.New(subscribe.Setup{})
	useDeaf(b, plain, subscribe.Options{})
	o, _ := signing(b)
	strict := subscribe.New(subscribe.Setup{})
	useDeaf(b, strict, o)
	known := announce("shop.example", "127.0.0.1:3031", "notify", "/run/n.sock")
	each := func(name string, s *subscribe.Server, packet []byte) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Handle(packet, local)
			}
		})
	}
	each("unsigned", plain, known)
	each("garbage", plain, []byte("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"))
	each("not-allowed", plain, announce("shop.example", "10.0.0.7:3031"))
	each("replayed", strict, signed(b, rsaKeys()[0], crypto.SHA256, false, 1, standard("a.example", "127.0.0.1:1")))
	b.Run("signed", func(b *testing.B) { // beyond what is allowed per second
		b.ReportAllocs()
		packet := signed(b, rsaKeys()[0], crypto.SHA256, false, time.Now().Unix(), standard("a.example", "127.0.0.1:1"))
		p, err := subscribe.Decode(packet)
		if err != nil {
			b.Fatal(err)
		}
		verify := subscribe.Verifier(o.Sign)
		for b.Loop() {
			if err := verify("a.example", p); err != nil {
				b.Fatal(err)
			}
		}
	})
}

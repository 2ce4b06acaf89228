package routing_test

import (
	"errors"
	"strings"
	"testing"

	"headgate/routing"
)

// TestNormalizeHost names what nginx 1.22.1 makes of a Host field where ours is
// stricter; nginx 1.29.4 has become strict too.
func TestNormalizeHost(t *testing.T) {
	long := strings.Repeat("a.", 127) + "a" // 255 bytes
	for _, c := range []struct {
		host, name, port string
		err              error
	}{
		{host: "x", name: "x"},
		{host: "X.Example.COM", name: "x.example.com"},
		{host: "x.", name: "x"},
		{host: "x.:80", name: "x", port: "80"},
		{host: "x:80", name: "x", port: "80"},
		{host: "x:65535", name: "x", port: "65535"},
		{host: "x:", name: "x"},
		{host: "x_y", name: "x_y"},
		{host: "-a", name: "-a"},
		{host: "1.2.3.4:8080", name: "1.2.3.4", port: "8080"},
		{host: "[::1]", name: "[::1]"},
		{host: "[::1]:80", name: "[::1]", port: "80"},
		{host: "[::FFFF]", name: "[::ffff]"},
		{host: "[2001:DB8:0:0:0:0:0:1]:443", name: "[2001:db8::1]", port: "443"},
		{host: "[::ffff:1.2.3.4]", name: "[::ffff:1.2.3.4]"},
		{host: long, name: long},
		{host: long + ".:65535", name: "", err: routing.ErrHostLong},
		{host: "", err: routing.ErrHostEmpty},
		{host: ".", err: routing.ErrHostEmpty},
		{host: ":80", err: routing.ErrHostEmpty},
		{host: ".:80", err: routing.ErrHostEmpty},
		{host: "x..", err: routing.ErrHostLabel},
		{host: "a..b", err: routing.ErrHostLabel},
		{host: "..", err: routing.ErrHostLabel},
		{host: "a b", err: routing.ErrHostByte},
		{host: "a/b", err: routing.ErrHostByte},
		{host: "a\x00b", err: routing.ErrHostByte},
		{host: "a\r\nb", err: routing.ErrHostByte},
		{host: "::1", err: routing.ErrHostPort},
		{host: "a:80:90", err: routing.ErrHostPort},     // nginx: a
		{host: "x:abc", err: routing.ErrHostPort},       // nginx: x
		{host: "x:99999", err: routing.ErrHostPort},     // nginx: x
		{host: "x:65536", err: routing.ErrHostPort},     // nginx: x
		{host: "x:000080", err: routing.ErrHostPort},    // nginx: x
		{host: "x:0", err: routing.ErrHostPort},         // nginx: x
		{host: "x:+80", err: routing.ErrHostPort},       // nginx: x
		{host: ".x", err: routing.ErrHostLabel},         // nginx: .x
		{host: "u@x", err: routing.ErrHostByte},         // nginx: u@x
		{host: "u:1@x", err: routing.ErrHostPort},       // nginx: u
		{host: "a,b", err: routing.ErrHostByte},         // nginx: a,b
		{host: "a%41", err: routing.ErrHostByte},        // nginx: a%41
		{host: "caf\xc3\xa9", err: routing.ErrHostByte}, // nginx: the bytes
		{host: "[::1", err: routing.ErrHostIP},          // nginx: [::1
		{host: "[v1.x]", err: routing.ErrHostIP},        // nginx: [v1.x]
		{host: "[1.2.3.4]", err: routing.ErrHostIP},
		{host: "[]", err: routing.ErrHostIP},
		{host: "[", err: routing.ErrHostIP},
		{host: "[::1]x", err: routing.ErrHostIP},
		{host: "[::1]x:80", err: routing.ErrHostIP},
		{host: "[::1].", err: routing.ErrHostIP},
		{host: "[fe80::1%25eth0]", err: routing.ErrHostIP}, // nginx: the bytes
		{host: "[fe80::1%eth0]", err: routing.ErrHostIP},
	} {
		name, port, err := routing.NormalizeHost(c.host)
		if name != c.name || port != c.port || !errors.Is(err, c.err) {
			t.Errorf("NormalizeHost(%.30q) = %q, %q, %v, want %q, %q, %v", c.host, name, port, err, c.name, c.port, c.err)
		}
	}
}

func TestNormalizeHostAllocations(t *testing.T) {
	for host, want := range map[string]float64{
		"shop.example.com:8443": 0, "shop.example.com.": 0, "[2001:db8::1]:443": 0, "Shop.example.com": 1, "[2001:DB8::1]": 1,
		"a b": 0, "x:99999": 0,
	} {
		if got := testing.AllocsPerRun(100, func() { _, _, _ = routing.NormalizeHost(host) }); got > want {
			t.Errorf("NormalizeHost(%q) allocates %v times, want %v", host, got, want)
		}
	}
}

func FuzzNormalizeHost(f *testing.F) {
	for _, s := range []string{"x", "X.y.:80", "[::1]:80", "[::FFFF:1.2.3.4]", "a..b", "u@x", "x:", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name, port, err := routing.NormalizeHost(host)
		if err != nil {
			if name != "" || port != "" {
				t.Fatalf("NormalizeHost(%q) = %q, %q with %v", host, name, port, err)
			}
			return
		}
		if name == "" || name[0] != '[' && (name[0] == '.' || strings.HasSuffix(name, ".") || strings.ContainsAny(name, ":@/ %")) {
			t.Fatalf("NormalizeHost(%q) = %q", host, name)
		}
		if strings.ToLower(name) != name {
			t.Fatalf("NormalizeHost(%q) = %q, not in lower case", host, name)
		}
		whole := name
		if port != "" {
			whole += ":" + port
		}
		if n, p, err := routing.NormalizeHost(whole); n != name || p != port || err != nil {
			t.Fatalf("NormalizeHost(%q) = %q, %q; again %q, %q, %v", host, name, port, n, p, err)
		}
	})
}

func BenchmarkNormalizeHost(b *testing.B) {
	for _, host := range []string{"shop.example.com", "Shop.Example.com:8443", "[2001:db8::1]:443"} {
		b.Run(host, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := routing.NormalizeHost(host); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package proxyproto_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	library "github.com/pires/go-proxyproto"

	"headgate/gateway/proxyproto"
)

const signature2 = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a header of version 2.
func v2(command, family byte, rest string) string {
	b := append([]byte(signature2), command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(rest)))) + rest
}

func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// summed fills in the checksum, whose place has zeros.
func summed(h string) string {
	b := []byte(h)
	at := bytes.Index(b, []byte(tlv(3, "\x00\x00\x00\x00"))) + 3
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

const (
	four = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb" // 192.0.2.1:12345 to 198.51.100.2:443
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x30\x39\x01\xbb"
)

func header(version int, source, destination string) proxyproto.Header {
	return proxyproto.Header{Version: version, Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

func good() map[string]proxyproto.Header {
	const a, b, a6, b6 = "192.0.2.1:12345", "198.51.100.2:443", "[2001:db8::1]:12345", "[2001:db8::2]:443"
	local1, local2 := proxyproto.Header{Version: 1, Local: true}, proxyproto.Header{Version: 2, Local: true}
	return map[string]proxyproto.Header{
		"PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n":                      header(1, a, b),
		"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n":           header(1, "255.255.255.255:65535", "255.255.255.255:65535"),
		"PROXY TCP4 1.1.1.1 2.2.2.2 0 0\r\n":                                   header(1, "1.1.1.1:0", "2.2.2.2:0"),
		"PROXY TCP6 2001:db8::1 2001:db8::2 12345 443\r\n":                     header(1, a6, b6),
		"PROXY TCP6 :: :: 0 0\r\n":                                             header(1, "[::]:0", "[::]:0"),
		"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 12345 443\r\n":        header(1, a, b),
		"PROXY UNKNOWN\r\n":                                                    local1,
		"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n":                                local1,
		"PROXY UNKNOWN " + strings.Repeat("x", 107-14-2) + "\r\n":              local1,
		v2(0x21, 0x11, four):                                                   header(2, a, b),
		v2(0x21, 0x12, four):                                                   header(2, a, b), // QUIC, say
		v2(0x21, 0x21, six):                                                    header(2, a6, b6),
		v2(0x21, 0x31, strings.Repeat("/", 216)):                               {Version: 2},
		v2(0x21, 0x00, ""):                                                     local2,
		v2(0x20, 0x00, ""):                                                     local2,
		v2(0x20, 0x11, four):                                                   local2,
		v2(0x20, 0x11, "abc"):                                                  local2,
		v2(0x21, 0x11, four+tlv(1, "h2")+tlv(0x20, "\x01\x00\x00\x00\x00xxx")): header(2, a, b),
		v2(0x21, 0x11, four+tlv(4, strings.Repeat("\x00", 4096-12-3))):         header(2, a, b),
		summed(v2(0x21, 0x11, four+tlv(3, "\x00\x00\x00\x00"))):                header(2, a, b),
		summed(v2(0x21, 0x21, six+tlv(2, "shop.example")+tlv(3, "\x00\x00\x00\x00")+tlv(4, ""))): header(2, a6, b6),
	}
}

func TestHeaders(t *testing.T) {
	for text, want := range good() {
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "with end": iotest.DataErrReader,
		} {
			behind := strings.NewReader(text + "GET / HTTP/1.1\r\n")
			if name == "with end" {
				behind = strings.NewReader(text)
			}
			got, err := proxyproto.Read(reader(behind))
			if err != nil || got != want {
				t.Errorf("%s %q: got %+v, %v, want %+v", name, text, got, err, want)
			}
			if rest, _ := io.ReadAll(behind); name != "with end" && string(rest) != "GET / HTTP/1.1\r\n" {
				t.Errorf("%s %q: %q is left behind the header", name, text, rest)
			}
		}
	}
}

// TestLibrary: what another implementation writes is read.
func TestLibrary(t *testing.T) {
	for _, version := range []byte{1, 2} {
		for _, addr := range []string{"192.0.2.7", "2001:db8::7"} {
			from, to := &net.TCPAddr{IP: net.ParseIP(addr), Port: 77}, &net.TCPAddr{IP: net.ParseIP(addr), Port: 443}
			b, err := library.HeaderProxyFromAddrs(version, from, to).Format()
			if err != nil {
				t.Fatal(err)
			}
			got, err := proxyproto.Read(bytes.NewReader(b))
			want := proxyproto.Header{Version: int(version), Source: netip.AddrPortFrom(netip.MustParseAddr(addr), 77), Destination: netip.AddrPortFrom(netip.MustParseAddr(addr), 443)}
			if err != nil || got != want {
				t.Errorf("%q: got %+v, %v, want %+v", b, got, err, want)
			}
		}
	}
}

func TestNoHeader(t *testing.T) {
	for _, text := range []string{"", "GET / HTTP/1.1\r\n", "P", "PRI * HTTP/2.0\r\n", "proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", "PROXYTCP4 1.1.1.1", "\x16\x03\x01\x02\x00\x01", "\r\n\r\nGET / HTTP/1.1\r\n"} {
		if got, err := proxyproto.Read(strings.NewReader(text)); err == nil || !errors.Is(err, proxyproto.ErrNone) && text != "P" {
			t.Errorf("%q: got %+v, %v, want ErrNone", text, got, err)
		}
	}
}

func TestBroken(t *testing.T) {
	bad := []string{
		"PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 12345\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 12345 443 1\r\n",
		"PROXY TCP4  192.0.2.1 198.51.100.2 12345 443\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 012345 443\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
		"PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n",
		"PROXY TCP4 192.0.2 198.51.100.2 1 443\r\n",
		"PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n",
		"PROXY TCP4 2001:db8::1 2001:db8::2 1 443\r\n",
		"PROXY TCP6 192.0.2.1 192.0.2.2 1 443\r\n",
		"PROXY TCP6 fe80::1%eth0 fe80::2 1 443\r\n",
		"PROXY TCP5 192.0.2.1 192.0.2.2 1 443\r\n",
		"PROXY TCP4 a\r\nGET / HTTP/1.1\r\n\r\n",
		"PROXY UNKNOWNx" + strings.Repeat("x", 200),
		"PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n",
		"PROXY " + strings.Repeat(" ", 200),
		"PROXY TCP4 192.0.2.1",
		signature2, signature2 + "\x21\x11\x00\x0c\x01",
		v2(0x11, 0x11, four), v2(0x22, 0x11, four), v2(0x21, 0x13, four), v2(0x21, 0x41, four), v2(0x21, 0x01, four),
		v2(0x21, 0x11, four[:11]), v2(0x21, 0x21, four), v2(0x21, 0x31, four),
		v2(0x21, 0x11, four+strings.Repeat("x", 4096)),
		v2(0x21, 0x11, four+"\x03"), v2(0x21, 0x11, four+"\x01\x00\x05h2"),
		v2(0x21, 0x11, four+tlv(3, "\x00\x00\x00\x00")), v2(0x21, 0x11, four+tlv(3, "\x00\x00")),
		v2(0x21, 0x00, tlv(3, "\x00\x00\x00\x00")),
	}
	for _, text := range bad {
		if got, err := proxyproto.Read(strings.NewReader(text)); !errors.Is(err, proxyproto.ErrBroken) {
			t.Errorf("%q: got %+v, %v, want ErrBroken", text, got, err)
		}
	}
	// Every header that is good breaks when it is cut.
	for text := range good() {
		for n := range len(text) {
			if got, err := proxyproto.Read(strings.NewReader(text[:n])); err == nil || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%q: got %+v, %v, want an end", text[:n], got, err)
			}
		}
	}
}

// TestBounds: nobody can make it read more than a header may have.
func TestBounds(t *testing.T) {
	for begin, limit := range map[string]int64{"PROXY ": 107, "PROXY TCP4 ": 107, "PROXY UNKNOWN ": 107, signature2 + "\x21\x11\xff\xff": 16 + 4096} {
		endless := &endless{begin: begin}
		if _, err := proxyproto.Read(endless); !errors.Is(err, proxyproto.ErrBroken) || endless.n > limit {
			t.Errorf("%q: read %d bytes, %v", begin, endless.n, err)
		}
	}
}

// endless never ends.
type endless struct {
	begin string
	n     int64
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
		if e.n+int64(i) < int64(len(e.begin)) {
			p[i] = e.begin[e.n+int64(i)]
		}
	}
	e.n += int64(len(p))
	return len(p), nil
}

// FuzzRead: nothing panics, nothing behind a header is read, and the length of what
// was read does not depend on the pieces in which it came.
func FuzzRead(f *testing.F) {
	for text := range good() {
		f.Add([]byte(text + "GET / HTTP/1.1\r\n"))
	}
	f.Add([]byte("PROXY TCP4 a\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, pieces := bytes.NewReader(b), bytes.NewReader(b)
		h, err := proxyproto.Read(whole)
		again, err2 := proxyproto.Read(iotest.OneByteReader(pieces))
		if h != again || (err == nil) != (err2 == nil) || err == nil && whole.Len() != pieces.Len() {
			t.Fatalf("%q: got %+v, %v, %d bytes left; in pieces %+v, %v, %d bytes left", b, h, err, whole.Len(), again, err2, pieces.Len())
		}
		read := len(b) - whole.Len()
		if read > 16+4096 {
			t.Fatalf("%d bytes were read", read)
		}
		if err != nil {
			return
		}
		if h.Version == 1 && (read > 107 || b[read-1] != '\n' || bytes.IndexByte(b, '\n') != read-1) {
			t.Fatalf("%q: %d bytes were read of a line", b, read)
		}
		if h.Local && (h.Source.IsValid() || h.Destination.IsValid()) {
			t.Fatalf("%q: %+v", b, h)
		}
		if alone, err := proxyproto.Read(bytes.NewReader(b[:read])); err != nil || alone != h {
			t.Fatalf("%q: alone it is %+v, %v", b[:read], alone, err)
		}
	})
}

package compress_test

import (
	"bytes"
	"math"
	"os/exec"
	"testing"

	"headgate/gateway/filter/compress"
	"headgate/gateway/notation"
)

// TestPaddingIsNotSeen: of every length, by decoders of others too if they are here.
func TestPaddingIsNotSeen(t *testing.T) {
	body := text(3000)
	big := text(300_000)
	var e compress.Encoders
	for _, name := range everything {
		lengths := map[int]bool{}
		for n := range compress.MaxPadding + 1 {
			for _, body := range [][]byte{body, big, nil} {
				if len(body) == len(big) && n > 5 {
					continue
				}
				var out bytes.Buffer
				if err := e.Pad(name, 1, n, body, &out); err != nil {
					t.Fatal(err)
				}
				got, err := decode(name, out.Bytes())
				if err != nil || !bytes.Equal(got, body) {
					t.Fatalf("%s with %d bytes, of %d: got %d, %v", name, n, len(body), len(got), err)
				}
				if len(body) == 3000 {
					lengths[out.Len()] = true
				}
			}
		}
		if len(lengths) != compress.MaxPadding+1 {
			t.Errorf("%s: %d lengths of %d", name, len(lengths), compress.MaxPadding+1)
		}
	}
}

// TestDecodersOfOthers: zlib by Python, libzstd by its tool, libbrotli by Node.
func TestDecodersOfOthers(t *testing.T) {
	tools := map[string][]string{
		"gzip": {"/usr/bin/python3", "-c", "import sys, zlib; d = zlib.decompressobj(31); sys.stdout.buffer.write(d.decompress(sys.stdin.buffer.read())); sys.exit(not d.eof or len(d.unused_data))"},
		"zstd": {"zstd", "-d", "-c", "-q", "--memory=8MB"},
		"br":   {"node", "-e", "process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(0)))"},
	}
	var e compress.Encoders
	for name, tool := range tools {
		t.Run(name, func(t *testing.T) {
			path, err := exec.LookPath(tool[0])
			if err != nil {
				t.Skip(err)
			}
			for _, n := range []int{0, 1, 2, 3, 99, 100} {
				for _, size := range []int{3000, 300_000} {
					body := text(size)
					var coded, got, said bytes.Buffer
					if err := e.Pad(name, n%3, n, body, &coded); err != nil {
						t.Fatal(err)
					}
					cmd := exec.CommandContext(t.Context(), path, tool[1:]...)
					cmd.Stdin, cmd.Stdout, cmd.Stderr = &coded, &got, &said
					if err := cmd.Run(); err != nil || !bytes.Equal(got.Bytes(), body) {
						t.Fatalf("%d bytes of padding: got %d of %d, %v: %s", n, got.Len(), size, err, &said)
					}
				}
			}
		})
	}
}

// TestPaddingIsRandom: answers with the same body differ in length if somebody could
// guess at what is in them, and only then.
func TestPaddingIsRandom(t *testing.T) {
	body := text(5000)
	for _, test := range []struct {
		padded  bool
		padding notation.Switch
		head    []string
	}{
		{true, notation.Unsaid, []string{html}},
		{true, notation.On, []string{"Content-Type: application/json"}},
		{true, notation.On, []string{html, "Cache-Control: private, max-age=60"}},
		{false, notation.Disabled, []string{html}},
		{false, notation.On, []string{html, "Cache-Control: Public, max-age=60"}},
		{false, notation.On, []string{html, "Cache-Control: max-age=1", "Cache-Control: s-maxage=60"}},
		{false, notation.On, []string{"Content-Type: text/css"}},
		{false, notation.On, []string{"Content-Type: image/svg+xml"}},
	} {
		c := compressor(t, compress.Options{Padding: test.padding})
		for _, name := range everything {
			lengths := map[int]int{}
			least, most := math.MaxInt, 0
			for range map[bool]int{true: 100, false: 5}[test.padded] {
				n := answer(t, c, "GET", name, 200, 5000, body, test.head...).body.Len()
				lengths[n]++
				least, most = min(least, n), max(most, n)
			}
			if !test.padded && len(lengths) != 1 {
				t.Errorf("%s with %q, padding %v: %d lengths", name, test.head, test.padding, len(lengths))
			}
			if test.padded && (len(lengths) < 40 || most-least > 99) {
				t.Errorf("%s with %q: %d lengths from %d to %d", name, test.head, len(lengths), least, most)
			}
		}
	}
}

func BenchmarkPage(b *testing.B) {
	body := text(20 << 10)
	f := fields(html, "Server: x", "Vary: Cookie")
	for _, level := range []string{"fast", "default", "best"} {
		c := compressor(b, compress.Options{Level: level})
		for _, name := range append(everything, "") {
			b.Run(level+"/"+name, func(b *testing.B) {
				r := request("GET", name)
				out := new(discard)
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					w := c.Wrap(out, r)
					w.WriteHead(200, f, int64(len(body)))
					if _, err := w.Write(body); err != nil {
						b.Fatal(err)
					}
					if err := w.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

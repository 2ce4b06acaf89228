package compress_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"headgate/gateway/filter/compress"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
)

// TestRoundTrip: whatever is written, flushed and cut off in between, every answer
// that was closed decodes to what was written, by encoders that were used before.
func TestRoundTrip(t *testing.T) {
	shared := new(compress.Encoders)
	t.Cleanup(func() {
		if n := shared.InUse(); n != 0 {
			t.Errorf("%d bytes are in use at the end", n)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(everything).Draw(t, "coding")
		c, err := compress.NewShared(compress.Options{
			Level:   rapid.SampledFrom([]string{"fast", "default", "best"}).Draw(t, "level"),
			Padding: rapid.SampledFrom([]notation.Switch{notation.On, notation.Disabled}).Draw(t, "padding"),
			MinSize: notation.Size(rapid.SampledFrom([]int{-1, 100, 5000}).Draw(t, "min")),
		}, shared)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 3).Draw(t, "answers") {
			var out recorder
			w := c.Wrap(&out, request("GET", name))
			var body []byte
			pieces := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(-1, 3000), rapid.IntRange(-1, 200_000)), 0, 6).Draw(t, "pieces")
			total := 0
			for _, n := range pieces {
				total += max(n, 0)
			}
			length := int64(-1)
			if rapid.Bool().Draw(t, "declared") {
				length = int64(total)
			}
			w.WriteHead(200, fields(html), length)
			for _, n := range pieces {
				if n < 0 {
					if err := w.Flush(); err != nil {
						t.Fatal(err)
					}
					if length >= 0 { // coded as a whole
						continue
					}
					if got := begun(t, &out); !bytes.Equal(got, body) {
						t.Fatalf("flushed %d bytes of %d", len(got), len(body))
					}
					continue
				}
				p := text(n)
				body = append(body, p...)
				if m, err := w.Write(p); m != n || err != nil {
					t.Fatalf("Write = %d, %v", m, err)
				}
			}
			if rapid.IntRange(0, 3).Draw(t, "cut") == 0 {
				w.Cut()
				continue
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := decode(out.fields.Get("Content-Encoding"), out.body.Bytes())
			if err != nil || !bytes.Equal(got, body) {
				t.Fatalf("got %d bytes of %d: %v", len(got), len(body), err)
			}
			if out.length >= 0 && out.length != int64(out.body.Len()) {
				t.Fatalf("declared %d bytes and sent %d", out.length, out.body.Len())
			}
		}
	})
}

// begun decodes what has come of an answer.
func begun(t *rapid.T, out *recorder) []byte {
	in := bytes.NewReader(out.body.Bytes())
	var r io.Reader
	var err error
	switch out.fields.Get("Content-Encoding") {
	case "":
		return out.body.Bytes()
	case "gzip":
		r, err = gzip.NewReader(in)
	case "br":
		r = brotli.NewReader(in)
	case "zstd":
		z, e := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if e == nil {
			defer z.Close()
		}
		r, err = z, e
	}
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(r) // it ends in the middle
	return b
}

// TestAtOnce: answers that run at the same time do not get each other's bytes.
func TestAtOnce(t *testing.T) {
	c := compressor(t, compress.Options{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 30 {
				body := bytes.Repeat([]byte(strconv.Itoa(i*1000+j)+" "), 3000)
				var out recorder
				name := everything[(i+j)%3]
				w := c.Wrap(&out, request("GET", name))
				w.WriteHead(200, fields(html), int64(len(body)))
				half := len(body) / 2
				_, first := w.Write(body[:half])
				if j%5 == 0 {
					w.Cut()
					continue
				}
				_, second := w.Write(body[half:])
				if err := errors.Join(first, second, w.Close()); err != nil {
					t.Error(err)
					return
				}
				if got, err := decode(name, out.body.Bytes()); err != nil || !bytes.Equal(got, body) {
					t.Errorf("%s: got %.20q of %.20q: %v", name, got, body, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestSmallAnswersHaveALength: what fits into one buffer is sent with its length, in
// one piece; what does not is sent as it comes.
func TestSmallAnswersHaveALength(t *testing.T) {
	c := compressor(t, compress.Options{})
	for _, name := range everything {
		got := answer(t, c, "GET", name, 200, 20000, text(20000), html)
		if got.length != int64(got.body.Len()) || got.writes != 1 {
			t.Errorf("%s: declared %d bytes, sent %d in %d pieces", name, got.length, got.body.Len(), got.writes)
		}
		got = answer(t, c, "GET", name, 200, 1<<20, text(1<<20), html)
		if n := got.body.Len(); got.length != -1 || n > got.writes*256<<10 || n < (got.writes-1)*16<<10 {
			t.Errorf("%s: declared %d bytes, sent %d in %d pieces", name, got.length, n, got.writes)
		}
	}
}

// TestFlushOfNothing: a page that streams begins before its first byte.
func TestFlushOfNothing(t *testing.T) {
	for _, name := range everything {
		var out recorder
		w := compressor(t, compress.Options{}).Wrap(&out, request("GET", name))
		w.WriteHead(200, fields(html), -1)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.status != 200 || out.length != -1 || len(out.flushed) != 1 {
			t.Errorf("%s: got %d with a length of %d, flushed at %v", name, out.status, out.length, out.flushed)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := decode(name, out.body.Bytes()); err != nil || len(got) > 0 {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// TestFlushOfDeclaredLength: an answer of known length is no stream; its coding is
// not cut into pieces.
func TestFlushOfDeclaredLength(t *testing.T) {
	for _, name := range everything {
		var out recorder
		w := compressor(t, compress.Options{}).Wrap(&out, request("GET", name))
		w.WriteHead(200, fields(html), 20_000)
		body := text(20_000)
		for p := body; len(p) > 0; p = p[1000:] {
			_, write := w.Write(p[:1000])
			if err := errors.Join(write, w.Flush()); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := decode(name, out.body.Bytes())
		if err != nil || !bytes.Equal(got, body) || out.writes != 1 || out.length != int64(out.body.Len()) {
			t.Errorf("%s: got %d bytes in %d pieces, declared %d: %v", name, len(got), out.writes, out.length, err)
		}
	}
}

func TestLengths(t *testing.T) {
	c := compressor(t, compress.Options{})
	for _, name := range everything {
		var out recorder
		w := c.Wrap(&out, request("GET", name))
		w.WriteHead(200, fields(html), 2000)
		if n, err := w.Write(text(2001)); n != 0 || !errors.Is(err, wire.ErrTooLong) {
			t.Errorf("%s: too long: got %d, %v", name, n, err)
		}
		if _, err := w.Write(text(1999)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: too short: got %v", name, err)
		}
		if out.status != 200 {
			t.Errorf("%s: there is no head of what is cut off", name)
		}
		if got, err := decode(name, out.body.Bytes()); err == nil && len(got) > 0 {
			t.Errorf("%s: what is too short decodes to %d bytes", name, len(got))
		}
	}
}

func TestErrorsOfTheClient(t *testing.T) {
	gone := errors.New("gone")
	c := compressor(t, compress.Options{})
	for _, name := range append(everything, "") {
		out := recorder{err: gone}
		w := c.Wrap(&out, request("GET", name))
		w.WriteHead(200, fields(html), -1)
		if err := w.Flush(); !errors.Is(err, gone) {
			t.Errorf("%s: Flush = %v", name, err)
		}
		if _, err := w.Write(text(100)); !errors.Is(err, gone) {
			t.Errorf("%s: Write after an error = %v", name, err)
		}
		w.Cut()
		for _, length := range []int64{1 << 20, -1} {
			out := recorder{err: gone}
			w := c.Wrap(&out, request("GET", name))
			w.WriteHead(200, fields(html), length)
			_, err := w.Write(text(1 << 20))
			if closed := w.Close(); name != "" && !errors.Is(closed, gone) || name == "" && !errors.Is(err, gone) {
				t.Errorf("%s: Write = %v, Close = %v", name, err, closed)
			}
		}
	}
	if got := answer(t, c, "GET", "br", 200, 2000, text(2000), html); got.length < 0 {
		t.Error("an answer after the errors of others is not whole")
	}
}

// TestCutShowsTheHead: a client sees an answer that ends, not a connection that
// does.
func TestCutShowsTheHead(t *testing.T) {
	c := compressor(t, compress.Options{})
	for _, length := range []int64{2000, -1} {
		var out recorder
		w := c.Wrap(&out, request("GET", "gzip"))
		w.WriteHead(200, fields(html), length)
		if _, err := w.Write(text(100)); err != nil {
			t.Fatal(err)
		}
		w.Cut()
		if out.status != 200 || out.length != -1 {
			t.Errorf("got %d with a length of %d", out.status, out.length)
		}
	}
}

// TestMemory: when too many encoders are in use, answers are sent as they are.
func TestMemory(t *testing.T) {
	shared := new(compress.Encoders)
	c, err := compress.NewShared(compress.Options{Level: "best"}, shared)
	if err != nil {
		t.Fatal(err)
	}
	var open []*compress.Writer
	var outs []*recorder
	for range 1000 {
		out := new(recorder)
		w := c.Wrap(out, request("GET", "br"))
		w.WriteHead(200, fields(html), -1)
		if _, err := w.Write(text(2000)); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if open, outs = append(open, w), append(outs, out); !out.fields.Has("Content-Encoding") {
			break
		}
	}
	if n := shared.InUse(); n > compress.MaxMemory || n < compress.MaxMemory-6<<20 {
		t.Errorf("%d bytes are in use by %d", n, len(open))
	}
	for i, w := range open {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		f, coded := outs[i].fields, i < len(open)-1
		if f.Has("Content-Encoding") != coded || f.Get("Vary") != "Accept-Encoding" || !coded && outs[i].body.Len() != 2000 {
			t.Errorf("%d of %d: %d bytes, %q", i, len(open), outs[i].body.Len(), f)
		}
	}
	if n := shared.InUse(); n != 0 {
		t.Errorf("%d bytes are in use at the end", n)
	}
	if got := answer(t, c, "GET", "br", 200, 2000, text(2000), html); !got.fields.Has("Content-Encoding") {
		t.Error("an answer behind them is not coded")
	}
}

// TestMemoryThatIsKept: on a machine with many processors, too, it has a bound.
func TestMemoryThatIsKept(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(128))
	shared := new(compress.Encoders)
	for _, name := range everything {
		for _, level := range []string{"fast", "default"} {
			c, err := compress.NewShared(compress.Options{Level: level}, shared)
			if err != nil {
				t.Fatal(err)
			}
			var open []*compress.Writer
			for range 128 {
				w := c.Wrap(new(recorder), request("GET", name))
				w.WriteHead(200, fields(html), 2000)
				open = append(open, w)
			}
			for _, w := range open {
				w.Cut()
			}
		}
	}
	if n := shared.Kept(); n > compress.MaxMemory || n < compress.MaxMemory/2 {
		t.Errorf("%d MiB are kept, want %d at most", n>>20, compress.MaxMemory>>20)
	}
}

// TestMemoryOfAnEncoder is not more than is counted.
func TestMemoryOfAnEncoder(t *testing.T) {
	if raced {
		t.Skip("the race detector takes memory of its own")
	}
	const n = 4
	new(compress.Encoders).Keep(n, text(1<<20), func(name string, level int, memory int64, begin func()) {
		before := heap()
		begin()
		took := heap() - before
		t.Logf("%s %d: %d KiB", name, level, took/n>>10)
		if took > memory+memory/10 || took < memory/2 {
			t.Errorf("%s of level %d: %d of them take %d KiB, and %d are counted", name, level, n, took>>10, memory>>10)
		}
	})
}

func heap() int64 {
	var m runtime.MemStats
	for range 3 { // the last is rid of pools
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// fileRecorder takes files too.
type fileRecorder struct {
	recorder
	files int
}

func (r *fileRecorder) SendFile(f *os.File, offset, n int64) (int64, error) {
	r.files++
	return io.Copy(&r.body, io.NewSectionReader(f, offset, n))
}

func TestSendFile(t *testing.T) {
	body := text(50_000)
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := compressor(t, compress.Options{})
	for _, accept := range []string{"", "gzip"} {
		for _, method := range []string{"GET", "HEAD"} {
			var plain recorder
			var able fileRecorder
			for _, out := range []wire.Answer{&plain, &able} {
				w := c.Wrap(out, request(method, accept))
				w.WriteHead(200, fields(html), 40_000)
				if method == "GET" || accept != "" {
					if n, err := w.SendFile(f, 5000, 40_000); n != 40_000 || err != nil {
						t.Fatalf("SendFile = %d, %v", n, err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for _, out := range []*recorder{&plain, &able.recorder} {
				got, err := decode(out.fields.Get("Content-Encoding"), out.body.Bytes())
				if method == "HEAD" {
					got, err = body[5000:45_000], nil
				}
				if err != nil || !bytes.Equal(got, body[5000:45_000]) {
					t.Errorf("%s %q: got %d bytes, %v", method, accept, len(got), err)
				}
			}
			if want := map[bool]int{true: 1}[accept == "" && method == "GET"]; able.files != want {
				t.Errorf("%s %q: %d files were sent", method, accept, able.files)
			}
		}
	}
	var out recorder
	w := c.Wrap(&out, request("GET", "gzip"))
	w.WriteHead(200, fields(html), 60_000)
	if n, err := w.SendFile(f, 0, 60_000); n != 50_000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a file that is too short: got %d, %v", n, err)
	}
	w.Cut()
}

// TestNoAllocation: but for the strings of a tag and of Vary.
func TestNoAllocation(t *testing.T) {
	if raced {
		t.Skip("the race detector empties pools")
	}
	c := compressor(t, compress.Options{})
	body := text(20_000)
	for _, name := range slices.Concat(everything, []string{""}) {
		r, f := request("GET", name), fields(html, "Server: x", "Vary: Cookie")
		out := new(recorder)
		out.body.Grow(1 << 20)
		n := testing.AllocsPerRun(50, func() {
			out.status = 0
			out.body.Reset()
			w := c.Wrap(out, r)
			w.WriteHead(200, f, int64(len(body)))
			if _, err := w.Write(body); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		})
		if n > 1 { // zstd, brotli: what grows in the first answers
			t.Errorf("%q: %v allocations", name, n)
		}
	}
}

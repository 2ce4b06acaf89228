package compress

import (
	"errors"
	"io"
	"runtime"
)

// InUse returns the memory of the encoders that are in use.
func (e *Encoders) InUse() int64 { return e.inUse.Load() }

// Kept returns the memory of the encoders that no collection takes.
func (e *Encoders) Kept() (n int64) {
	for coding := range e.idle {
		for level := range e.idle[coding] {
			n += int64(len(e.idle[coding][level].kept)) * kind{coding, level}.memory()
		}
	}
	return n
}

// The lengths of padding, for a test of all of them.
const MaxPadding = maxPadding

// Pad codes body with n bytes of padding.
func (e *Encoders) Pad(name string, level, n int, body []byte, to interface{ Write([]byte) (int, error) }) error {
	enc := e.take(kindOf(name, level))
	defer e.give(enc)
	if err := enc.begin(to, n); err != nil {
		return err
	}
	if _, err := enc.Write(body); err != nil {
		return err
	}
	return enc.Close()
}

// Keep codes body with n encoders of each kind in turn, and calls look with their
// name, what all of them may take, and a function that gives them back.
func (e *Encoders) Keep(n int, body []byte, look func(name string, level int, memory int64, begin func())) {
	for _, name := range []string{gzipName, brName, zstdName} {
		for level := range levels() {
			k := kindOf(name, level)
			kept := make([]*encoder, n)
			look(name, level, int64(n)*k.memory(), func() {
				for i := range kept {
					kept[i] = newEncoder(k)
					if err := errors.Join(kept[i].begin(io.Discard, 1), write(kept[i], body), kept[i].Close()); err != nil {
						panic(err)
					}
				}
			})
			runtime.KeepAlive(kept)
		}
	}
}

// write writes a long piece and short ones, which encoders treat differently.
func write(w io.Writer, p []byte) error {
	for n := len(p) / 2; len(p) > 0; n = min(8<<10, len(p)) {
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

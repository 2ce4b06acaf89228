package process

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"
)

// Bounds of what is kept of the output.
const (
	lineSize  = 8 << 10 // of a line, with the mark that it was cut
	tailLines = 40
	tailSize  = 8 << 10
	pipeSize  = 256 << 10 // more than a pipe holds
	cutMark   = "…"
)

// output reads what a process and its children write.
type output struct {
	line    func(stderr bool, line []byte)
	streams [2]stream // stdout, stderr
	readers sync.WaitGroup

	speak sync.Mutex // held while line is called, which is what it is for

	mu    sync.Mutex // guards tails
	tails [2]tail
}

// stream is a pipe.
type stream struct{ read, write *os.File }

// newOutput makes the pipes.
func newOutput(line func(stderr bool, line []byte)) (*output, error) {
	o := &output{line: line}
	for i := range o.streams {
		r, w, err := os.Pipe()
		if err != nil {
			o.abandon()
			return nil, err
		}
		o.streams[i] = stream{r, w}
	}
	return o, nil
}

// abandon closes the pipes when there is nobody to write.
func (o *output) abandon() {
	for _, s := range o.streams {
		if s.read != nil {
			s.read.Close()
			s.write.Close()
		}
	}
}

// begin reads, and leaves the other ends to the process.
func (o *output) begin() {
	for i, s := range o.streams {
		s.write.Close()
		o.readers.Go(func() { o.read(s.read, i == 1) })
	}
}

// finish returns when all that has the pipes has closed them, or after d, and what
// was written until then has been read.
func (o *output) finish(d time.Duration) {
	end := time.Now().Add(d)
	for _, s := range o.streams {
		_ = s.read.SetReadDeadline(end) // a closed one has ended
	}
	o.readers.Wait()
}

// read hands on the lines of a pipe until it ends.
func (o *output) read(f *os.File, stderr bool) {
	defer f.Close()
	r := bufio.NewReaderSize(&lastWords{file: f, left: -1}, lineSize+len("\r\n"))
	for {
		b, err := r.ReadSlice('\n')
		if err != nil && len(b) == 0 {
			return
		}
		o.say(stderr, trim(b))
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			_, err = r.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}

// trim cuts off the end of a line, and what is too much of it.
func trim(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	b = bytes.TrimSuffix(b, []byte("\r"))
	if len(b) <= lineSize {
		return b
	}
	n := lineSize - len(cutMark)
	for back := range utf8.UTFMax { // not within a character, if it is one
		if utf8.RuneStart(b[n-back]) {
			n -= back
			break
		}
	}
	return append(b[:n], cutMark...)
}

// say keeps a line and hands it on.
func (o *output) say(stderr bool, line []byte) {
	i := 0
	if stderr {
		i = 1
	}
	o.mu.Lock()
	o.tails[i].add(line)
	o.mu.Unlock()
	if o.line == nil {
		return
	}
	o.speak.Lock()
	defer o.speak.Unlock()
	o.line(stderr, line)
}

// tail returns the last lines of stderr, else of stdout.
func (o *output) tail() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := o.tails[1].lines; len(t) > 0 {
		return append([]string(nil), t...)
	}
	return append([]string(nil), o.tails[0].lines...)
}

// tail keeps the last lines.
type tail struct {
	lines []string
	size  int
}

// add keeps a line, and drops the first ones when it is one too many.
func (t *tail) add(line []byte) {
	t.lines = append(t.lines, string(line))
	t.size += len(line)
	drop := 0
	for len(t.lines)-drop > tailLines || t.size > tailSize {
		t.size -= len(t.lines[drop])
		drop++
	}
	t.lines = append(t.lines[:0], t.lines[drop:]...)
}

// lastWords reads a pipe; when its time is over, what is in it at that moment.
type lastWords struct {
	file *os.File
	left int // how much more may be read once the time is over; negative: it is not
}

// Read implements io.Reader.
func (w *lastWords) Read(b []byte) (int, error) {
	if w.left < 0 {
		n, err := w.file.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		w.left = pipeSize
		_ = w.file.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // what is there is read at once
	}
	if w.left == 0 {
		return 0, io.EOF
	}
	n, err := w.file.Read(b[:min(len(b), w.left)])
	w.left -= n
	return n, err
}

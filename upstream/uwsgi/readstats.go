package uwsgi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Bounds of reading statistics.
const (
	statsBytes     = 8 << 20
	statsItems     = 10_000                 // workers, or sockets
	statsHeadBytes = 8 << 10                // of the HTTP head that stats-http puts before them
	statsTime      = 5 * time.Second        // for all of it, unless ctx ends before
	statsSilence   = 200 * time.Millisecond // after which HTTP is spoken
)

const cureStats = "give the address that uWSGI has in its stats option"

// ReadStats reads the statistics that uWSGI writes to whoever connects to the
// address of its stats option. If it says nothing for 200 ms it is asked in HTTP,
// for which stats-http waits; uWSGI's master waits as long, so plain stats are
// better. It reads at most 8 MiB, and blocks until that is done, ctx ends or 5 s
// are over. The error is an *Error.
//
// uWSGI tells the variables of the requests too, with cookies and passwords. They
// are passed over, and nothing of them is in the result or in an error.
func ReadStats(ctx context.Context, addr Address) (Stats, error) {
	t, err := NewTransport(addr, Options{ConnectTimeout: statsTime})
	if err != nil {
		return Stats{}, err
	}
	if e := t.ended(ctx); e != nil {
		return Stats{}, e
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, statsTime)
	defer cancel()
	c, e := t.dial(ctx)
	if e != nil {
		if e.away && !strings.HasPrefix(e.Cause, "permission") {
			e.Cure = "is uWSGI running, and is this the address in its stats option?"
		}
		return Stats{}, overdue(ctx, e, began)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, c.interrupt)
	defer stop()
	s, err := readStats(c)
	if err != nil {
		return Stats{}, t.statsFailure(ctx, err, began)
	}
	return s, nil
}

// What statistics are not.
var (
	errStatsSilent  = errors.New("the server says nothing, as one that waits for requests does")
	errStatsRefused = errors.New("the server closes the connection without a word, as one that waits for requests does")
	errStatsStrange = errors.New("the answer is not JSON")
	errStatsLarge   = errors.New("the answer has more than 8 MiB")
	errStatsMany    = fmt.Errorf("the answer has more than %d workers or sockets", statsItems)
	errStatsEmperor = errors.New("these are the statistics of an Emperor")
	errStatsRouter  = errors.New("these are the statistics of a router of uWSGI")
	errStatsOther   = errors.New("the JSON tells of no workers")
	errStatsShape   = errors.New("the JSON is not as uWSGI writes it")
)

// statsFailure puts an error of readStats into words.
func (t *Transport) statsFailure(ctx context.Context, err error, began time.Time) *Error {
	e := &Error{Stage: StageHead, Kind: KindBadAnswer, Addr: t.name, Cause: "the statistics cannot be read", Err: err, Cure: cureStats}
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return canceled(e, ctx)
	case errors.Is(err, errStatsSilent):
		e.Kind = KindTimeout
	case errors.Is(err, errStatsEmperor):
		e.Cure = "give the stats option to the vassal, and its address here"
	case errors.Is(err, errStatsRouter):
		e.Cure = "give the stats option to the uWSGI that runs the app, and its address here"
	case isTimeout(err):
		e.Kind, e.Err, e.Cause = KindTimeout, nil, "the statistics were not complete within "+seconds(time.Since(began))
		e.Cure = "uWSGI's master writes them: what is it busy with?"
	case isReset(err), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Kind, e.Err, e.Cause, e.Cure = KindCut, nil, "the statistics were cut", "uWSGI was stopped, or reloaded, while it wrote them"
	}
	return e
}

// readStats waits for the first byte, asks in HTTP if none comes, and reads.
func readStats(c *conn) (Stats, error) {
	limit := &io.LimitedReader{R: c, N: statsBytes + 1}
	r := bufio.NewReader(limit)
	c.armRead(statsSilence) // the rest is bounded by the context
	_, err := r.Peek(1)
	c.armRead(0)
	if isTimeout(err) && !c.interrupted() {
		if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			return Stats{}, errStatsRefused
		}
		_, err = r.Peek(1)
	}
	switch {
	case isTimeout(err):
		return Stats{}, errStatsSilent
	case err != nil:
		return Stats{}, errStatsRefused
	}
	s, err := decodeStats(r)
	if err != nil && limit.N <= 0 {
		err = errStatsLarge
	}
	return s, err
}

// decodeStats reads a document, and the head of HTTP if there is one before it.
func decodeStats(r *bufio.Reader) (Stats, error) {
	if start, _ := r.Peek(len("HTTP/")); string(start) == "HTTP/" {
		if err := skipHead(r); err != nil {
			return Stats{}, err
		}
	}
	d := json.NewDecoder(printable{r})
	switch token, err := d.Token(); {
	case isSyntax(err):
		return Stats{}, errStatsStrange
	case err != nil:
		return Stats{}, err
	case token != json.Delim('{'):
		return Stats{}, errStatsStrange
	}
	var doc statsDocument
	for d.More() {
		if err := doc.field(d); err != nil {
			return Stats{}, legible(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return Stats{}, legible(err)
	}
	return doc.stats, doc.judge()
}

// skipHead reads up to the empty line.
func skipHead(r *bufio.Reader) error {
	for read, first := 0, true; read <= statsHeadBytes; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		read += len(line)
		text := strings.TrimRight(string(line), "\r\n")
		if _, status, _ := strings.Cut(text, " "); first && !strings.HasPrefix(status, "200") {
			return errStatsStrange
		}
		if text == "" {
			return nil
		}
	}
	return errStatsStrange
}

// printable makes a space of each control character that JSON has no room for:
// uWSGI writes those of a request's variables as they are, and so anybody who
// asks for /%01 could make the document invalid.
type printable struct{ r io.Reader }

// Read implements io.Reader.
func (p printable) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	for i, c := range b[:n] {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' {
			b[i] = ' '
		}
	}
	return n, err
}

// isSyntax reports whether an error is about the text, and not about reading it.
func isSyntax(err error) bool {
	var syntax *json.SyntaxError
	return errors.As(err, &syntax)
}

// legible keeps what a document contains out of its error.
func legible(err error) error {
	var kind *json.UnmarshalTypeError
	switch {
	case isSyntax(err):
		return errStatsStrange
	case errors.As(err, &kind):
		return errStatsShape
	}
	return err
}

package limit

import (
	"context"
	"os"
	"time"

	"headgate/gateway/wire"
)

const (
	steps    = 8                      // in a second
	stepTime = time.Second / steps    // and what is caught up at once when the app was slow
	minPause = 500 * time.Microsecond // shorter ones are saved up
)

// Pace returns an answer whose body goes to a no faster than o says, in steps of at
// most an eighth of a second. Write, and SendFile if a has it, wait in between, and
// return the error of ctx when it ends. Off, it is a itself. It is not meant for
// answers to HEAD, whose bodies are not sent.
func Pace(ctx context.Context, a wire.Answer, o Bandwidth) wire.Answer {
	if o.Rate <= 0 {
		return a
	}
	p := &pacer{Answer: a, ctx: ctx, rate: int64(o.Rate), free: max(int64(o.After), 0)}
	if s, ok := a.(wire.FileSender); ok {
		return &filePacer{p, s}
	}
	return p
}

// pacer knows until when the bytes that were sent have taken their time.
type pacer struct {
	wire.Answer
	ctx  context.Context // of the one answer
	rate int64           // bytes in a second
	free int64           // bytes that take no time
	due  time.Time
}

// Write implements wire.Answer.
func (p *pacer) Write(b []byte) (n int, err error) {
	for n < len(b) {
		part := p.step(int64(len(b) - n))
		if err = p.await(part); err != nil {
			return n, err
		}
		m, err := p.Answer.Write(b[n : n+int(part)])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// step returns how many of n bytes are sent at once.
func (p *pacer) step(n int64) int64 {
	if p.free > 0 {
		return min(n, p.free)
	}
	return min(n, max(p.rate/steps, 1))
}

// await returns when n bytes more may be sent.
func (p *pacer) await(n int64) error {
	if p.free > 0 {
		p.free -= n
		return p.ctx.Err()
	}
	now := time.Now()
	if earliest := now.Add(-stepTime); p.due.Before(earliest) {
		if p.due.IsZero() {
			earliest = now
		}
		p.due = earliest
	}
	p.due = p.due.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	wait := p.due.Sub(now)
	if wait < minPause {
		return p.ctx.Err()
	}
	if err := p.Flush(); err != nil { // what is held back would come late
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// filePacer is a pacer in front of what sends files.
type filePacer struct {
	*pacer
	files wire.FileSender
}

// SendFile implements wire.FileSender.
func (p *filePacer) SendFile(f *os.File, offset, n int64) (sent int64, err error) {
	for sent < n {
		part := p.step(n - sent)
		if err = p.await(part); err != nil {
			return sent, err
		}
		m, err := p.files.SendFile(f, offset+sent, part)
		sent += m
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

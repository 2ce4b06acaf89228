package compress

import (
	"net/http"
	"slices"
	"sync"

	"headgate/gateway/coding"
	"headgate/gateway/notation"
	"headgate/gateway/wire"
)

// Compressor compresses the answers of a route. Its methods may be called by several
// goroutines at once.
type Compressor struct {
	codings  []string
	types    []string
	min      int64
	level    int
	padding  bool
	encoders *Encoders
	writers  sync.Pool // of *Writer
}

// New returns a Compressor with encoders of its own. The error is that of
// o.Validate.
func New(o Options) (*Compressor, error) { return NewShared(o, new(Encoders)) }

// NewShared is New with encoders that are shared with other Compressors, and with
// them the bound of their memory.
func NewShared(o Options, e *Encoders) (*Compressor, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.WithDefaults()
	c := &Compressor{
		codings: o.Codings, types: o.Types, min: max(int64(o.MinSize), 1),
		level: slices.Index(levels(), o.Level), padding: o.Padding == notation.On, encoders: e,
	}
	if o.On == notation.Disabled {
		c.codings = nil
	}
	return c, nil
}

// Codings returns what is offered, the preferred one first. It is not changed.
func (c *Compressor) Codings() []string { return c.codings }

// Wrap returns an Answer that passes on to a what answers r, coded if that may be.
// It must be closed or cut.
func (c *Compressor) Wrap(a wire.Answer, r *wire.Request) *Writer {
	w, _ := c.writers.Get().(*Writer)
	if w == nil {
		w = new(Writer)
	}
	w.c, w.a, w.r = c, a, r
	return w
}

// suits reports whether an answer with that head would be coded for a client that
// wants it, and if so keeps the head in h.
func (c *Compressor) suits(h *head, r *wire.Request, status int, f wire.Fields, length int64) bool {
	switch status {
	case http.StatusNoContent, http.StatusResetContent, http.StatusPartialContent, http.StatusNotModified:
		return false
	}
	if len(c.codings) == 0 || status < 200 || length >= 0 && length < c.min || r.Method == http.MethodConnect ||
		!h.transformable(f) || !suitable(c.types, h.mediaType) {
		return false
	}
	h.status, h.length, h.fields = status, length, append(h.fields[:0], f...)
	return true
}

// choose returns the coding for a client that gets the answer; "" for none.
func (c *Compressor) choose(r *wire.Request) string { return coding.Choose(r.Fields, c.codings...) }

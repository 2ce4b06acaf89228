package gateway

import "headgate/gateway/filter/compress"

// compressed compresses the answer where that is worth it.
type compressed struct {
	next action
	by   *compress.Compressor
}

func (a *compressed) serve(x *exchange) {
	answer := x.w
	w := a.by.Wrap(answer, x.r)
	ended := false
	defer func() {
		if !ended {
			w.Cut()
		}
	}()
	x.w = w
	a.next.serve(x)
	x.w = answer
	if x.cut {
		return
	}
	ended = true
	if err := w.Close(); err != nil {
		x.clientGone(err)
	}
}

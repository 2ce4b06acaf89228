package gateway

import (
	"math/rand/v2"
	"net/http"
)

// splitTo shares requests between pools by weight. A client that was given to one of
// them stays there, by a cookie that names it.
type splitTo struct {
	cookie string
	shares []share
	total  int
}

type share struct {
	name   string
	weight int
	to     *passTo
}

func (a *splitTo) serve(x *exchange) { a.choose(x).to.serve(x) }

// choose decides once for a request.
func (a *splitTo) choose(x *exchange) *share {
	for i := range a.shares {
		if x.share == &a.shares[i] {
			return x.share
		}
	}
	named := cookie(x.r.Fields, a.cookie)
	for i := range a.shares {
		if s := &a.shares[i]; named != "" && s.name == named {
			x.share = s
			return s
		}
	}
	s := a.pick()
	x.share = s
	c := http.Cookie{Name: a.cookie, Value: s.name, Path: "/", HttpOnly: true, Secure: x.scheme == "https", SameSite: http.SameSiteLaxMode}
	x.edge.adds.Add("Set-Cookie", c.String())
	return s
}

// pick chooses by chance.
func (a *splitTo) pick() *share {
	n := rand.IntN(a.total)
	for i := range a.shares {
		if n -= a.shares[i].weight; n < 0 {
			return &a.shares[i]
		}
	}
	panic("gateway: the weights of a split do not add up")
}

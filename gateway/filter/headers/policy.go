package headers

import (
	"strconv"
	"strings"
	"time"

	"headgate/gateway/wire"
)

// Bounds of what a preflight asks for and gets echoed.
const (
	maxAsked      = 64
	maxAskedBytes = 4 << 10
)

// A Policy is CORS that is ready for use. It is immutable and may be used by several
// goroutines at once. Nil, and one without origins, is off: nothing is a preflight,
// and no answer changes.
type Policy struct {
	any     bool // every origin, without credentials
	exact   map[string]bool
	below   []pattern // with a *
	methods string
	headers string // "" and echo: what is asked for
	echo    bool
	expose  string
	maxAge  string

	credentials bool
}

// NewCORS returns the Policy of c with its defaults. Errors are those of Validate.
func NewCORS(c CORS) (*Policy, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	p := &Policy{
		exact:   make(map[string]bool, len(c.Origins)),
		methods: c.allowedMethods(), headers: strings.Join(c.Headers, ", "), echo: c.Headers == nil,
		expose: strings.Join(c.Expose, ", "), credentials: c.Credentials,
		maxAge: strconv.FormatInt(int64(max(c.MaxAge, 0)/time.Second), 10),
	}
	for _, origin := range c.Origins {
		switch origin {
		case "*":
			p.any = true
		case "null":
			p.exact[origin] = true
		default:
			p.addOrigin(origin)
		}
	}
	return p, nil
}

// addOrigin adds one that Validate has passed.
func (p *Policy) addOrigin(origin string) {
	if parsed, _ := parseOrigin(origin); parsed.exact != "" {
		p.exact[parsed.exact] = true
	} else {
		p.below = append(p.below, parsed)
	}
}

func (p *Policy) off() bool { return p == nil || !p.any && len(p.exact)+len(p.below) == 0 }

// allows reports whether pages of origin may.
func (p *Policy) allows(origin string) bool {
	if origin == "" || len(origin) > maxOrigin {
		return false
	}
	if p.any || p.exact[origin] {
		return true
	}
	for i := range p.below {
		if p.below[i].matches(origin) {
			return true
		}
	}
	return false
}

// Preflight reports whether r asks what a page may do (Fetch, 4.8), and returns the
// header of the answer to it, which has the status 204 and no body. The app does
// not see it.
func (p *Policy) Preflight(r *wire.Request) (wire.Fields, bool) {
	if p.off() || r.Method != "OPTIONS" || !r.Fields.Has("Origin") || !r.Fields.Has("Access-Control-Request-Method") {
		return nil, false
	}
	f := make(wire.Fields, 0, 8)
	f.Add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	origin, ok := r.Fields.Only("Origin")
	if !ok || !p.allows(origin) {
		return f, true
	}
	p.allow(origin, &f)
	f.Add("Access-Control-Allow-Methods", p.methods)
	if asked := p.allowedHeaders(r.Fields); asked != "" {
		f.Add("Access-Control-Allow-Headers", asked)
	}
	f.Add("Access-Control-Max-Age", p.maxAge)
	return f, true
}

// allowedHeaders is the list of policy, or what f asks for if that is a list of
// names within the bounds.
func (p *Policy) allowedHeaders(f wire.Fields) string {
	if !p.echo {
		return p.headers
	}
	asked, ok := f.Only("Access-Control-Request-Headers")
	if !ok || len(asked) > maxAskedBytes || strings.Count(asked, ",") >= maxAsked {
		return ""
	}
	for name := range strings.SplitSeq(asked, ",") {
		if name = strings.Trim(name, " \t"); name == "" || !isTokens(name) {
			return ""
		}
	}
	return asked
}

// Response puts into the header of an answer to r whether the page may read it, in
// place of what the app has said of that. f is changed in place: its array must
// belong to the caller.
func (p *Policy) Response(r *wire.Request, f *wire.Fields) {
	if p.off() {
		return
	}
	drop(f, ofCORS) // what the app says of it
	if !p.any {
		vary(f, "Origin")
	}
	origin, ok := r.Fields.Only("Origin")
	if !p.any && (!ok || !p.allows(origin)) {
		return
	}
	p.allow(origin, f)
	if p.expose != "" {
		f.Add("Access-Control-Expose-Headers", p.expose)
	}
}

// allow says that pages of origin may.
func (p *Policy) allow(origin string, f *wire.Fields) {
	if p.any {
		origin = "*" // for all the same, so that caches may give it to all
	}
	f.Add("Access-Control-Allow-Origin", origin)
	if p.credentials {
		f.Add("Access-Control-Allow-Credentials", "true")
	}
}

func ofCORS(name string) bool { return beginsWith(name, "Access-Control-") }

package uwsgi

import (
	"net/netip"
	"slices"
	"strconv"
)

// Encoder turns requests into packets. It keeps its memory from one request to
// the next and then allocates nothing, so it belongs into a sync.Pool. The zero
// value is ready; an Encoder is not safe for concurrent use.
type Encoder struct {
	buf   []byte   // the packet: header, then the block
	vars  []varPos // the variables in buf, in their order
	seen  seen
	need  int  // size of the block; more than buf holds once over is set
	over  bool // the block went over the limit: buf has gaps
	count int  // header fields that came

	con        *Constants
	typ        string // the first Content-Type
	typed      bool
	connection []byte                        // values of Connection, "," between them
	visit      func(name, value string) bool // e.field, bound once
	scratch    [64]byte
	work       []byte // a path or a name that is being written anew
}

// keepBytes is the largest buffer that an Encoder holds on to between requests.
const keepBytes = 2 * (HeaderBytes + MaxVarsBytes)

// Encode returns the whole packet for req: header and variables, without the
// body. The slice belongs to the Encoder and is good until its next Encode.
// c may be nil. With last, gunicorn is told to close the connection after its
// answer; the caller asks for it only from a server that keeps connections.
//
// Of one variable, req.Extra wins over the constants of the pool, they over what
// Encode makes of the request, and that over a header field. Only what frames
// the exchange (CONTENT_LENGTH and the hop-by-hop fields) is not replaceable. No
// variable is sent twice: servers disagree on which one counts.
//
// An error is an *Error of StageEncode: KindTooLarge if the request does not fit
// the protocol or the server's count of variables, KindBody if the length of the
// body is not known.
func (e *Encoder) Encode(req *Request, c *Constants, d Dialect, last bool) ([]byte, error) {
	if req.Body != nil && req.ContentLength < 0 {
		return nil, &Error{
			Stage: StageEncode, Kind: KindBody, NeverRan: true,
			Cause: "the length of the request's body is not known, and the protocol needs it before the first byte",
			Cure:  "spool the body first",
		}
	}
	e.reset(c)
	e.encode(req, d, last)
	if err := e.check(d); err != nil {
		return nil, err
	}
	AppendHeader(e.buf[:0], e.con.modifier1, e.need, e.con.modifier2)
	return e.buf, nil
}

// Size returns the size in bytes of the last request's block of variables.
func (e *Encoder) Size() int { return e.need }

var noConstants = &Constants{}

func (e *Encoder) reset(c *Constants) {
	if c == nil {
		c = noConstants
	}
	if cap(e.buf) > keepBytes {
		e.buf = nil
	}
	if e.visit == nil {
		e.visit = e.field
	}
	e.buf = append(e.buf[:0], 0, 0, 0, 0)
	e.vars, e.seen, e.need, e.over, e.count = e.vars[:0], seen{}, 0, false, 0
	e.con, e.typ, e.typed, e.connection = c, "", false, e.connection[:0]
}

// encode writes the variables from the most to the least trusted; the first of
// a name stays. UWSGI_SCHEME and HTTPS are the exception: uWSGI takes the scheme
// from the last one of UWSGI_SCHEME and HTTP_X_FORWARDED_PROTO.
func (e *Encoder) encode(req *Request, d Dialect, last bool) {
	scheme := req.Scheme
	for _, v := range slices.Backward(req.Extra) { // the last of a name wins
		switch {
		case v.Key == "UWSGI_SCHEME":
			scheme = v.Value
		case v.Key != "" && !frames(v.Key):
			e.put(v.Key, v.Value)
		}
	}
	e.constants()
	e.request(req, d)
	e.fields(req.Header)
	e.dropListed()
	set(e, &contentType, e.typ)
	e.typ = "" // of the request: not to be kept
	switch {
	case req.Upgrade != "":
		set(e, &httpUpgrade, req.Upgrade)
		set(e, &httpConnection, "Upgrade")
	case last:
		set(e, &httpConnection, "close")
	}
	if d == DialectGunicorn && req.Remote.IsValid() && !e.hides("HTTP_X_FORWARDED_FOR") {
		// gunicorn's REMOTE_ADDR is the peer of the socket, so an app there can
		// learn of the client only through this.
		e.setAddr(&forwardedFor, req.Remote)
	}
	if req.Scheme == "https" {
		set(e, &httpsOn, "on")
	}
	set(e, &uwsgiScheme, scheme)
}

// constants writes those of the pool: all at once if the request has none of their
// names, which is nearly always so.
func (e *Encoder) constants() {
	c := e.con
	if len(c.vars) == 0 {
		return
	}
	if c.block == nil || c.names.meets(&e.seen) || e.over || e.need+len(c.block) > MaxVarsBytes {
		for _, v := range c.vars {
			e.put(v.Key, v.Value)
		}
		return
	}
	at := len(e.buf)
	e.seen.add(&c.names)
	e.need += len(c.block)
	e.buf = append(e.buf, c.block...)
	for _, v := range c.places {
		v.at += at
		e.vars = append(e.vars, v)
	}
}

// request writes what is known of the request besides its header.
func (e *Encoder) request(req *Request, d Dialect) {
	set(e, &queryString, req.Query)
	set(e, &requestMethod, req.Method)
	length := e.scratch[:0]
	if req.Body != nil {
		length = strconv.AppendInt(length, req.ContentLength, 10)
	}
	set(e, &contentLength, length)
	set(e, &requestURI, req.URI)
	if pathIsPlain(req.PathInfo, d) {
		set(e, &pathInfo, req.PathInfo)
	} else {
		e.work = appendPath(e.work[:0], req.PathInfo, d)
		set(e, &pathInfo, e.work)
	}
	set(e, &scriptName, req.ScriptName)
	set(e, &serverProtocol, req.Proto)
	set(e, &requestScheme, req.Scheme)
	e.setAddr(&remoteAddr, req.Remote)
	port := e.scratch[:0]
	if req.Remote.IsValid() {
		port = strconv.AppendUint(port, uint64(req.Remote.Port()), 10)
	}
	set(e, &remotePort, port)
	set(e, &serverName, req.ServerName)
	set(e, &serverPort, req.ServerPort)
	set(e, &httpHost, req.Host)
}

// setAddr writes a client's address the way apps compare it: an IPv4 address
// that came in IPv6 clothes as IPv4, and no zone, which is a name of this host's.
func (e *Encoder) setAddr(k *known, remote netip.AddrPort) {
	text := e.scratch[:0]
	if remote.IsValid() {
		text = remote.Addr().Unmap().WithZone("").AppendTo(text)
	}
	set(e, k, text)
}

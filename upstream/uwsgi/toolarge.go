package uwsgi

import (
	"fmt"
	"math/bits"
)

// check returns an error if what has been encoded cannot be sent.
func (e *Encoder) check(d Dialect) error {
	switch {
	case len(e.vars) > d.maxPairs():
		return e.tooMany(d)
	case e.over:
		return e.tooLarge(fmt.Sprintf("the request's variables need %d bytes and the uwsgi protocol carries %d", e.need, MaxVarsBytes))
	}
	return nil
}

func (e *Encoder) tooMany(d Dialect) error {
	server := "uWSGI"
	if d == DialectGunicorn {
		server = "gunicorn"
	}
	needed := fmt.Sprint(len(e.vars))
	if len(e.vars) > MaxPairsGunicorn {
		needed = "more than " + fmt.Sprint(MaxPairsGunicorn)
	}
	return &Error{
		Stage: StageEncode, Kind: KindTooLarge, NeverRan: true,
		Cause: fmt.Sprintf("the request came with %d header fields and needs %s variables, and %s takes %d", e.count, needed, server, d.maxPairs()),
		Cure:  "the client must send fewer header fields; the limit is the server's, which drops a request with more without an answer",
	}
}

// tooLarge says which part of the request is to blame for a block that is too
// big, as a fact and as what the client can do.
func (e *Encoder) tooLarge(cause string) *Error {
	url := e.sizeOf("REQUEST_URI") + e.sizeOf("PATH_INFO") + e.sizeOf("QUERY_STRING")
	name, size := e.biggest()
	err := &Error{Stage: StageEncode, Kind: KindTooLarge, NeverRan: true}
	switch {
	case url > size:
		err.Cause = fmt.Sprintf("%s; the biggest part is the URL, which takes %d bytes as REQUEST_URI, PATH_INFO and QUERY_STRING", cause, url)
		err.Cure = "the client must send a shorter URL"
	case size > 0:
		err.Cause = fmt.Sprintf("%s; the biggest header is %s with %d bytes", cause, name, size)
		err.Cure = "the client must send a smaller " + name + " header"
	default:
		err.Cause = cause
		err.Cure = "the variables come from the configuration: set fewer or shorter ones"
	}
	if name == "Cookie" && size >= url {
		err.Cure += "; keep sessions at the server instead of in cookies"
	}
	return err
}

// TooLargeForMember is the error for a member that reset the connection because
// the block that was encoded last is, most likely, bigger than its buffer-size.
// limit is the size that the member is known to take, or 0. It must be called
// before the next Encode. The stage is StageSend, and NeverRan is left to the
// caller, who knows how sure that is.
func (e *Encoder) TooLargeForMember(addr string, limit int) *Error {
	cause := fmt.Sprintf("the worker reset the connection, and the request's variables take %d bytes: more than its buffer-size (4096 unless configured)", e.need)
	if limit > 0 {
		cause = fmt.Sprintf("the request's variables take %d bytes, and this worker has not taken more than %d", e.need, limit)
	}
	err := e.tooLarge(cause)
	err.Stage, err.Addr, err.NeverRan = StageSend, addr, false
	size, more := bufferSize(e.need), " (or more, up to 65535)"
	if size == MaxVarsBytes {
		more = ""
	}
	err.Cure = fmt.Sprintf("set buffer-size = %d%s in the worker's uWSGI configuration", size, more)
	return err
}

// bufferSize is the buffer-size to recommend for a block: the next power of two.
func bufferSize(need int) int {
	if need <= 4096 {
		return 8192
	}
	return min(1<<bits.Len(uint(need-1)), MaxVarsBytes)
}

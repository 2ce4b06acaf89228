package uwsgi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// RoundTrip implements http.RoundTripper, for use as a library. The mount point
// is "", the path is r.URL's, and the client is r.RemoteAddr if that is an
// address and a port. A body of unknown length is spooled first, with the zero
// Spooler. By the contract of http.RoundTripper it closes r.Body. Unlike Do it
// waits for a place in a full listen backlog, at most for the connect timeout.
//
// Response.Body of a 101 is an io.ReadWriteCloser. The error is an *Error, or
// the Spooler's.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	req := requestFrom(r)
	spool, err := takeBody(req, r)
	if err != nil {
		return nil, err
	}
	var resp *Response
	e := untilRoom(r.Context(), t.connectTimeout, func() (e *Error) {
		resp, e = t.doAgain(r.Context(), req)
		return e
	})
	if e != nil {
		_ = spool.Close()
		return nil, e
	}
	return responseFrom(resp, r, spool), nil
}

// doAgain is Do for a request that may have been tried: its body is at hand, and
// begins anew.
func (t *Transport) doAgain(ctx context.Context, req *Request) (*Response, *Error) {
	if req.Rewind != nil {
		body, err := req.Rewind()
		if err != nil {
			return nil, t.bodyFailure(StageSend, err, true)
		}
		req.Body = body
	}
	s := t.scratch()
	defer t.scratches.Put(s)
	return t.do(ctx, s, req)
}

// requestFrom takes from r everything but its body.
func requestFrom(r *http.Request) *Request {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	req := &Request{
		Method: r.Method, Proto: "HTTP/1.1", Scheme: r.URL.Scheme, Host: host,
		URI: r.URL.RequestURI(), PathInfo: r.URL.Path, Query: r.URL.RawQuery,
		Header: HeaderFields(r.Header), Upgrade: upgradeOf(r),
	}
	if req.Method == "" {
		req.Method = http.MethodGet
	}
	if r.TLS != nil {
		req.Scheme = "https"
	} else if req.Scheme == "" {
		req.Scheme = "http"
	}
	req.ServerName, req.ServerPort = splitHost(host, req.Scheme)
	req.Remote, _ = netip.ParseAddrPort(r.RemoteAddr) // else it is not known
	if r.ProtoMajor > 1 || r.ProtoMajor == 1 && r.ProtoMinor == 0 {
		req.Proto = "HTTP/" + strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor)
	}
	return req
}

func splitHost(host, scheme string) (name, port string) {
	if name, port, err := net.SplitHostPort(host); err == nil {
		return name, port
	}
	if scheme == "https" {
		return host, "443"
	}
	return host, "80"
}

// upgradeOf returns the protocol that r asks to switch to.
func upgradeOf(r *http.Request) string {
	for _, value := range r.Header["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(token, " \t"), "upgrade") {
				return r.Header.Get("Upgrade")
			}
		}
	}
	return ""
}

// takeBody spools r's body, so that it can be sent again and no Read of the
// caller's body outlives RoundTrip. Without a body it returns an empty Spool.
func takeBody(req *Request, r *http.Request) (io.Closer, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return http.NoBody, nil
	}
	size := r.ContentLength
	if size == 0 {
		size = -1 // to package net/http that means that it is not known
	}
	s, err := new(Spooler).Read(r.Body, size)
	if err != nil {
		return nil, err
	}
	req.Body, req.ContentLength = s.NewReader(), s.Len()
	req.Rewind = s.Rewind
	return s, nil
}

func responseFrom(resp *Response, r *http.Request, spool io.Closer) *http.Response {
	reason := resp.Reason
	if reason == "" {
		reason = http.StatusText(resp.Status)
	}
	h := &http.Response{
		Status: strconv.Itoa(resp.Status) + " " + reason, StatusCode: resp.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: headerOf(resp.Fields), ContentLength: resp.ContentLength, Request: r,
		Body: &spooledBody{Body: resp.Body, spool: spool},
	}
	if resp.Conn != nil {
		h.Body = &switchedBody{Conn: resp.Conn, body: resp.Body}
	}
	return h
}

// headerOf is a header as package net/http has it.
func headerOf(fields []Field) http.Header {
	h := make(http.Header, len(fields))
	for _, f := range fields {
		h.Add(f.Name, f.Value)
	}
	return h
}

// spooledBody closes the request's body with the response's.
type spooledBody struct {
	*Body
	spool io.Closer
}

// Close implements io.Closer.
func (b *spooledBody) Close() error { return errors.Join(b.Body.Close(), b.spool.Close()) }

// switchedBody is the connection behind a 101.
type switchedBody struct {
	net.Conn
	body *Body
}

// Close implements io.Closer.
func (b *switchedBody) Close() error { return errors.Join(b.Conn.Close(), b.body.Close()) }

// CloseWrite ends the sending half.
func (b *switchedBody) CloseWrite() error {
	if h, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return errors.ErrUnsupported
}

var _ http.RoundTripper = (*Transport)(nil)

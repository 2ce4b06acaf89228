package gatewaytest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Head is the head of a request, as it goes over the wire: nothing is added and
// nothing checked.
type Head struct {
	Method    string // "": GET
	Target    string // request target or :path; "": /
	Authority string // :authority; HTTP/1 has none
	Fields    [][2]string
}

func (h Head) withDefaults() Head {
	if h.Method == "" {
		h.Method = http.MethodGet
	}
	if h.Target == "" {
		h.Target = "/"
	}
	return h
}

// Raw sends a head and a body over a connection of its own and reads the
// response to its end. In HTTP/1 the authority becomes the first Host field.
// The error is for a request that has no response.
func (c *Client) Raw(h Head, body string) (*Response, error) {
	h = h.withDefaults()
	if c.Protocol == H3 {
		return c.rawH3(h, body)
	}
	conn, err := c.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if c.Protocol.Major() == 2 {
		return c.rawH2(conn, h, body)
	}
	return rawH1(conn, h, body)
}

// Dial opens a connection to the listener of the protocol, with TLS if it has it
// and HTTP/2 chosen if it is that. The caller closes it.
func (c *Client) Dial() (net.Conn, error) {
	conn, err := net.Dial("tcp", c.Gateway.Address(c.Protocol.listener()))
	if err != nil || !c.Protocol.Secure() {
		return conn, err
	}
	conf := c.TLS()
	if c.Protocol == H2 {
		conf.NextProtos = []string{"h2"}
	}
	return tls.Client(conn, conf), nil
}

func rawH1(conn net.Conn, h Head, body string) (*Response, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", h.Method, h.Target)
	if h.Authority != "" {
		fmt.Fprintf(&b, "Host: %s\r\n", h.Authority)
	}
	for _, f := range h.Fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	go func() { _, _ = io.WriteString(conn, b.String()) }() // an answer may come before it is taken
	return ReadResponse(bufio.NewReader(conn), h.Method)
}

// ReadResponse reads one final HTTP/1 response to its end.
func ReadResponse(r *bufio.Reader, method string) (*Response, error) {
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		return &Response{Code: resp.StatusCode, Proto: resp.Proto, Header: resp.Header, Body: string(b), Length: resp.ContentLength, BodyErr: err}, nil
	}
}

// pseudo returns the pseudo fields of h, then the others in lower case.
func (c *Client) pseudo(h Head) [][2]string {
	fields := [][2]string{{":method", h.Method}, {":scheme", c.Protocol.Scheme()}, {":path", h.Target}}
	if h.Authority != "" {
		fields = append(fields, [2]string{":authority", h.Authority})
	}
	for _, f := range h.Fields {
		fields = append(fields, [2]string{strings.ToLower(f[0]), f[1]})
	}
	return fields
}

// ErrReset is a stream that the gateway has reset.
var ErrReset = errors.New("the stream was reset")

func (c *Client) rawH2(conn net.Conn, h Head, body string) (*Response, error) {
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return nil, err
	}
	f := http2.NewFramer(conn, conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.MaxHeaderListSize = 1 << 20
	if err := f.WriteSettings(); err != nil {
		return nil, err
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, field := range c.pseudo(h) {
		_ = enc.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // a Buffer takes everything
	}
	if err := writeBlock(f, block.Bytes(), body == ""); err != nil {
		return nil, err
	}
	if body != "" {
		if err := f.WriteData(1, true, []byte(body)); err != nil {
			return nil, err
		}
	}
	resp := &Response{Proto: "HTTP/2.0", Header: http.Header{}, Length: -1}
	for {
		done, err := readFrame(f, resp)
		if err != nil && resp.Code == 0 {
			return nil, err
		}
		if resp.BodyErr = err; done || err != nil {
			return resp, nil
		}
	}
}

func writeBlock(f *http2.Framer, block []byte, end bool) error {
	n := min(len(block), 16<<10)
	err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:n], EndStream: end, EndHeaders: n == len(block)})
	for block = block[n:]; err == nil && len(block) > 0; block = block[n:] {
		n = min(len(block), 16<<10)
		err = f.WriteContinuation(1, n == len(block), block[:n])
	}
	return err
}

func readFrame(f *http2.Framer, resp *Response) (done bool, err error) {
	frame, err := f.ReadFrame()
	if err != nil {
		return false, err
	}
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		if !frame.IsAck() {
			err = f.WriteSettingsAck()
		}
	case *http2.MetaHeadersFrame:
		for _, field := range frame.Fields {
			resp.add(field.Name, field.Value)
		}
		done = frame.StreamEnded()
	case *http2.DataFrame:
		resp.Body += string(frame.Data())
		done = frame.StreamEnded()
	case *http2.RSTStreamFrame:
		err = fmt.Errorf("%w: %v", ErrReset, frame.ErrCode)
	case *http2.GoAwayFrame:
		if frame.ErrCode != http2.ErrCodeNo {
			err = fmt.Errorf("the connection was closed: %v", frame.ErrCode)
		}
	}
	return done, err
}

// add takes one field of a head; that of an interim response is forgotten.
func (r *Response) add(name, value string) {
	if name == ":status" {
		r.Code, _ = strconv.Atoi(value)
		clear(r.Header)
		return
	}
	r.Header.Add(name, value)
}

// DialQUIC opens a QUIC connection for HTTP/3. The end of the test closes it.
func (c *Client) DialQUIC() (*quic.Conn, error) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	q := &quic.Transport{Conn: pc}
	c.t.Cleanup(func() {
		_ = q.Close()
		_ = pc.Close()
	})
	to, err := net.ResolveUDPAddr("udp", c.Gateway.Address("http3"))
	if err != nil {
		return nil, err
	}
	conf := c.TLS()
	conf.NextProtos = []string{http3.NextProtoH3}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	return q.Dial(ctx, to, conf, nil)
}

// Frame types of RFC 9114, 7.2, and the type of a control stream.
const (
	frameData     = 0
	frameHeaders  = 1
	frameSettings = 4
	streamControl = 0
)

func (c *Client) rawH3(h Head, body string) (*Response, error) {
	conn, err := c.DialQUIC()
	if err != nil {
		return nil, err
	}
	control, err := conn.OpenUniStream()
	if err != nil {
		return nil, err
	}
	if _, err := control.Write([]byte{streamControl, frameSettings, 0}); err != nil {
		return nil, err
	}
	s, err := conn.OpenStream()
	if err != nil {
		return nil, err
	}
	_ = s.SetDeadline(time.Now().Add(patience)) // a stream takes every deadline
	var block bytes.Buffer
	enc := qpack.NewEncoder(&block)
	for _, field := range c.pseudo(h) {
		_ = enc.WriteField(qpack.HeaderField{Name: field[0], Value: field[1]}) // a Buffer takes everything
	}
	b := quicvarint.Append(nil, frameHeaders)
	b = append(quicvarint.Append(b, uint64(block.Len())), block.Bytes()...)
	if body != "" {
		b = quicvarint.Append(b, frameData)
		b = append(quicvarint.Append(b, uint64(len(body))), body...)
	}
	if _, err := s.Write(b); err != nil && !isReset(err) {
		return nil, err
	}
	_ = s.Close() // the sending half; that it was reset shows in reading
	return readH3(bufio.NewReader(s))
}

func readH3(r *bufio.Reader) (*Response, error) {
	resp := &Response{Proto: "HTTP/3.0", Header: http.Header{}, Length: -1}
	for {
		kind, payload, err := readH3Frame(r)
		switch {
		case err == io.EOF && resp.Code != 0:
			return resp, nil
		case err != nil && resp.Code == 0:
			return nil, err
		case err != nil:
			resp.BodyErr = err
			return resp, nil
		}
		switch kind {
		case frameHeaders:
			next := qpack.NewDecoder().Decode(payload)
			for field, err := next(); err == nil; field, err = next() {
				resp.add(field.Name, field.Value)
			}
		case frameData:
			resp.Body += string(payload)
		}
	}
}

func readH3Frame(r *bufio.Reader) (kind uint64, payload []byte, err error) {
	if kind, err = quicvarint.Read(r); err != nil {
		if isReset(err) {
			err = fmt.Errorf("%w: %v", ErrReset, err)
		}
		return 0, nil, err
	}
	n, err := quicvarint.Read(r)
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return kind, payload, err
}

func isReset(err error) bool {
	var reset *quic.StreamError
	return errors.As(err, &reset)
}

// GoAway opens a connection over HTTP/3, makes a request, and returns a channel
// that is closed when the gateway says GOAWAY on it.
func (c *Client) GoAway() (<-chan struct{}, error) {
	conn, err := c.DialQUIC()
	if err != nil {
		return nil, err
	}
	control, err := conn.OpenUniStream()
	if err != nil {
		return nil, err
	}
	if _, err := control.Write([]byte{streamControl, frameSettings, 0}); err != nil {
		return nil, err
	}
	told := make(chan struct{})
	go func() {
		for {
			s, err := conn.AcceptUniStream(context.Background())
			if err != nil {
				return // the end of the test
			}
			if waitGoAway(bufio.NewReader(s)) {
				close(told)
				return
			}
		}
	}()
	return told, nil
}

const frameGoAway = 7

// waitGoAway reads a stream to its end and reports whether a GOAWAY was on it.
func waitGoAway(r *bufio.Reader) bool {
	if kind, err := quicvarint.Read(r); err != nil || kind != streamControl {
		return false
	}
	for {
		kind, _, err := readH3Frame(r)
		if err != nil || kind == frameGoAway {
			return err == nil
		}
	}
}

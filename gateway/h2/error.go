package h2

import (
	"errors"
	"fmt"
)

type errCode uint32

// Error codes (RFC 9113, 7).
const (
	codeNone          errCode = 0x0
	codeProtocol      errCode = 0x1
	codeInternal      errCode = 0x2
	codeFlowControl   errCode = 0x3
	codeStreamClosed  errCode = 0x5
	codeFrameSize     errCode = 0x6
	codeRefusedStream errCode = 0x7
	codeCancel        errCode = 0x8
	codeCompression   errCode = 0x9
	codeCalm          errCode = 0xb // ENHANCE_YOUR_CALM
)

// connError ends the connection with a GOAWAY.
type connError struct {
	code errCode
	why  string // goes to the client too
}

func (e connError) Error() string { return fmt.Sprintf("h2: %s (error code %d)", e.why, e.code) }

// Errors that a stream's methods return.
var (
	errClientReset  = errors.New("h2: the client has reset the stream")
	errClientGone   = errors.New("h2: the client has closed the connection")
	errMalformed    = errors.New("h2: the client has broken the protocol on this stream")
	errServerClosed = errors.New("h2: the server was closed")
	errOver         = errors.New("h2: the connection has come to its end")
	errBodyClosed   = errors.New("h2: the request has ended")
)

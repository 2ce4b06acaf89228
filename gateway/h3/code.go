package h3

import (
	"errors"
	"fmt"

	"github.com/quic-go/quic-go"
)

// code is why a stream or a connection ends (RFC 9114, 8.1 and RFC 9204, 6).
type code uint64

const (
	codeNoError           code = 0x100
	codeInternal          code = 0x102
	codeStreamCreation    code = 0x103
	codeClosedCritical    code = 0x104
	codeFrameUnexpected   code = 0x105
	codeFrame             code = 0x106
	codeExcessiveLoad     code = 0x107
	codeID                code = 0x108
	codeSettings          code = 0x109
	codeMissingSettings   code = 0x10a
	codeRequestRejected   code = 0x10b
	codeRequestCancelled  code = 0x10c
	codeRequestIncomplete code = 0x10d
	codeMessage           code = 0x10e
	codeDecompression     code = 0x200
)

// streamError says for people how a stream has ended, if err is about that.
func streamError(err error) error {
	var reset *quic.StreamError
	if errors.As(err, &reset) && reset.Remote {
		return fmt.Errorf("the client reset the stream with code %#x", uint64(reset.ErrorCode))
	}
	return err
}

// connError ends a connection.
type connError struct {
	code code
	why  string
}

func (e *connError) Error() string { return fmt.Sprintf("%s (code %#x)", e.why, uint64(e.code)) }

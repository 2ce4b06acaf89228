package expression

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
	"time"
)

// A View is what an expression sees of a request. It is only read, and not kept
// after the evaluation. The zero value is a request that has nothing: every text
// is "".
type View struct {
	Method   string
	Scheme   string
	Host     string // in its normal form; also request.header["host"], where Header has none
	Path     string // in its canonical form
	RawQuery string // without the ?; parsed only when it is asked for
	Proto    string
	Header   http.Header          // names in their canonical form
	Client   netip.Addr           // the zero Addr is in no network
	Cert     *x509.Certificate    // of the client, only if it was verified; nil: none
	TLS      *tls.ConnectionState // nil: none
	Now      time.Time            // the zero Time: the clock is read when it is asked for
}

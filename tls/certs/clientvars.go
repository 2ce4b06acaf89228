package certs

import (
	"crypto/sha1"
	"crypto/tls"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

const (
	maxClientNames = 8        // of each kind of subject alternative name
	maxClientValue = 2048     // bytes; a longer value is left out, since half a name is another name
	maxClientCert  = 16 << 10 // bytes in DER form
	opensslTime    = "Jan _2 15:04:05 2006 GMT"
)

// ClientVars says what a handshake has shown of a client, in the words of nginx
// and Apache, by name and value:
//
//	SSL_CLIENT_VERIFY          SUCCESS, or NONE without a certificate
//	SSL_CLIENT_S_DN            subject, as in RFC 2253
//	SSL_CLIENT_I_DN            issuer
//	SSL_CLIENT_S_DN_CN         the subject's first common name; absent without one
//	SSL_CLIENT_M_SERIAL        serial number, hexadecimal
//	SSL_CLIENT_V_START, _END   "Nov 23 03:00:00 2026 GMT"
//	SSL_CLIENT_FINGERPRINT     SHA-1 of the certificate, hexadecimal
//	SSL_CLIENT_SAN_DNS_0 ...   and SSL_CLIENT_SAN_Email_0 ...: alternative names, 8 of each
//	SSL_CLIENT_CERT            the certificate as PEM, if certificate is true
//
// A certificate that did not verify does not get as far as a request. No value but
// the PEM has control bytes. It is for sites that ask for certificates, see
// WantsClientVars: on the connection of another it says nothing.
func ClientVars(cs *tls.ConnectionState, certificate bool) [][2]string {
	if cs == nil || len(cs.VerifiedChains) == 0 || len(cs.PeerCertificates) == 0 {
		return [][2]string{{"SSL_CLIENT_VERIFY", "NONE"}}
	}
	leaf := cs.PeerCertificates[0]
	subject, issuer := parseName(leaf.RawSubject), parseName(leaf.RawIssuer)
	sum := sha1.Sum(leaf.Raw) // a name, not a proof: that was the handshake
	vars := clientVars{{"SSL_CLIENT_VERIFY", "SUCCESS"}}
	vars.add("SSL_CLIENT_S_DN", distinguishedName(subject))
	vars.add("SSL_CLIENT_I_DN", distinguishedName(issuer))
	vars.add("SSL_CLIENT_S_DN_CN", commonName(subject))
	vars.add("SSL_CLIENT_M_SERIAL", serialText(leaf))
	vars.add("SSL_CLIENT_V_START", timeText(leaf.NotBefore))
	vars.add("SSL_CLIENT_V_END", timeText(leaf.NotAfter))
	vars.add("SSL_CLIENT_FINGERPRINT", hex.EncodeToString(sum[:]))
	vars.addNames("SSL_CLIENT_SAN_DNS_", leaf.DNSNames)
	vars.addNames("SSL_CLIENT_SAN_Email_", leaf.EmailAddresses)
	if certificate && len(leaf.Raw) <= maxClientCert {
		vars = append(vars, [2]string{"SSL_CLIENT_CERT", string(encodeCert(leaf.Raw))})
	}
	return vars
}

type clientVars [][2]string

// add leaves out what is empty or too long.
func (v *clientVars) add(name, value string) {
	if value != "" && len(value) <= maxClientValue {
		*v = append(*v, [2]string{name, withoutControls(value)})
	}
}

func (v *clientVars) addNames(prefix string, names []string) {
	for i, n := range names[:min(len(names), maxClientNames)] {
		v.add(prefix+strconv.Itoa(i), n)
	}
}

// withoutControls replaces bytes that could end a line or a value.
func withoutControls(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func timeText(t time.Time) string { return t.UTC().Format(opensslTime) }

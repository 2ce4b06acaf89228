package acme

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const tsigFudge = 300 // seconds that two clocks may differ (RFC 8945 section 10)

// checkTSIG returns r when it is signed with the key of sign, and else an error
// that says what is wrong with the key, the clock or the server. An answer that
// says no need not be signed.
func checkTSIG(r *dns.Msg, err error, sign tsigSecret) (*dns.Msg, error) {
	if r == nil {
		return nil, err
	}
	t := r.IsTsig()
	switch {
	case t != nil && t.Error != dns.RcodeSuccess:
		return nil, tsigError(t, sign)
	case errors.Is(err, dns.ErrAuth):
		return r, nil // NOTAUTH, which the library does not verify
	case errors.Is(err, dns.ErrTime):
		return nil, fmt.Errorf("it signed its answer at %s by its clock: let NTP set the clocks of both", time.Unix(int64(t.TimeSigned), 0).UTC().Format(time.RFC3339))
	case err != nil && t != nil:
		return nil, fmt.Errorf("its answer is not signed with the key %s (%w): set rfc2136.key and rfc2136.algorithm to what the server has", sign.name, err)
	case err != nil:
		return nil, err
	case t == nil && r.Rcode == dns.RcodeSuccess:
		return nil, fmt.Errorf("its answer is not signed, so anybody may have sent it: give the server the key %s", sign.name)
	}
	return r, nil
}

// tsigError says what the server finds wrong. Knot also says BADKEY to a key that
// it knows when its lists of access have no use for it.
func tsigError(t *dns.TSIG, sign tsigSecret) error {
	switch int(t.Error) {
	case dns.RcodeBadKey:
		return fmt.Errorf("it does not know the key %s with %s (BADKEY): set rfc2136.key_name and rfc2136.algorithm to those of the server's key, and allow that key to update the zone", sign.name, strings.TrimSuffix(sign.algorithm, "."))
	case dns.RcodeBadSig:
		return fmt.Errorf("it finds a wrong signature of the key %s (BADSIG): set rfc2136.key to the server's secret of that key", sign.name)
	case dns.RcodeBadTime:
		return fmt.Errorf("it finds the clock of this machine wrong (BADTIME)%s: let NTP set the clocks of both", clockGap(t))
	}
	return fmt.Errorf("it refuses the signature of the key %s: %s", sign.name, rcodeName(int(t.Error)))
}

// clockGap says what time it is for the server, which tells it with BADTIME (RFC
// 8945 section 5.2.3).
func clockGap(t *dns.TSIG) string {
	raw, err := hex.DecodeString(t.OtherData)
	if err != nil || len(raw) != 6 {
		return ""
	}
	var sec int64
	for _, b := range raw {
		sec = sec<<8 | int64(b)
	}
	return fmt.Sprintf(": it is %s there and %s here", time.Unix(sec, 0).UTC().Format(time.RFC3339), time.Unix(int64(t.TimeSigned), 0).UTC().Format(time.RFC3339))
}

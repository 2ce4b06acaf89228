package limit

import (
	"time"

	"headgate/gateway/wire"
)

// Verdict is what rates say of a request.
type Verdict struct {
	Allowed    bool
	Wait       time.Duration // that it has waited
	RetryAfter time.Duration // when it is not allowed; 0: the client has gone
	Rule       string        // the name of the rate that refuses, or has the least left; "": none counted it

	rule  *rule
	left  int64
	reset time.Duration
}

// Fields adds RateLimit-Policy and RateLimit of that rate; nothing if none has
// counted the request.
func (v Verdict) Fields(f *wire.Fields) {
	if v.rule == nil {
		return
	}
	f.Add("RateLimit-Policy", v.rule.policy)
	f.Add("RateLimit", v.rule.item(v.left, v.reset))
}

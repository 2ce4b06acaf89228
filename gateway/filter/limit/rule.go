package limit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rule is one rate.
type rule struct {
	name   string
	id     string // of what is counted, here and in a store that is shared
	keyer  keyer
	quota  quota
	table  *table
	shared Shared // nil: only this gateway counts
	quoted string // the name as a string of RFC 9651
	policy string // the item of RateLimit-Policy
}

func newRule(o Rate, s Setup) (*rule, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	k, err := newKeyer(o.Key)
	if err != nil {
		return nil, err
	}
	l := &rule{name: o.Name, id: o.Name + ":" + o.Rate.String(), keyer: k, quota: newQuota(o), quoted: quote(o.Name)}
	l.table = s.Counters.table(l.id, l.quota.span())
	l.policy = fmt.Sprintf("%s;q=%d;w=%d", l.quoted, o.Rate.Events+o.Burst, seconds(o.span()))
	if store := o.WithDefaults().Store; store != local {
		if s.Shared == nil {
			return nil, errors.New("store: nothing here can share counts: write local")
		}
		if l.shared, err = s.Shared(store); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	return l, nil
}

// quote writes a string of RFC 9651, 3.3.3, which has printable ASCII only.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			c = '?'
		}
		if c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// item is the item of RateLimit.
func (l *rule) item(left int64, reset time.Duration) string {
	b := make([]byte, 0, len(l.quoted)+32)
	b = append(b, l.quoted...)
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, left, 10)
	b = append(b, ";t="...)
	return string(strconv.AppendInt(b, seconds(reset), 10))
}

// turn is what a request has taken of one rule.
type turn struct {
	rule      *rule
	key       key
	ahead     time.Duration // of the key, before
	allowed   bool
	spilled   bool
	elsewhere bool // it was counted in a store, and stays so
}

func (t *turn) left() int64 { return t.rule.quota.left(t.ahead) }

func (t *turn) passed(waited time.Duration) Verdict {
	reset := t.ahead + t.rule.quota.emission - waited
	return Verdict{Allowed: true, Wait: waited, Rule: t.rule.name, rule: t.rule, left: t.left(), reset: max(reset, 0)}
}

func (t *turn) refused() Verdict {
	return Verdict{RetryAfter: max(t.ahead-t.rule.quota.ahead, 0), Rule: t.rule.name, rule: t.rule, reset: t.ahead}
}

func giveBack(turns []turn) {
	for i := range turns {
		if t := &turns[i]; !t.elsewhere {
			t.rule.table.give(t.key, t.rule.quota, t.spilled)
		}
	}
}

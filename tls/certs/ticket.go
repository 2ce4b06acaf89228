package certs

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"slices"
	"strings"
	"time"
)

const (
	ticketPeriod = 12 * time.Hour
	ticketLife   = 3 * ticketPeriod // of a key: one period in use, two in which its tickets are still opened
	ticketKeys   = 6                // that are kept; more than two periods need only when clocks differ
	ticketLength = 32

	// policyMark begins the entry of SessionState.Extra that names the policy a
	// ticket was made under. Other entries are those of quic-go and http3.
	policyMark = "headgate policy "
)

// tickets holds the session ticket keys of every tls.Config that the Store
// hands out. http.Server, http3.Server and quic-go serve clones of the config
// they are given, and SetSessionTicketKeys does not reach clones made before.
// So the keys live in a config that nobody clones, and the others reach them by
// WrapSession and UnwrapSession, which a clone keeps.
type tickets struct {
	ring   ring
	holder tls.Config
	last   [][ticketLength]byte // what holder has; of newTickets and run
}

func newTickets(log *slog.Logger) *tickets {
	t := &tickets{ring: ring{
		about: "ticket keys", key: "tickets/keys.json", lock: "tickets-keys", log: log, woken: make(chan struct{}, 1),
		period: ticketPeriod, life: ticketLife, most: ticketKeys,
		fresh: freshTicketKey,
		valid: func(k ringKey) bool { return len(k.Secret) == ticketLength },
		fits:  func(ringKey) bool { return true },
	}}
	k, _ := freshTicketKey(nil, time.Now()) // never fails
	t.ring.keys = []ringKey{k}
	t.apply(t.ring.keys)
	return t
}

func freshTicketKey(_ []ringKey, now time.Time) (ringKey, error) {
	k := ringKey{Made: now, Secret: make([]byte, ticketLength)}
	_, _ = rand.Read(k.Secret) // never fails
	return k, nil
}

// share makes gateways with the same storage open each other's tickets; nil means
// own keys.
func (t *tickets) share(st Storage) { t.ring.share(st) }

// run rotates and shares the keys until ctx ends.
func (t *tickets) run(ctx context.Context) { t.ring.run(ctx, t.apply) }

// apply hands the keys over: the first makes tickets, all open them.
func (t *tickets) apply(list []ringKey) {
	keys := make([][ticketLength]byte, len(list))
	for i, k := range list {
		copy(keys[i][:], k.Secret)
	}
	if !slices.Equal(keys, t.last) {
		t.last = keys
		t.holder.SetSessionTicketKeys(keys)
	}
}

// use makes c write tickets with these keys that are good for one policy only,
// and read no others. The base policy has the id "".
func (t *tickets) use(c *tls.Config, policy string) {
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		if policy != "" {
			ss.Extra = append(ss.Extra, []byte(policyMark+policy))
		}
		return t.holder.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		ss, err := t.holder.DecryptTicket(identity, cs)
		if err != nil || ss == nil || policyOf(ss) != policy {
			return nil, err // no error: a full handshake follows
		}
		return ss, nil
	}
}

// policyOf returns the policy that a ticket was made under.
func policyOf(ss *tls.SessionState) string {
	for _, e := range ss.Extra {
		if id, ok := strings.CutPrefix(string(e), policyMark); ok {
			return id
		}
	}
	return ""
}

package subscribe

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// acksWaiting bounds the acknowledgements that were not sent yet; beyond it they are
// not sent at all.
const acksWaiting = 64

// ack is an acknowledgement for a node that is new.
type ack struct {
	path string
	text string
	uid  int // of the socket's owner
}

// queueAck lets the sender of p know that its node was added, when it names a socket
// that is its own: one of the user whom the kernel says it is, or else, from this
// machine, of our own user.
func (s *Server) queueAck(p *packet, q request) {
	path := string(p.Notify)
	uid := os.Geteuid()
	switch {
	case !strings.HasPrefix(path, "/") || len(path) > maxSocketPath || strings.ContainsRune(path, 0):
		return
	case q.from.named:
		uid = int(q.from.uid)
	case !q.from.isUnix() && !q.from.ip.IsLoopback():
		return
	}
	a := ack{path: path, uid: uid, text: fmt.Sprintf("[subscription ack] %s => new node: %s", p.Key, p.Address)}
	select {
	case s.acks <- a:
	default: // nobody depends on it
	}
}

// acknowledge sends what was queued until ctx ends.
func (s *Server) acknowledge(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-s.acks:
			if err := a.send(); err != nil {
				s.log.Debug("subscription not acknowledged", "path", a.path, "err", err)
			}
		}
	}
}

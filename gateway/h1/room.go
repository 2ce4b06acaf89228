package h1

import "headgate/gateway/wire"

// room is the memory in which a connection works on a request. It has none while
// it waits for the next.
type room struct {
	in     []byte // len is its size
	out    []byte // empty
	fields wire.Fields
}

const (
	inSize  = 8 << 10
	outSize = 4 << 10

	// What is bigger is not kept for the next.
	maxOutKept    = 20 << 10
	maxFieldsKept = 128
)

func (s *Server) takeRoom() *room {
	if r, ok := s.rooms.Get().(*room); ok {
		return r
	}
	return &room{in: make([]byte, inSize), out: make([]byte, 0, outSize), fields: make(wire.Fields, 0, 24)}
}

// giveRoom takes r back, and lets go of what its fields say.
func (s *Server) giveRoom(r *room) {
	if len(r.in) != inSize || cap(r.out) > maxOutKept || cap(r.fields) > maxFieldsKept {
		return
	}
	clear(r.fields)
	r.out, r.fields = r.out[:0], r.fields[:0]
	s.rooms.Put(r)
}

// lender lends the room's buffer to a connection that reads its first bytes.
type lender conn

// Get implements socket.Lender.
func (l *lender) Get() []byte {
	c := (*conn)(l)
	c.enter()
	return c.room.in
}

// Put implements socket.Lender.
func (l *lender) Put([]byte) { (*conn)(l).vacate() }

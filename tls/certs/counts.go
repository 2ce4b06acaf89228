package certs

import "sync/atomic"

// counts are what a Store has done since it was made.
type counts struct {
	orders, issued, failures, asks, denied, limited, interim atomic.Uint64
}

// Counts are what a Store has done since it was made.
type Counts struct {
	Orders   uint64 `json:"orders"`   // placed with authorities
	Issued   uint64 `json:"issued"`   // certificates made, those of the local authority included
	Failures uint64 `json:"failures"` // orders that came to nothing
	Asks     uint64 `json:"asks"`     // questions whether a name may have a certificate
	Denied   uint64 `json:"denied"`   // handshakes refused because it may not
	Limited  uint64 `json:"limited"`  // names refused because of the rate on demand
	Interim  uint64 `json:"interim"`  // handshakes shown an interim certificate
}

// Counts copies them out.
func (s *Store) Counts() Counts {
	c := &s.counts
	return Counts{
		Orders: c.orders.Load(), Issued: c.issued.Load(), Failures: c.failures.Load(), Asks: c.asks.Load(),
		Denied: c.denied.Load(), Limited: c.limited.Load(), Interim: c.interim.Load(),
	}
}

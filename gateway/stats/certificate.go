package stats

import "time"

// Certificate is one certificate that is served, or that is to be.
type Certificate struct {
	Names     []string  `json:"names"`
	Source    string    `json:"source"`              // "file", or the name of the issuer that made it or is to make it
	File      string    `json:"file,omitempty"`      // of the certificate, if it is from a file
	Issuer    string    `json:"issuer"`              // who signed it; "" while there is none
	Key       string    `json:"key,omitempty"`       // ECDSA, RSA or Ed25519
	Challenge string    `json:"challenge,omitempty"` // how control of the name was proven
	OnDemand  bool      `json:"on_demand,omitempty"` // a client brought the name; no site lists it
	NotBefore time.Time `json:"not_before,omitzero"` // zero while there is none
	NotAfter  time.Time `json:"not_after"`
	RenewAt   time.Time `json:"renew_at,omitzero"` // zero: it is not renewed from here
	RetryAt   time.Time `json:"retry_at,omitzero"` // after Error, when it is tried again
	OCSP      string    `json:"ocsp,omitempty"`    // good, revoked, pending, ...
	Error     string    `json:"error,omitempty"`   // what keeps it from being made, renewed or read again
}

// CertificateCounts are what has been done about certificates since the start.
type CertificateCounts struct {
	Orders   uint64 `json:"orders"`   // placed with authorities
	Issued   uint64 `json:"issued"`   // certificates made, those of the local authority included
	Failures uint64 `json:"failures"` // orders that came to nothing
	Asks     uint64 `json:"asks"`     // questions whether a name may have a certificate
	Denied   uint64 `json:"denied"`   // handshakes refused because it may not
	Limited  uint64 `json:"limited"`  // names refused because of the rate on demand
	Interim  uint64 `json:"interim"`  // handshakes shown an interim certificate
}

// ECH is what the world has to know to encrypt the names of hosts.
type ECH struct {
	PublicName string   `json:"public_name"` // what the network sees instead
	Records    []string `json:"records"`     // of DNS, one for each host
}

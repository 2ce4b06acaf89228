package config

import (
	"headgate/upstream"
	"headgate/upstream/uwsgi"
)

// Pool is a named set of members that can answer the same requests.
type Pool struct {
	Members []Member `yaml:"members"` // strings, or maps when there is more to say

	// uwsgi (default), or suwsgi: uwsgi inside TLS.
	Protocol string `yaml:"protocol"`

	// How members are spoken to. Its TLS.Enabled follows Protocol.
	UWSGI uwsgi.Options `yaml:",inline"`

	// How requests are shared among members.
	Upstream upstream.Options `yaml:",inline"`
}

// The protocols of members.
const (
	ProtocolUWSGI  = "uwsgi"
	ProtocolSUWSGI = "suwsgi"
)

// Member is one address that speaks uwsgi. In a file it is mostly written as its
// address alone.
type Member struct {
	Address string `yaml:"address,short"` // unix:/run/app.sock, unix:@abstract, 10.0.0.7:3031, [::1]:3031 or name:3031
}

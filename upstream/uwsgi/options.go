package uwsgi

import "time"

// Options describe how the members of one pool are spoken to. The zero value is
// plain uwsgi, the dialect found out, 5 s to connect and 60 s to answer.
type Options struct {
	Dialect         Dialect           `yaml:"dialect"`          // auto (default), uwsgi or gunicorn
	Modifier1       int               `yaml:"modifier1"`        // 0 (default): the worker's own language
	Vars            map[string]string `yaml:"vars"`             // extra variables; control variables are refused
	ConnectTimeout  time.Duration     `yaml:"connect_timeout"`  // 0: 5 s
	ResponseTimeout time.Duration     `yaml:"response_timeout"` // to the head, then between two reads; 0: 60 s
	TLS             TLSOptions        `yaml:"tls"`              // for suwsgi
	Modifier2       int               `yaml:"-"`                // what a member asks for beside modifier1, such as which of several apps; 0: nothing
	Watch           bool              `yaml:"-"`                // keep what Transport.Load needs; unix sockets only
}

// TLSOptions describe TLS to a member (protocol suwsgi). The zero value trusts
// the system's roots and checks the member's host name.
type TLSOptions struct {
	Enabled    bool   `yaml:"-"`           // set by protocol: suwsgi
	CA         string `yaml:"ca"`          // PEM file with the roots to trust; "": the system's
	ServerName string `yaml:"server_name"` // name to send and to check; "": the host of the address
	Cert       string `yaml:"cert"`        // client certificate, PEM file
	Key        string `yaml:"key"`         // its key, PEM file
}

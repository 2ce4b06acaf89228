package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"headgate/gateway/config"
)

// proxyFlags are the whole configuration of headgate proxy.
type proxyFlags struct {
	to          []string
	http, https []string
	host        []string
	tls         string
	dialect     string
	metrics     string
	socket      string
}

func newProxy() *cobra.Command {
	cmd := &cobra.Command{
		Use: "proxy --to ADDRESS", Short: "Run the gateway in front of a server that already runs, without a file", Args: noArgs,
		Long: `Run the gateway in front of a server that speaks uwsgi (uWSGI's --socket, or
gunicorn --protocol uwsgi), without a configuration file.`,
		Example: `  headgate proxy --to unix:/run/app.sock
  headgate proxy --to 10.0.0.7:3031 --host shop.internal --http :8080 --https :8443
  headgate proxy --to unix:/run/app.sock --host shop.example.com --http :80 --https :443`,
	}
	f := &proxyFlags{}
	fs := cmd.Flags()
	fs.StringArrayVar(&f.to, "to", nil, "`ADDRESS` of the server: unix:/run/app.sock or 10.0.0.7:3031; may be repeated")
	fs.StringArrayVar(&f.http, "http", nil, "plain `ADDR` to listen on (default :8080)")
	fs.StringArrayVar(&f.https, "https", nil, "TLS `ADDR` to listen on, HTTP/3 included (default :8443)")
	fs.StringArrayVar(&f.host, "host", nil, "host `NAME` to answer to; may be repeated (default: every host)")
	fs.StringVar(&f.tls, "tls", "auto", "who makes certificates: auto (ACME for public names, the local authority for others), internal or none")
	fs.StringVar(&f.dialect, "dialect", "auto", "how the server reads uwsgi: auto, uwsgi or gunicorn")
	fs.StringVar(&f.metrics, "metrics", "", "`ADDR` that serves Prometheus metrics")
	fs.StringVar(&f.socket, "socket", "", "admin `SOCKET` (default: that of headgate run, unless another gateway has it)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := f.config()
		if err != nil {
			return err
		}
		s := &server{source: "flags of headgate proxy", shyOfSocket: f.socket == ""}
		return s.serve(cmd.Context(), func() (*config.Config, error) { return c, nil })
	}
	return cmd
}

// config makes of the flags what a file would say.
func (f *proxyFlags) config() (*config.Config, error) {
	if len(f.to) == 0 {
		return nil, usageError{errors.New("proxy needs --to ADDRESS, such as --to unix:/run/app.sock")}
	}
	if f.tls == "none" && len(f.https) > 0 {
		return nil, usageError{errors.New("--https needs a certificate, and --tls none makes none: leave one of the two out, or write --tls internal")}
	}
	c := &config.Config{
		Metrics: f.metrics, Admin: config.Admin{Socket: f.socket},
		Pools: map[string]config.Pool{"app": {}},
		Sites: []config.Site{{Hosts: f.host, Routes: []config.Route{{Pool: "app"}}}},
	}
	var p config.Pool
	for _, a := range f.to {
		p.Members = append(p.Members, config.Member{Address: a})
	}
	if err := p.UWSGI.Dialect.UnmarshalText([]byte(f.dialect)); err != nil {
		return nil, usageError{fmt.Errorf("--dialect: %w", err)}
	}
	c.Pools["app"] = p
	f.listen(c)
	c.SetDefaults()
	if err := c.Validate(); err != nil {
		return nil, usageError{hintError{err, "as flags: listen.http is --http, listen.https --https, tls.issuer --tls, the members are --to and the site's hosts --host"}}
	}
	return c, nil
}

// listen decides on addresses: without a wish both, on ports that need no root.
func (f *proxyFlags) listen(c *config.Config) {
	c.TLS.Issuer = []string{f.tls}
	if len(f.http) == 0 && len(f.https) == 0 {
		f.http = []string{":8080"}
		if f.tls != "none" {
			f.https = []string{":8443"}
		}
	}
	if f.tls == "auto" && len(f.host) == 0 {
		c.TLS.Issuer = []string{"internal"} // any host: no public name to ask for
	}
	c.Listen.HTTP, c.Listen.HTTPS = f.http, f.https
}

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newCertsECH() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ech", Short: "Print the DNS records that turn Encrypted Client Hello on for each host", Args: noArgs,
		Long: `Print a DNS record of type HTTPS for each host. A browser that finds it encrypts
the name of the host on its way to this gateway (RFC 9849); without it all is as
before. Keys change over time, and old ones are understood for long enough that
records may be published by hand now and then.`,
	}
	f := addSocketFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := f.client().Status(cmd.Context())
		if err != nil {
			return f.explained(err)
		}
		if s.ECH == nil {
			return hintError{errors.New("encrypted client hello is off"), "turn it on with tls.ech: {public_name: NAME}, a name that points here and is no secret"}
		}
		if len(s.ECH.Records) == 0 {
			return hintError{errors.New("there is no record to publish"), "keys are made when the gateway starts, so try again in a moment; then look whether sites list hosts besides " + s.ECH.PublicName}
		}
		for _, r := range s.ECH.Records {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), r); err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

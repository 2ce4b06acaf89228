package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"headgate/gateway/config"
	"headgate/tls/certs"
)

// trustCommand completes a command that changes trust stores with act.
func trustCommand(cmd *cobra.Command, act func(certs.Machine, context.Context, string) ([]certs.Step, error), changed, same string) *cobra.Command {
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := tlsOptions(*file)
		if err != nil {
			return err
		}
		ca, err := certs.OpenCA(cmd.Context(), o.StorageDir())
		if err != nil {
			return err
		}
		steps, err := act(certs.Machine{}, cmd.Context(), ca.RootFile())
		for _, s := range steps {
			switch {
			case s.Err != nil:
				fmt.Fprintf(cmd.ErrOrStderr(), "headgate: %s: %v\n", s.Store, s.Err)
			case s.Changed:
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", s.Store, changed)
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", s.Store, same)
			}
		}
		if err != nil && len(steps) > 0 {
			return silentError{err}
		}
		return err
	}
	return cmd
}

// tlsOptions are those of the configuration, or the defaults where there is none:
// headgate proxy needs no file.
func tlsOptions(flag string) (certs.Options, error) {
	path, err := configPath(flag)
	var none hintError
	if errors.As(err, &none) {
		return certs.Options{}, nil
	}
	if err != nil {
		return certs.Options{}, err
	}
	c, err := config.Load(path, os.LookupEnv)
	if err != nil {
		return certs.Options{}, err
	}
	return c.TLS, nil
}

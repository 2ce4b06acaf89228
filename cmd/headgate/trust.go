package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"headgate/tls/certs"
)

func newTrust() *cobra.Command {
	cmd := &cobra.Command{
		Use: "trust", Short: "Install the root of the local authority into this machine's trust stores", Args: noArgs,
		Long: `Install the root of the local authority, which makes certificates for localhost
and other local names, into the trust stores of the system and of this user's
browsers (Chromium and Firefox, which need certutil from libnss3-tools).`,
	}
	return trustCommand(cmd, madeRoot, certs.Machine.Trust, "trusts the local authority now", "trusts the local authority already")
}

func newUntrust() *cobra.Command {
	cmd := &cobra.Command{Use: "untrust", Short: "Take the root of the local authority out of this machine's trust stores", Args: noArgs}
	return trustCommand(cmd, storedRoot, certs.Machine.Untrust, "no longer trusts the local authority", "did not trust the local authority")
}

// trustCommand completes a command that changes trust stores with act. The root
// that root finds in the storage is what they are to trust, or not.
func trustCommand(cmd *cobra.Command, root func(context.Context, string) (string, error), act func(certs.Machine, context.Context, string) ([]certs.Step, error), changed, same string) *cobra.Command {
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := tlsOptions(*file)
		if err != nil {
			return err
		}
		rootFile, err := root(cmd.Context(), o.StorageDir())
		if err != nil {
			return err
		}
		steps, err := act(certs.Machine{}, cmd.Context(), rootFile)
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

// madeRoot returns the root of the local authority, which is made if there is none.
func madeRoot(ctx context.Context, storage string) (string, error) {
	ca, err := certs.OpenCA(ctx, storage)
	if err != nil {
		return "", err
	}
	return ca.RootFile(), nil
}

// storedRoot returns where the root is, if there is one.
func storedRoot(_ context.Context, storage string) (string, error) {
	return certs.RootFile(storage), nil
}

// tlsOptions are those of the configuration, or the defaults where there is none:
// headgate proxy needs no file.
func tlsOptions(flag string) (certs.Options, error) {
	c, _, err := loadConfig(flag)
	var none hintError
	switch {
	case errors.As(err, &none):
		return certs.Options{}, nil
	case err != nil:
		return certs.Options{}, err
	}
	return c.TLS, nil
}

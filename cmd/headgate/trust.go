package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"headgate/tls/certs"
	"headgate/tls/storage"
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
func trustCommand(cmd *cobra.Command, root func(context.Context, certs.Options) (string, error), act func(certs.Machine, context.Context, string) ([]certs.Step, error), changed, same string) *cobra.Command {
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := tlsOptions(*file)
		if err != nil {
			return err
		}
		rootFile, err := root(cmd.Context(), o)
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
func madeRoot(ctx context.Context, o certs.Options) (string, error) {
	return withStorage(ctx, o, func(st certs.Storage) (string, error) {
		ca, err := certs.OpenCA(ctx, st)
		if err != nil {
			return "", err
		}
		return rootFile(o, ca)
	})
}

// storedRoot returns where the root is, if there is one. Nothing is made: neither
// an authority nor a directory for one.
func storedRoot(ctx context.Context, o certs.Options) (string, error) {
	if inFiles(o) {
		return certs.RootFile(o.StorageDir()), nil
	}
	return withStorage(ctx, o, func(st certs.Storage) (string, error) {
		ca, err := certs.ReadCA(ctx, st)
		if errors.Is(err, fs.ErrNotExist) {
			return "", hintError{errors.New("the storage has no local authority"), "take one that is trusted nevertheless out of the trust stores by hand; its name begins with Headgate Local Authority"}
		}
		if err != nil {
			return "", err
		}
		return rootFile(o, ca)
	})
}

func withStorage(ctx context.Context, o certs.Options, f func(certs.Storage) (string, error)) (string, error) {
	st, err := storage.Open(ctx, storageURL(o), nil)
	if err != nil {
		return "", err
	}
	path, err := f(st)
	return path, errors.Join(err, st.Close())
}

func storageURL(o certs.Options) string { return cmp.Or(o.Storage, certs.DefaultStorage()) }

func inFiles(o certs.Options) bool { return strings.HasPrefix(storageURL(o), "file:") }

// rootFile is a file that has ca's root: that of the storage, or where that is no
// directory one in the user's cache. It stays there, because the commands that are
// told to people who have to install it by hand name it.
func rootFile(o certs.Options, ca *certs.CA) (string, error) {
	if inFiles(o) {
		return certs.RootFile(o.StorageDir()), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", hintError{err, "set HOME, or XDG_CACHE_HOME"}
	}
	dir = filepath.Join(dir, "headgate")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	sum := sha256.Sum256(ca.Root().Raw)
	file := filepath.Join(dir, "root-"+hex.EncodeToString(sum[:8])+".crt")
	return file, os.WriteFile(file, ca.RootPEM(), 0o644)
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

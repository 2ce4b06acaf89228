package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"headgate/gateway/filter/access"
)

func newHashPassword() *cobra.Command {
	cmd := &cobra.Command{
		Use: "hash-password", Short: "Print the hash of a password for the file of basic_auth", Args: noPassword,
		Long: `Print the hash of a password, or with --user a line for the file of basic_auth. The
password is asked for twice on a terminal, where it is not seen, and is elsewhere the
first line of the standard input.`,
		Example: `  headgate hash-password --user ada >> /etc/headgate/users
  pass show shop/ada | headgate hash-password --user ada`,
	}
	algorithm := cmd.Flags().String("algorithm", access.Argon2id, "argon2id, or bcrypt, which other servers read too")
	user := cmd.Flags().String("user", "", "`NAME` in front of the hash")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a := *algorithm; a != access.Argon2id && a != access.Bcrypt {
			return usageError{fmt.Errorf("--algorithm is argon2id or bcrypt, not %q", a)}
		}
		if cmd.Flags().Changed("user") {
			if err := access.CheckUser(*user); err != nil {
				return usageError{withCure(err)}
			}
		}
		password, err := askPassword(cmd)
		if err != nil {
			return err
		}
		if err := access.CheckStrength(*user, password); err != nil {
			return withCure(err)
		}
		hash, err := access.HashPassword(password, *algorithm)
		if err != nil {
			return withCure(err)
		}
		if *user != "" {
			hash = *user + ":" + hash
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
		return err
	}
	return cmd
}

// noPassword refuses a password as an argument, and does not repeat it.
func noPassword(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{hintError{
		errors.New("hash-password takes no argument: others on this machine could see the password there"),
		"write it when it is asked for, or give it on the standard input",
	}}
}

// withCure parts "fact: cure" of package access.
func withCure(err error) error {
	msg := err.Error()
	i := strings.LastIndex(msg, ": ")
	if i < 0 {
		return err
	}
	return hintError{errors.New(msg[:i]), msg[i+2:]}
}

// askPassword reads a password from a terminal, or else from the first line of the
// standard input.
func askPassword(cmd *cobra.Command) (string, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok {
		return readSecret(cmd.InOrStdin())
	}
	show, err := hideTyping(in)
	if errors.Is(err, errNoTerminal) {
		return readSecret(in)
	}
	if err != nil {
		return "", hintError{err, "give the password on the standard input"}
	}
	defer show()
	first, err := prompt(cmd.Context(), in, cmd.ErrOrStderr(), "password: ")
	if err != nil || first == "" { // which is refused in any case
		return first, err
	}
	second, err := prompt(cmd.Context(), in, cmd.ErrOrStderr(), "once more: ")
	if err == nil && first != second {
		err = hintError{errors.New("the two passwords are not the same"), "write them again"}
	}
	return first, err
}

// errNoTerminal is what hideTyping returns for a file and a pipe.
var errNoTerminal = errors.New("not a terminal")

// prompt reads one line. It returns early when ctx ends, because the system call
// does not: then the process is about to exit.
func prompt(ctx context.Context, in io.Reader, out io.Writer, text string) (string, error) {
	fmt.Fprint(out, text)
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := readSecret(in)
		read <- line{text, err}
	}()
	defer fmt.Fprintln(out) // the end of the line that was not seen
	select {
	case l := <-read:
		return l.text, l.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// maxSecret bounds a line; package access bounds the password.
const maxSecret = 8 << 10

// readSecret reads a line. A terminal gives one line at a time: what comes after it
// is not lost.
func readSecret(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
}

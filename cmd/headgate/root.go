package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"headgate/gateway/config"
)

// usageError is a mistake on the command line: exit 2.
type usageError struct{ err error }

// Error implements error.
func (e usageError) Error() string { return e.err.Error() }

// Unwrap returns the mistake.
func (e usageError) Unwrap() error { return e.err }

// silentError is a failure that has been told already: exit 1.
type silentError struct{ error }

// exitError is an exit code of its own; a nil err has been told already.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the failure.
func (e exitError) Unwrap() error { return e.err }

// hintError is a failure with its cure.
type hintError struct {
	err  error
	hint string
}

// Error implements error.
func (e hintError) Error() string { return e.err.Error() }

// Unwrap returns the failure.
func (e hintError) Unwrap() error { return e.err }

// run executes one command line and returns the exit code: 0 done, 1 failed,
// 2 wrong usage; of headgate up -- COMMAND that of the command.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var silent silentError
	var exit exitError
	if !errors.As(err, &silent) && (!errors.As(err, &exit) || exit.err != nil) {
		report(stderr, err)
	}
	if exit.code != 0 {
		return exit.code
	}
	var usage usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		return 2
	}
	return 1
}

// report prints fact, then cure.
func report(w io.Writer, err error) {
	var list config.Errors
	if errors.As(err, &list) {
		fmt.Fprint(w, list.Detail())
	} else {
		for line := range strings.Lines(strings.TrimSpace(err.Error())) { // joined errors have a line each
			fmt.Fprintf(w, "headgate: %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
	var hint hintError
	hinted := errors.As(err, &hint)
	if hinted {
		fmt.Fprintf(w, "headgate: hint: %s\n", hint.hint)
	}
	var usage usageError
	if !hinted && errors.As(err, &usage) {
		fmt.Fprintln(w, "headgate: hint: headgate help shows the commands, headgate help COMMAND the flags")
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "headgate",
		Short: "Edge gateway for Python apps: TLS, HTTP/1.1, HTTP/2 and HTTP/3 in front of uWSGI and gunicorn",
		Long: `Headgate ends TLS, speaks HTTP/1.1, HTTP/2 and HTTP/3 to the world and the uwsgi
protocol to WSGI workers (uWSGI, gunicorn --protocol uwsgi), or HTTP to others. It
starts the workers, or goes in front of those that run already.

  headgate up shop.wsgi:application                  starts the app, with nothing to configure
  headgate run                                       with ./headgate.yaml
  headgate proxy --to unix:/run/app.sock             to a server that runs, without a file`,
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Args:                       cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{withFlagHint(cmd, err)}
	})
	root.Version = version()
	root.SetVersionTemplate("headgate {{.Version}}\n")
	root.AddCommand(newUp(), newRun(), newProxy(), newCheck(), newExplain(), newReload(), newStatus(),
		newDrain(), newUndrain(), newPause(), newResume(), newMaintenance(), newPurge(), newCerts(), newTrust(), newUntrust(), newSchema(), newHashPassword(), newVersion())
	strictHelp(root)
	return root
}

// strictHelp makes a name that help and completion do not know a wrong usage,
// for which cobra would print the help of the root.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Run = nil
			cmd.RunE = func(_ *cobra.Command, args []string) error {
				about, _, err := root.Find(args)
				if err != nil || about == root && len(args) > 0 {
					return unknownCommand(root, args[0])
				}
				return about.Help()
			}
		case "completion":
			cmd.Args = cobra.ArbitraryArgs
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return usageError{fmt.Errorf("completion knows bash, fish, powershell and zsh, not %q", args[0])}
				}
				return cmd.Help()
			}
		}
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	err := fmt.Errorf("unknown command %q", name)
	if notBuilt[name] {
		return usageError{fmt.Errorf("the command %q is not supported yet", name)}
	}
	if s := cmd.SuggestionsFor(name); len(s) > 0 {
		err = fmt.Errorf("%w (did you mean %q?)", err, s[0])
	}
	return usageError{err}
}

// notBuilt are commands of the design that this version does not have.
var notBuilt = map[string]bool{"import": true, "top": true}

// noArgs refuses arguments with the exit code of a wrong usage.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "headgate", version())
			return err
		},
	}
}

// version comes from the build: a tag, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += "-" + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return v + " " + info.GoVersion
}

func newSchema() *cobra.Command {
	cmd := &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of headgate.yaml", Args: noArgs,
		Long: `Print the JSON Schema of headgate.yaml, from which editors complete and check it:

  headgate schema > headgate.schema.json
  # and as the first line of headgate.yaml:
  # yaml-language-server: $schema=headgate.schema.json`,
	}
	app := cmd.Flags().Bool("app", false, "of the file of one app, in the folder that apps names")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		text := config.Schema()
		if *app {
			text = config.AppSchema()
		}
		_, err := cmd.OutOrStdout().Write(text)
		return err
	}
	return cmd
}

// configFlag adds -c to a command that reads the configuration.
func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", "", "configuration `FILE` (default ./headgate.yaml, then /etc/headgate/headgate.yaml)")
}

// configPath returns the file that -c names, or the first default that exists.
func configPath(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	defaults := []string{"headgate.yaml", "/etc/headgate/headgate.yaml"}
	for _, p := range defaults {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", hintError{
		errors.New("no configuration: neither ./headgate.yaml nor /etc/headgate/headgate.yaml exists"),
		"write one (see the README), name it with -c FILE, or use headgate up shop.wsgi:application",
	}
}

// loadConfig reads the configuration that -c names, or the default one, and
// returns it with its path.
func loadConfig(flag string) (*config.Config, string, error) {
	path, err := configPath(flag)
	if err != nil {
		return nil, "", err
	}
	c, err := config.Load(path, os.LookupEnv)
	return c, path, err
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"headgate/gateway/admin"
	"headgate/gateway/config"
	"headgate/gateway/stats"
)

// socketFlags say which running gateway is meant.
type socketFlags struct{ config, socket *string }

func addSocketFlags(cmd *cobra.Command) socketFlags {
	return socketFlags{
		config: configFlag(cmd),
		socket: cmd.Flags().String("socket", "", "admin `SOCKET` of the gateway (default: that of the configuration)"),
	}
}

// client finds the socket as the gateway did: from the configuration, which may
// be broken at the moment, and otherwise where it is by default.
func (f socketFlags) client() *admin.Client {
	if *f.socket != "" {
		return admin.NewClient(*f.socket)
	}
	path := config.DefaultSocket()
	if file, err := configPath(*f.config); err == nil {
		path = config.AdminSocket(file, os.LookupEnv)
	}
	return admin.NewClient(path)
}

// explained adds what else may be when nobody is found: that one runs with
// another socket, as a service of another user does unless its file names one.
func (f socketFlags) explained(err error) error {
	if *f.socket == "" && errors.Is(err, admin.ErrNotRunning) {
		return hintError{err, "if one runs, name its file with -c, or its admin socket with --socket (of the systemd unit: /run/headgate/headgate.sock)"}
	}
	return err
}

func newReload() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reload", Short: "Make the running gateway read its configuration again", Args: noArgs,
		Long: `Make the running gateway read its configuration again. Everything new is built
before anything changes: after an error the old configuration goes on.`,
	}
	f := addSocketFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r, err := f.client().Reload(cmd.Context())
		if err != nil {
			return f.explained(err)
		}
		if !r.OK {
			fmt.Fprintln(cmd.ErrOrStderr(), r.Error)
			return hintError{errors.New("reload refused"), fmt.Sprintf("generation %d goes on; mend the file and reload again", r.Generation)}
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "generation %d serves (configuration %.12s, built in %s)\n", r.Generation, r.Hash, r.Took.Round(time.Millisecond))
		return err
	}
	return cmd
}

func newStatus() *cobra.Command {
	cmd := &cobra.Command{Use: "status", Short: "Tell what the running gateway does", Args: noArgs}
	f := addSocketFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print everything as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := f.client().Status(cmd.Context())
		if err != nil {
			return f.explained(err)
		}
		if *asJSON {
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(s)
		}
		return printStatus(cmd.OutOrStdout(), s)
	}
	return cmd
}

func printStatus(out io.Writer, s stats.Snapshot) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "headgate %s, %s, started at %s\n", s.Version, s.State, s.StartedAt.Format(time.DateTime))
	fmt.Fprintf(w, "configuration\t%s, generation %d of %s\n", s.Config, s.Generation.Number, s.Generation.At.Format(time.DateTime))
	if s.LastReload.Error != "" {
		fmt.Fprintf(w, "last reload refused at %s:\n", s.LastReload.At.Format(time.DateTime))
		for line := range strings.Lines(s.LastReload.Error) {
			fmt.Fprintf(w, "  %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
	fmt.Fprintln(w, "\nLISTENER\tPROTOCOL\tOPEN\tACCEPTED")
	for _, l := range s.Listeners {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\n", l.Address, l.Protocol, l.Connections, l.Accepted)
	}
	fmt.Fprintln(w, "\nSITE\tREQUESTS\t5XX\tIN FLIGHT\tP50\tP99")
	for _, x := range s.Sites {
		var n uint64
		for _, c := range x.Requests {
			n += c
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.0f ms\t%.0f ms\n", x.Name, n, x.Requests[stats.ClassOf(500)], x.InFlight,
			1000*x.Duration.Quantile(0.5), 1000*x.Duration.Quantile(0.99))
	}
	fmt.Fprintln(w, "\nPOOL\tMEMBER\tDIALECT\tREQUESTS\tIN FLIGHT\tFAILURES")
	for _, p := range s.Pools {
		for _, m := range p.Members {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\n", p.Name, m.Address, m.Dialect, m.Requests, m.InFlight, total(m.Failures))
		}
	}
	return w.Flush()
}

func total(f stats.Failures) (n uint64) {
	for _, v := range f {
		n += v
	}
	return n
}

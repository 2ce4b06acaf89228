package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
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
	cmd := &cobra.Command{
		Use: "status", Short: "Tell what the running gateway does", Args: noArgs,
		Long: `Tell what the running gateway does. Of the members of its pools:

  STATE     up, up 40% (its share, in slow start), away (cannot be connected to),
            checking, failing (its checks), ejected (answers badly), trial (one
            request at a time), drained, or leaving (not listed any more)
  SLOTS     requests that it runs at once; ~ how many it is given while that is
            not known
  QUEUED    requests that wait for a slot of the pool
  FAILURES  attempts that failed; more of them is in --json and in the metrics`,
	}
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
	for _, x := range s.Sites {
		if x.Maintenance {
			fmt.Fprintf(w, "\n%s is under maintenance: headgate maintenance off '%s' ends it\n", x.Name, x.Name)
		}
	}
	if c := s.Cache; c.Hits+c.Stale+c.Misses+c.Collapsed+c.Revalidated+c.Bypassed > 0 {
		fmt.Fprintln(w, "\nCACHE\tENTRIES\tMEMORY\tDISK\tHITS\tSTALE\tMISSES\tBYPASSED")
		fmt.Fprintf(w, "\t%d\t%.1f MiB\t%.1f MiB\t%d\t%d\t%d\t%d\n", c.Entries, mebibytes(c.MemoryBytes), mebibytes(c.DiskBytes),
			c.Hits+c.Collapsed+c.Revalidated, c.Stale, c.Misses, c.Bypassed)
	}
	if err := w.Flush(); err != nil || len(s.Pools) == 0 {
		return err
	}
	return printPools(out, s.Pools)
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

// printPools prints a table of members, and below it what there is to say of those
// that are not up and of pools that hold requests back.
func printPools(out io.Writer, pools []stats.Pool) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nPOOL\tMEMBER\tSTATE\tSLOTS\tIN FLIGHT\tQUEUED\tREQUESTS\tFAILURES\tDIALECT")
	for _, p := range pools {
		name, queued := p.Name, strconv.FormatInt(p.Queued, 10) // of the pool: in its first line
		for _, m := range p.Members {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%d\t%s\n", name, memberName(m), memberState(m), slots(m), m.InFlight, queued, m.Requests, total(m.Failures), orDash(m.Dialect))
			name, queued = "", ""
		}
		if len(p.Members) == 0 {
			fmt.Fprintf(w, "%s\t-\t-\t-\t-\t%s\t-\t-\t-\n", name, queued)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var notes strings.Builder
	for _, p := range pools {
		notes.WriteString(poolNotes(p))
	}
	if notes.Len() == 0 {
		return nil
	}
	_, err := fmt.Fprint(out, "\n", notes.String())
	return err
}

// poolNotes has a line for each thing that is to be said of a pool.
func poolNotes(p stats.Pool) string {
	var b strings.Builder
	if !p.PausedUntil.IsZero() {
		fmt.Fprintf(&b, "%s is paused until %s: its requests wait\n", p.Name, clock(p.PausedUntil))
	}
	if p.Overloaded {
		fmt.Fprintf(&b, "%s is overloaded: the newest requests go first\n", p.Name)
	}
	if len(p.Members) == 0 {
		fmt.Fprintf(&b, "%s has no members: its requests wait\n", p.Name)
	}
	for _, m := range p.Members {
		if s := memberNote(m); s != "" {
			fmt.Fprintf(&b, "%s/%s %s\n", p.Name, m.Address, s)
		}
	}
	return b.String()
}

// memberNote says why a member is not up, as far as there is more to say than its
// state; "" when there is not.
func memberNote(m stats.Member) string {
	s := "is " + m.State
	switch {
	case !m.Since.IsZero():
		s += " since " + clock(m.Since)
	case !m.Until.IsZero():
		s += " until " + clock(m.Until)
	case m.Cause == "":
		return ""
	}
	if m.Cause != "" {
		s += ": " + strings.TrimPrefix(oneLine(m.Cause), "member "+m.Address+": ")
	}
	return s
}

func memberName(m stats.Member) string {
	if m.Backup {
		return m.Address + " (backup)"
	}
	return m.Address
}

// memberState is a state in a word, with the share of a member in slow start.
func memberState(m stats.Member) string {
	if m.State == stats.MemberUp && m.Share > 0 && m.Share < 1 {
		return fmt.Sprintf("%s %.0f%%", m.State, 100*m.Share)
	}
	return orDash(m.State)
}

// slots is how many requests a member runs at once, or how many it is given.
func slots(m stats.Member) string {
	switch {
	case m.Slots == 0 && m.Limit == 0:
		return "-"
	case m.Slots == 0:
		return fmt.Sprintf("~%d", m.Limit)
	}
	return strconv.Itoa(m.Slots)
}

func total(f stats.Failures) (n uint64) {
	for _, v := range f {
		n += v
	}
	return n
}

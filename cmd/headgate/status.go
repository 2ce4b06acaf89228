package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"headgate/gateway/stats"
)

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
  FAILURES  attempts that failed; more of them is in --json and in the metrics

Of the workers that the gateway has started for pools:

  STATE     starting, ready, reloading (new ones are started, the old ones serve),
            idle (stopped for want of requests), crashed, or stopped
  PROCESSES how many are wanted, and the threads of each
  RESTARTS  starts after they had ended by themselves
  MEMORY    of all their processes, what they share counted for each
Of the files in the folder of apps: ok, kept (it is broken now, and the app goes on
as it was), or broken. Of uWSGI instances that have announced themselves
(subscriptions): READY when they answered a probe, LAST when they were heard of.`,
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
	if err := w.Flush(); err != nil {
		return err
	}
	for _, print := range []func() error{
		func() error { return printPools(out, s.Pools) },
		func() error { return printWorkers(out, s.Pools) },
		func() error { return printApps(out, s.Apps) },
		func() error { return printSubscriptions(out, s.Subscribed) },
	} {
		if err := print(); err != nil {
			return err
		}
	}
	return nil
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

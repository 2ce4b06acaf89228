package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"headgate/gateway/stats"
)

// printWorkers prints a table of the workers that were started for pools, and below
// it why those are not there that should be, with the last lines that they wrote.
func printWorkers(out io.Writer, pools []stats.Pool) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	var notes strings.Builder
	for _, p := range pools {
		x := p.Workers
		if x == nil {
			continue
		}
		if notes.Len() == 0 {
			fmt.Fprintln(w, "\nPOOL\tSTATE\tSERVER\tPROCESSES\tRESTARTS\tMEMORY\tREQUESTS\tSINCE\tABOUT")
			notes.WriteByte('\n')
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\n", p.Name, x.State, orDash(x.Server), processes(*x), x.Restarts,
			memoryOf(*x), x.Requests, since(x.Since), orDash(about(*x)))
		notes.WriteString(workersNote(p.Name, *x))
	}
	if err := w.Flush(); err != nil || notes.Len() < 2 {
		return err
	}
	_, err := io.WriteString(out, notes.String())
	return err
}

// processes is how many processes are wanted: 4, or 4 x 2 threads.
func processes(w stats.Workers) string {
	switch {
	case w.Processes == 0:
		return "-"
	case w.Threads > 1:
		return fmt.Sprintf("%d x %d threads", w.Processes, w.Threads)
	}
	return strconv.Itoa(w.Processes)
}

func memoryOf(w stats.Workers) string {
	if len(w.List) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f MiB", mebibytes(w.RSS()))
}

// about is what was found, beside how the configuration calls it.
func about(w stats.Workers) string {
	if w.About == "" || w.App == "" {
		return w.App + w.About
	}
	return w.App + " (" + w.About + ")"
}

// since is a time as a person here reads it, with its day when that is not today.
func since(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case t.Local().Format(time.DateOnly) == time.Now().Format(time.DateOnly):
		return clock(t)
	}
	return t.Local().Format(time.DateTime)
}

// workersNote says what is wrong with workers, if something is.
func workersNote(pool string, w stats.Workers) string {
	if w.Error == "" {
		return ""
	}
	cause, more, _ := strings.Cut(strings.TrimSpace(w.Error), "\n")
	var b strings.Builder
	switch w.State {
	case "ready", "reloading", "idle":
		fmt.Fprintf(&b, "%s: new workers did not start, the old ones go on: %s\n", pool, cause)
	default:
		fmt.Fprintf(&b, "%s is %s since %s: %s\n", pool, w.State, since(w.Since), cause)
	}
	b.WriteString(indented(more, maxTail))
	if more == "" {
		b.WriteString(indented(strings.Join(w.Tail, "\n"), maxTail))
	}
	if !w.RetryAt.IsZero() {
		fmt.Fprintf(&b, "  tried again at %s; headgate reload --workers %s does it now\n", since(w.RetryAt), pool)
	}
	return b.String()
}

// maxTail is how many lines of an app are shown at most.
const maxTail = 20

// indented is the last lines of a text, at most so many, two blanks before each.
func indented(text string, most int) string {
	text = strings.Trim(text, "\n")
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-most):]
	return "  " + strings.Join(lines, "\n  ") + "\n"
}

// printApps prints a table of the files in the folder of apps, and below it all that
// is wrong with those that are broken.
func printApps(out io.Writer, apps []stats.App) error {
	if len(apps) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nAPP\tSTATE\tHOSTS\tERROR")
	var notes strings.Builder
	for _, a := range apps {
		first, more, _ := strings.Cut(strings.TrimSpace(a.Error), "\n")
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.File, a.State, orDash(someOf(a.Hosts)), orDash(first))
		if more != "" {
			fmt.Fprintf(&notes, "\n%s is %s since %s:\n%s", a.File, a.State, since(a.Since), indented(a.Error, maxTail))
		}
	}
	if err := w.Flush(); err != nil || notes.Len() == 0 {
		return err
	}
	_, err := io.WriteString(out, notes.String())
	return err
}

// someOf lists names, as many as a table has room for.
func someOf(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// printSubscriptions prints a table of the uWSGI instances that have announced
// themselves, why some have no requests yet, and which packets were refused.
func printSubscriptions(out io.Writer, s stats.Subscriptions) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	var notes strings.Builder
	if len(s.Listen) > 0 {
		fmt.Fprintf(w, "\nsubscriptions at %s\n", strings.Join(s.Listen, ", "))
	}
	if len(s.Nodes) > 0 {
		fmt.Fprintln(w, "\nSUBSCRIPTION\tADDRESS\tWEIGHT\tCORES\tREADY\tLAST")
	}
	for _, n := range s.Nodes {
		address := n.Address
		if n.Backup {
			address += " (backup)"
		}
		ready := "no"
		if n.Ready {
			ready = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", n.Key, address, n.Weight, n.Cores, ready, since(n.Last))
		if n.Error != "" {
			fmt.Fprintf(&notes, "%s at %s gets no requests: %s\n", n.Key, n.Address, oneLine(n.Error))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if refused := refusedPackets(s.Counters); refused != "" {
		fmt.Fprintf(&notes, "subscription packets refused: %s\n", refused)
	}
	if notes.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(out, "\n"+notes.String())
	return err
}

// refusedPackets lists the packets of which nothing came, the most frequent first.
func refusedPackets(counters map[string]uint64) string {
	var out []string
	for _, result := range slices.SortedFunc(maps.Keys(counters), func(a, b string) int {
		return cmp.Or(cmp.Compare(counters[b], counters[a]), cmp.Compare(a, b))
	}) {
		switch n := counters[result]; {
		case n == 0, result == "accepted", result == "unsubscribed", result == "expired":
		default:
			out = append(out, fmt.Sprintf("%d %s", n, strings.ReplaceAll(result, "_", " ")))
		}
	}
	return strings.Join(out, ", ")
}

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"headgate/gateway/stats"
)

// printPools prints a table of members, and below it what there is to say of those
// that are not up and of pools that hold requests back.
func printPools(out io.Writer, pools []stats.Pool) error {
	if len(pools) == 0 {
		return nil
	}
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
	if len(p.Members) == 0 && p.Workers == nil { // of workers there is more to say, see printWorkers
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

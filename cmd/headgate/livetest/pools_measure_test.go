package livetest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// quantile returns the q-th of all, which it sorts; 0 of none.
func quantile(all []time.Duration, q float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(int(q*float64(len(all))), len(all)-1)]
}

func median(all []time.Duration) time.Duration { return quantile(all, 0.5) }

// ms writes a time for a table.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

// processors is how long the machine's processors have been idle, and have been
// at all, in ticks. The zero value is of a system that does not tell.
type processors struct{ idle, all float64 }

func readProcessors() (p processors) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return p
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, field := range strings.Fields(strings.TrimPrefix(line, "cpu")) {
		var ticks float64
		_, _ = fmt.Sscan(field, &ticks) // the kernel writes numbers
		if p.all += ticks; i == 3 || i == 4 {
			p.idle += ticks
		}
	}
	return p
}

// busySince returns which share of the machine was at work since then.
func (p processors) busySince() float64 {
	now := readProcessors()
	if now.all <= p.all {
		return 0
	}
	return 1 - (now.idle-p.idle)/(now.all-p.all)
}

// delays returns how long each thread of a process has waited for a processor so
// far, by its name under /proc; nothing where the kernel does not tell.
func (p *process) delays() map[string]time.Duration {
	all := map[string]time.Duration{}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid)) // the pattern is good
	for _, file := range files {
		b, _ := os.ReadFile(file) // the thread has ended
		var ran, waited int64
		_, _ = fmt.Sscan(string(b), &ran, &waited)
		all[file] = time.Duration(waited)
	}
	return all
}

// steadily measures until nothing is wrong, at most three times. A measurement is
// repeated only if the machine was busier than it takes by itself: its limits
// hold for one that has nothing else to do.
func steadily(t *testing.T, busy float64, measure func() (wrong []string)) {
	t.Helper()
	for try := 1; ; try++ {
		before := readProcessors()
		wrong := measure()
		share := before.busySince()
		t.Logf("the machine was at work for %.0f %% of the time", 100*share)
		if len(wrong) == 0 {
			return
		}
		if share > busy && try < 3 {
			t.Logf("busy with other things, measured again; it was: %s", strings.Join(wrong, "; "))
			continue
		}
		for _, w := range wrong {
			t.Errorf("%s (the machine was at work for %.0f %% of the time)", w, 100*share)
		}
		return
	}
}

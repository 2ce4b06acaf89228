package process

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// kin is a line of the table of processes.
type kin struct {
	pid, parent, group, session int
	zombie                      bool
	started                     uint64 // ticks since the machine was started
}

// tick is the unit of /proc/PID/stat for programs, on all machines.
const tick = 10 * time.Millisecond

// Families returns the families of processes by their leaders, the leader first in
// each; one that has ended has none. It reads /proc once, whatever their number. The
// caller owns them.
func Families(leaders []int) map[int][]Relative {
	all, children := census()
	born := booted()
	families := make(map[int][]Relative, len(leaders))
	for _, leader := range leaders {
		if k, ok := all[leader]; !ok || k.zombie {
			continue
		}
		family := []Relative{}
		for queue := []int{leader}; len(queue) > 0; queue = queue[1:] {
			k := all[queue[0]]
			if k.zombie {
				continue
			}
			family = append(family, Relative{
				PID: k.pid, Parent: k.parent, RSS: rss(k.pid),
				Started: born.Add(time.Duration(k.started) * tick),
			})
			queue = append(queue, children[k.pid]...)
		}
		families[leader] = family
	}
	return families
}

// AddPSS fills in the PSS of each of family. That makes the kernel look at each of
// its pages: milliseconds for each hundred megabytes. It needs to be root, or the
// user of the processes.
func AddPSS(family []Relative) {
	for i := range family {
		b, err := os.ReadFile(procFile(family[i].PID, "smaps_rollup"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				family[i].PSS = kib << 10
				break
			}
		}
	}
}

// census reads the table of processes, by number and by parent.
func census() (all map[int]kin, children map[int][]int) {
	all, children = make(map[int]kin), make(map[int][]int)
	dir, err := os.Open("/proc")
	if err != nil {
		return all, children
	}
	defer dir.Close()
	buf := make([]byte, 1024)
	for {
		names, err := dir.Readdirnames(512)
		for _, name := range names {
			pid, notNumber := strconv.Atoi(name)
			if notNumber != nil {
				continue
			}
			if k, ok := lookAt(pid, buf); ok {
				all[pid] = k
				children[k.parent] = append(children[k.parent], pid)
			}
		}
		if err != nil || len(names) == 0 {
			return all, children
		}
	}
}

// lookAt reads the line of one process; false: it is gone.
func lookAt(pid int, buf []byte) (kin, bool) {
	n, err := readSmall(procFile(pid, "stat"), buf)
	if err != nil {
		return kin{}, false
	}
	return parseStat(pid, buf[:n])
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The name of the program, which
// may hold anything, is in parentheses before the fields.
func parseStat(pid int, b []byte) (kin, bool) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return kin{}, false
	}
	f := bytes.Fields(b[i+1:])
	if len(f) < 20 {
		return kin{}, false
	}
	k := kin{pid: pid, zombie: f[0][0] == 'Z' || f[0][0] == 'X'}
	var errs [4]error
	k.parent, errs[0] = strconv.Atoi(string(f[1]))
	k.group, errs[1] = strconv.Atoi(string(f[2]))
	k.session, errs[2] = strconv.Atoi(string(f[3]))
	k.started, errs[3] = strconv.ParseUint(string(f[19]), 10, 64)
	return k, errs == [4]error{}
}

// rss reads the memory of a process; 0: it is gone.
func rss(pid int) int64 {
	buf := make([]byte, 256)
	n, err := readSmall(procFile(pid, "statm"), buf)
	if err != nil {
		return 0
	}
	f := bytes.Fields(buf[:n])
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

// booted returns when the machine was started, by the clock of the processes.
func booted() time.Time {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Time{}
	}
	return time.Now().Add(-time.Duration(t.Nano()))
}

// procFile is a file of a process.
func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// readSmall reads a file of /proc in one go, without what os.File does besides.
func readSmall(file string, buf []byte) (int, error) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		}
		return n, nil
	}
}

// stray is a descendant that has left the group of its leader.
type stray struct {
	pid     int
	started uint64
}

// strays returns the descendants that are not in the group.
func (p *Process) strays() []stray {
	select {
	case <-p.ended:
		return nil
	default:
	}
	all, children := census()
	var found []stray
	for queue := children[p.PID()]; len(queue) > 0; queue = queue[1:] {
		k := all[queue[0]]
		if k.group != p.PID() && !k.zombie {
			found = append(found, stray{k.pid, k.started})
		}
		queue = append(queue, children[k.pid]...)
	}
	return found
}

// kill ends it, and not another one that has its number by now: os.FindProcess holds
// on to the one that it has found (pidfd).
func (s stray) kill() {
	proc, err := os.FindProcess(s.pid)
	if err != nil {
		return
	}
	defer func() { _ = proc.Release() }()
	if k, ok := lookAt(s.pid, make([]byte, 1024)); ok && k.started == s.started {
		_ = proc.Kill() // it has ended: just as well
	}
}

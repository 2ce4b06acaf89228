package process

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// Memory is the memory of a cgroup. Its methods are safe for concurrent use, read
// small files, and work on nil, of which nothing is known.
type Memory struct {
	dirs  []string // of the cgroup, and of those above it as far as they can be seen
	files memoryFiles
	total string // file with the memory of the machine
	first uint64 // kills when it was opened
}

// memoryFiles are the names of files of a version of cgroups.
type memoryFiles struct{ kills, limit string }

// OpenMemory finds the cgroup in which a process is now; 0 is our own. An error means
// that the kernel does not tell: no cgroups, or none that count memory.
func OpenMemory(pid int) (*Memory, error) { return openMemory("/", pid) }

// openMemory is OpenMemory in the system whose root is at root.
func openMemory(root string, pid int) (*Memory, error) {
	who := "self"
	if pid != 0 {
		who = strconv.Itoa(pid)
	}
	groups, err := os.ReadFile(path.Join(root, "proc", who, "cgroup"))
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile(path.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	group, v1 := memoryGroup(groups)
	mount, dir, ok := memoryMount(mounts, group, v1)
	if !ok {
		return nil, fmt.Errorf("no cgroup of process %s counts memory", who)
	}
	m := &Memory{files: memoryFiles{"memory.events", "memory.max"}, total: path.Join(root, "proc/meminfo")}
	if v1 {
		m.files = memoryFiles{"memory.oom_control", "memory.limit_in_bytes"}
	}
	for ; ; dir = path.Dir(dir) {
		m.dirs = append(m.dirs, path.Join(root, dir))
		if dir == mount || dir == "/" || dir == "." {
			break
		}
	}
	if m.first, err = m.count(); err != nil {
		return nil, err
	}
	return m, nil
}

// Kills returns how many processes of the cgroup the kernel has killed for want of
// memory, of the cgroup or of the machine, since the cgroup is there. 0 when it does
// not tell.
func (m *Memory) Kills() uint64 {
	if m == nil {
		return 0
	}
	n, err := m.count()
	if err != nil {
		return m.first
	}
	return n
}

// count reads the kills.
func (m *Memory) count() (uint64, error) {
	b, err := os.ReadFile(path.Join(m.dirs[0], m.files.kills))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strconv.ParseUint(strings.TrimSpace(n), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s does not count kills", m.files.kills)
}

// Limit returns how many bytes the cgroup may use: the least of its own limit and of
// those of the cgroups above it that can be seen. 0: none, or more than there are.
func (m *Memory) Limit() int64 {
	if m == nil {
		return 0
	}
	least := int64(math.MaxInt64)
	for _, dir := range m.dirs {
		b, err := os.ReadFile(path.Join(dir, m.files.limit))
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64); err == nil { // else "max"
			least = min(least, n)
		}
	}
	if least >= m.machine() {
		return 0
	}
	return least
}

// machine returns how much memory the machine has.
func (m *Memory) machine() int64 {
	f, err := os.Open(m.total)
	if err != nil {
		return 1 << 60
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(s.Text(), "MemTotal: %d kB", &kib); err == nil && kib < 1<<50 {
			return kib << 10
		}
	}
	return 1 << 60
}

// blame is the cause of a kill, for people.
func (m *Memory) blame() string {
	if n := m.Limit(); n > 0 {
		return fmt.Sprintf("out of memory (limit %s)", mebibytes(n))
	}
	return "out of memory (of the whole machine)"
}

// mebibytes writes a size for people.
func mebibytes(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// memoryGroup returns the cgroup that counts memory, from /proc/PID/cgroup, and
// whether it is of version 1.
func memoryGroup(b []byte) (group string, v1 bool) {
	for line := range strings.Lines(string(b)) {
		part := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(part) != 3 {
			continue
		}
		for name := range strings.SplitSeq(part[1], ",") {
			if name == "memory" {
				return part[2], true
			}
		}
		if part[0] == "0" {
			group = part[2]
		}
	}
	return group, false
}

// memoryMount finds the directory of a cgroup, and the mount that it is in, in
// /proc/self/mountinfo (proc_pid_mountinfo(5)).
func memoryMount(b []byte, group string, v1 bool) (mount, dir string, ok bool) {
	for line := range strings.Lines(string(b)) {
		left, right, _ := strings.Cut(line, " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if len(l) < 5 || len(r) < 3 || !countsMemory(r[0], r[2], v1) {
			continue
		}
		root, point := l[3], l[4]
		rest, below := strings.CutPrefix(group, strings.TrimSuffix(root, "/"))
		if !below || (rest != "" && rest[0] != '/') || strings.Contains(rest, "/..") {
			rest = "" // what we can see of it is all that is mounted, as in a container
		}
		return point, path.Join(point, rest), true
	}
	return "", "", false
}

// countsMemory tells whether a mount is one of cgroups that count memory.
func countsMemory(kind, options string, v1 bool) bool {
	if !v1 {
		return kind == "cgroup2"
	}
	if kind != "cgroup" {
		return false
	}
	for o := range strings.SplitSeq(strings.TrimSpace(options), ",") {
		if o == "memory" {
			return true
		}
	}
	return false
}

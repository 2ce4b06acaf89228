package process_test

import (
	"os"
	"path/filepath"
	"testing"

	"headgate/upstream/worker/process"
)

// system makes files of a system in a directory.
func system(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Lines of /proc/self/mountinfo of real machines.
const (
	mountV2     = "31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
	mountV1     = "36 32 0:31 / /sys/fs/cgroup/memory rw,nosuid shared:11 - cgroup cgroup rw,memory\n"
	mountHybrid = "33 32 0:28 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n" + mountV1
	mountDocker = "700 690 0:31 /docker/abc /sys/fs/cgroup/memory ro,nosuid master:17 - cgroup memory rw,memory\n"
	memInfo     = "MemTotal:        8000000 kB\nMemFree:         1000000 kB\n"
)

func TestMemoryOfCgroups(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		kills uint64
		limit int64
	}{
		{"version 2", map[string]string{
			"proc/42/cgroup": "0::/system.slice/headgate.service\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/system.slice/headgate.service/memory.events": "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
			"sys/fs/cgroup/system.slice/headgate.service/memory.max":    "max\n",
			"sys/fs/cgroup/system.slice/memory.max":                     "536870912\n",
		}, 2, 512 << 20},
		{"version 2, no limit", map[string]string{
			"proc/42/cgroup": "0::/a\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/a/memory.events": "oom_kill 0\n", "sys/fs/cgroup/a/memory.max": "max\n",
		}, 0, 0},
		{"version 2 in a container", map[string]string{
			"proc/42/cgroup": "0::/\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/memory.events": "oom_kill 7\n", "sys/fs/cgroup/memory.max": "1048576\n",
		}, 7, 1 << 20},
		{"more than there is", map[string]string{
			"proc/42/cgroup": "0::/\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/memory.events": "oom_kill 7\n", "sys/fs/cgroup/memory.max": "64000000000\n",
		}, 7, 0},
		{"both versions", map[string]string{
			"proc/42/cgroup": "9:name=systemd:/\n4:cpu,memory:/user/1\n0::/\n", "proc/self/mountinfo": mountHybrid,
			"sys/fs/cgroup/memory/user/1/memory.oom_control":    "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
			"sys/fs/cgroup/memory/user/1/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/user/memory.limit_in_bytes":   "2097152\n",
		}, 5, 2 << 20},
		{"version 1 in a container", map[string]string{
			"proc/42/cgroup": "4:memory:/docker/abc/sub\n", "proc/self/mountinfo": mountDocker,
			"sys/fs/cgroup/memory/sub/memory.oom_control": "oom_kill 1\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "4194304\n",
		}, 1, 4 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.files["proc/meminfo"] = memInfo
			m, err := process.OpenMemoryIn(system(t, test.files), 42)
			if err != nil {
				t.Fatal(err)
			}
			if m.Kills() != test.kills || m.Limit() != test.limit {
				t.Errorf("%d kills, limit %d, want %d and %d", m.Kills(), m.Limit(), test.kills, test.limit)
			}
		})
	}
}

func TestMemoryIsNotKnown(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no process":    {"proc/self/mountinfo": mountV2},
		"no cgroups":    {"proc/42/cgroup": "0::/\n", "proc/self/mountinfo": "31 24 0:27 / / rw - ext4 /dev/root rw\n"},
		"no controller": {"proc/42/cgroup": "0::/\n", "proc/self/mountinfo": mountV2},
		"old kernel":    {"proc/42/cgroup": "4:memory:/\n", "proc/self/mountinfo": mountV1, "sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\n"},
	} {
		if m, err := process.OpenMemoryIn(system(t, files), 42); err == nil {
			t.Errorf("%s: %d kills, want an error", name, m.Kills())
		}
	}
	var none *process.Memory
	if none.Kills() != 0 || none.Limit() != 0 {
		t.Error("nothing is known, and yet something is told")
	}
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte("0::/a\n"), []byte(mountV2))
	f.Add([]byte("4:cpu,memory:/docker/abc/../x\n0::/\n"), []byte(mountHybrid))
	f.Add([]byte("4:memory:/docker/abc\n"), []byte(mountDocker))
	f.Fuzz(func(t *testing.T, groups, mounts []byte) {
		mount, dir, ok := process.FindMemory(groups, mounts)
		if !ok {
			return
		}
		if rel, err := filepath.Rel(mount, dir); err == nil && (rel == ".." || len(rel) > 2 && rel[:3] == "../") {
			t.Errorf("directory %q is not in its mount %q", dir, mount)
		}
	})
}

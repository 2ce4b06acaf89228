package process

// OpenMemoryIn is OpenMemory in a system whose root is at root.
var OpenMemoryIn = openMemory

// MemoryDir is the directory of the cgroup.
func MemoryDir(m *Memory) string { return m.dirs[0] }

// FindMemory is where a cgroup is, by files of /proc.
func FindMemory(groups, mounts []byte) (mount, dir string, ok bool) {
	group, v1 := memoryGroup(groups)
	return memoryMount(mounts, group, v1)
}

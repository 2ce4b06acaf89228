package storage

import "syscall"

const nfsMagic = 0x6969 // NFS_SUPER_MAGIC of statfs(2)

// onNFS reports whether dir is on NFS; where nobody can tell it is not.
func onNFS(dir string) bool {
	var st syscall.Statfs_t
	return syscall.Statfs(dir, &st) == nil && st.Type == nfsMagic
}

package watch

import "golang.org/x/sys/unix"

// remotes are file systems that others write to, of which our kernel does not hear.
var remotes = map[uint32]string{
	unix.NFS_SUPER_MAGIC:  "NFS",
	unix.SMB_SUPER_MAGIC:  "SMB",
	unix.CIFS_SUPER_MAGIC: "SMB",
	unix.SMB2_SUPER_MAGIC: "SMB",
	unix.AFS_SUPER_MAGIC:  "AFS",
	unix.CEPH_SUPER_MAGIC: "Ceph",
	unix.V9FS_MAGIC:       "9P",
	unix.FUSE_SUPER_MAGIC: "FUSE", // virtiofs too
	0x786f4256:            "a folder of VirtualBox",
	0xbacbacbc:            "a folder of VMware",
}

// remote returns what kind of file system a directory is on, if the kernel does not
// tell of its changes; else "".
func remote(dir string) string {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return ""
	}
	return remotes[uint32(st.Type)]
}

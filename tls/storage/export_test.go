package storage

// CheckKey is what every key goes through.
var CheckKey = checkKey

// KeepLockFiles makes s behave as on NFS.
func KeepLockFiles(s Storage) { s.(*File).keepLocks = true }

//go:build !linux

package process

// KeepFiles is for systems that can do it.
func KeepFiles() {}

// dropCapabilities does nothing: there are none.
func dropCapabilities() {}

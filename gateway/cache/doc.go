// Package cache is described when it is there.
package cache

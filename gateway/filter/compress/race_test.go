//go:build race

package compress_test

const raced = true

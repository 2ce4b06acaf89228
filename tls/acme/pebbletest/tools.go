package pebbletest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// tools are the binaries that are run.
type tools struct{ pebble, dns string }

const (
	toolName = "pebble"
	dnsName  = "pebble-challtestsrv"
)

// build makes the binaries at most once in a process.
var build = sync.OnceValues(func() (tools, error) {
	pebble, err := tool(toolName)
	if err != nil {
		return tools{}, err
	}
	dns, err := tool(dnsName)
	return tools{pebble: pebble, dns: dns}, err
})

// tool has the go command build one of go.mod's tools and returns where it keeps
// the binary.
func tool(name string) (string, error) {
	cmd := exec.Command("go", "tool", "-n", name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go tool -n %s: %w: %s", name, err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func findTools(t testing.TB) tools {
	t.Helper()
	if p := os.Getenv("HEADGATE_TEST_PEBBLE"); p != "" {
		return tools{pebble: p, dns: filepath.Join(filepath.Dir(p), dnsName)}
	}
	found, err := build()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("CI needs Pebble: %v", err)
	case errors.Is(err, exec.ErrNotFound):
		t.Skipf("no go command to build Pebble with: set HEADGATE_TEST_PEBBLE to a binary: %v", err)
	default:
		t.Skipf("Pebble cannot be built: set HEADGATE_TEST_PEBBLE to a binary: %v", err)
	}
	return found
}

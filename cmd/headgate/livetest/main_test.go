package livetest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// headgate is the path of the binary under test. TestMain sets it once.
var headgate string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hg-bin")
	if err == nil {
		headgate = filepath.Join(dir, "headgate")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", headgate, "headgate/cmd/headgate").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build headgate:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

package python_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"headgate/upstream/worker/python"
)

// TestEditsWithinASecond: the second of two edits of the same size and second is what
// runs, though Python has bytecode of the first that it takes for its own.
func TestEditsWithinASecond(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"app.py": pidApp + "import part\n", "part.py": "x = 1\n", "other.py": "x = 1\n"}.write(t)
	cached := func(module string) string {
		found, err := filepath.Glob(filepath.Join(dir, "__pycache__", module+".*.pyc"))
		if err != nil || len(found) > 1 {
			t.Fatal(found, err)
		}
		return append(found, "")[0]
	}
	out, err := exec.Command("python3", "-c", "import compileall; compileall.compile_dir('"+dir+"', quiet=1)").CombinedOutput()
	if err != nil || cached("part") == "" {
		t.Fatalf("%v: %s", err, out)
	}
	now := time.Now()
	past := now.Add(-time.Hour)
	for path, when := range map[string]time.Time{
		filepath.Join(dir, "part.py"): now, cached("part"): now, // perhaps edited after it was compiled
		filepath.Join(dir, "other.py"): past, cached("other"): now, // compiled since
	} {
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	mustPlan(t, python.Request{App: "app", Dir: dir, Server: python.Builtin})
	if cached("part") != "" || cached("other") == "" {
		t.Errorf("part %q is not there, other %q is", cached("part"), cached("other"))
	}
}

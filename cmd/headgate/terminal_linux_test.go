package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal returns both ends of a new one.
func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	keyboard = open("/dev/ptmx")
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return keyboard, open(fmt.Sprintf("/dev/pts/%d", n))
}

func TestTypingIsHidden(t *testing.T) {
	keyboard, f := terminal(t)
	show, err := hideTyping(f)
	if err != nil {
		t.Fatal(err)
	}
	echo := func(line string) string {
		t.Helper()
		if _, err := keyboard.WriteString(line + "\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := readSecret(f); got != line || err != nil {
			t.Errorf("read %q, %v, want %q", got, err, line)
		}
		if _, err := f.WriteString("."); err != nil { // so that there is something to read
			t.Fatal(err)
		}
		seen, err := bufio.NewReader(keyboard).ReadString('.')
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	if seen := echo("secret"); seen != "." {
		t.Errorf("the terminal shows %q", seen)
	}
	show()
	if seen := echo("public"); seen != "public\r\n." {
		t.Errorf("the terminal shows %q after that, want what is typed", seen)
	}
}

func TestWhatIsNoTerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, f := range []*os.File{r, null} {
		if _, err := hideTyping(f); !errors.Is(err, errNoTerminal) {
			t.Errorf("got %v, want that it is none", err)
		}
	}
}

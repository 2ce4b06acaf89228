package accesslog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Options describe both logs, under the key `log`. The zero value writes the
// access log to stdout and the process log from level info on; each is text on
// a terminal and JSON elsewhere.
type Options struct {
	Access string `yaml:"access"` // "stdout" (default), "off" or the path of a file
	Format string `yaml:"format"` // "auto" (default): text on a terminal, JSON elsewhere; "text" or "json"
	Level  string `yaml:"level"`  // of the process log: "debug", "info" (default), "warn" or "error"
}

// Validate reports every value that Options cannot have.
func (o Options) Validate() error {
	var errs []error
	switch o.Format {
	case "", "auto", "text", "json":
	default:
		errs = append(errs, fmt.Errorf("format: %q is not a format: write auto, text or json", o.Format))
	}
	if _, ok := o.level(); !ok {
		errs = append(errs, fmt.Errorf("level: %q is not a level: write debug, info, warn or error", o.Level))
	}
	switch {
	case o.Access == "stderr":
		errs = append(errs, errors.New(`access: stderr is for the process log: write stdout, off or the path of a file`))
	case o.toFile() && !strings.ContainsRune(o.Access, os.PathSeparator):
		errs = append(errs, fmt.Errorf("access: %q is not a path: write stdout, off, or a file as /var/log/headgate/access.log or ./%[1]s", o.Access))
	}
	return errors.Join(errs...)
}

// toFile reports whether the access log goes to a file.
func (o Options) toFile() bool {
	return o.Access != "" && o.Access != "stdout" && o.Access != "off"
}

// json reports whether a stream has lines of JSON.
func (o Options) json(terminal bool) bool {
	if o.Format == "text" || o.Format == "json" {
		return o.Format == "json"
	}
	return !terminal
}

func (o Options) level() (slog.Level, bool) {
	switch o.Level {
	case "debug":
		return slog.LevelDebug, true
	case "", "info":
		return slog.LevelInfo, true
	case "warn":
		return slog.LevelWarn, true
	case "error":
		return slog.LevelError, true
	}
	return slog.LevelInfo, false
}

// NewLogger returns the logger of the process, which writes to w (stderr): at
// the level and in the format of o, where terminal says what w is.
func NewLogger(w io.Writer, terminal bool, o Options) *slog.Logger {
	level, _ := o.level()
	h := &slog.HandlerOptions{Level: level}
	if o.json(terminal) {
		return slog.New(slog.NewJSONHandler(w, h))
	}
	return slog.New(slog.NewTextHandler(w, h))
}

// Terminal reports whether f is a terminal, or another device with characters.
func Terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

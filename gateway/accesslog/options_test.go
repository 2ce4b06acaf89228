package accesslog_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"headgate/gateway/accesslog"
)

func TestValidate(t *testing.T) {
	for _, o := range []accesslog.Options{
		{},
		{Access: "stdout", Format: "auto", Level: "info"},
		{Access: "off", Format: "text", Level: "debug"},
		{Access: "/var/log/a.log", Format: "json", Level: "error"},
		{Access: "./a", Level: "warn"},
	} {
		if err := o.Validate(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
	err := accesslog.Options{Access: "stdin", Format: "xml", Level: "loud"}.Validate()
	for _, want := range []string{`"stdin" is not a path`, `"xml" is not a format`, `"loud" is not a level`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want also %q", err, want)
		}
	}
	if err := (accesslog.Options{Access: "stderr"}).Validate(); err == nil {
		t.Error("stderr: no error")
	}
}

func TestNewLogger(t *testing.T) {
	for _, row := range []struct {
		o        accesslog.Options
		terminal bool
		want     string
	}{
		{accesslog.Options{}, true, "level=INFO msg=hello"},
		{accesslog.Options{}, false, `"msg":"hello"`},
		{accesslog.Options{Format: "text"}, false, "msg=hello"},
		{accesslog.Options{Format: "json"}, true, `"level":"INFO"`},
		{accesslog.Options{Level: "warn"}, true, ""},
	} {
		var out bytes.Buffer
		log := accesslog.NewLogger(&out, row.terminal, row.o)
		log.Debug("never")
		log.Info("hello")
		if got := out.String(); !strings.Contains(got, row.want) || row.want == "" && got != "" || strings.Contains(got, "never") {
			t.Errorf("%+v terminal %v: %q, want %q", row.o, row.terminal, got, row.want)
		}
	}
	if !accesslog.NewLogger(os.Stderr, true, accesslog.Options{Level: "debug"}).Enabled(t.Context(), slog.LevelDebug) {
		t.Error("level debug does not log debug")
	}
}

func TestTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if accesslog.Terminal(f) {
		t.Error("a file is a terminal")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if accesslog.Terminal(f) {
		t.Error("a closed file is a terminal")
	}
}

package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"headgate/gateway/config"
)

func TestAdminSocketOfABrokenFile(t *testing.T) {
	env := func(name string) (string, bool) { return "/run/x", name == "DIR" }
	for text, want := range map[string]string{
		"admin: {socket: /tmp/a.sock}\nbogus: 1\npools: 7\n": "/tmp/a.sock",
		"admin: {socket: \"${DIR}/a.sock\"}\nbogus: 1\n":     "/run/x/a.sock",
		"admin: {socket: \"${NONE}/a.sock\"}\n":              config.DefaultSocket(),
		"admin: [7]\n":                                       config.DefaultSocket(),
		"a: b: c\n\t{":                                       config.DefaultSocket(),
		"":                                                   config.DefaultSocket(),
	} {
		path := filepath.Join(t.TempDir(), "headgate.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := config.AdminSocket(path, env); got != want {
			t.Errorf("AdminSocket of %q = %q, want %q", text, got, want)
		}
	}
	if got := config.AdminSocket("/nonexistent", env); got != config.DefaultSocket() {
		t.Errorf("AdminSocket of no file = %q, want the default", got)
	}
}

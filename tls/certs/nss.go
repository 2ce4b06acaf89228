package certs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// browsers does what is to be done with each NSS database of the user.
func (t *truster) browsers(ctx context.Context, trust bool) []Step {
	if t.Home == "" {
		return nil
	}
	dbs := t.databases()
	if len(dbs) == 0 && !(trust && t.hasChromium()) {
		return nil
	}
	if _, err := t.Look("certutil"); err != nil {
		return []Step{{Store: "browsers", Err: errors.New("needs certutil: install libnss3-tools (Debian), nss-tools (Fedora) or nss (Arch, Homebrew), and try again")}}
	}
	if len(dbs) == 0 {
		dir := filepath.Join(t.Home, ".pki", "nssdb")
		if err := t.newDatabase(ctx, dir); err != nil {
			return []Step{{Store: dir, Err: err}}
		}
		dbs = []string{dir}
	}
	var steps []Step
	for _, dir := range dbs {
		st := Step{Store: dir}
		st.Changed, st.Err = t.nss(ctx, "sql:"+dir, trust)
		steps = append(steps, st)
	}
	return steps
}

func (t *truster) nss(ctx context.Context, db string, trust bool) (changed bool, err error) {
	_, err = t.Run(ctx, "certutil", "-L", "-d", db, "-n", t.name)
	if there := err == nil; there == trust {
		return false, nil
	}
	if trust {
		return true, t.command(ctx, []string{"certutil", "-A", "-d", db, "-t", "C,,", "-n", t.name, "-i", t.file})
	}
	return true, t.command(ctx, []string{"certutil", "-D", "-d", db, "-n", t.name})
}

// databases lists the directories that hold an NSS database: Chromium's, old and
// new place, and one for each Firefox profile, also of snap and flatpak.
func (t *truster) databases() []string {
	var found []string
	for _, pattern := range []string{
		".pki/nssdb",
		".local/share/pki/nssdb",
		"snap/chromium/current/.pki/nssdb",
		".mozilla/firefox/*",
		"snap/firefox/common/.mozilla/firefox/*",
		".var/app/org.mozilla.firefox/.mozilla/firefox/*",
		"Library/Application Support/Firefox/Profiles/*",
	} {
		files, err := filepath.Glob(filepath.Join(t.Home, pattern, "cert9.db"))
		if err != nil {
			continue // a home with a wildcard character in its name
		}
		for _, f := range files {
			found = append(found, filepath.Dir(f))
		}
	}
	return found
}

// hasChromium tells whether a browser is there that will look for a database.
func (t *truster) hasChromium() bool {
	if t.OS != "linux" {
		return false
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if _, err := t.Look(name); err == nil {
			return true
		}
	}
	return false
}

func (t *truster) newDatabase(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return t.command(ctx, []string{"certutil", "-N", "-d", "sql:" + dir, "--empty-password"})
}

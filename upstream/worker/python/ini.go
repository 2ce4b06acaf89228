package python

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// iniFile plans for Request.Ini: uWSGI runs the file as it is, with more arguments that
// make it ours.
func (p *planner) iniFile(ctx context.Context) error {
	text, err := head(p.Ini)
	if err != nil {
		return fmt.Errorf("ini: %w: write the path of a uWSGI configuration", err)
	}
	file := parseIni(text)
	if !slices.ContainsFunc(file, func(s setting) bool { return s.section == "uwsgi" }) {
		return fmt.Errorf("ini: %s has no section [uwsgi]: write one, or app in place of ini", p.Ini)
	}
	venv := ""
	if p.Venv != "" && p.Venv != off {
		if venv, err = p.venv(); err != nil {
			return err
		}
		p.env.activate(venv)
	}
	var i *interpreter
	if venv != "" {
		i = &interpreter{path: filepath.Join(venv, "bin", "python"), venv: venv}
	}
	paths := p.uwsgis(i)
	if len(paths) == 0 {
		return fmt.Errorf("ini: uwsgi is not in PATH (%s): put uWSGI there (apt install uwsgi-core uwsgi-plugin-python3), or write app in place of ini", p.env["PATH"])
	}
	args, err := p.iniPlugin(ctx, paths[0], file)
	if err != nil {
		return err
	}
	known, err := p.askIni(ctx, paths[0], args, file)
	if err != nil {
		return err
	}
	if err := p.refuseIni(known); err != nil {
		return err
	}
	p.runIni(paths[0], args, known)
	return nil
}

// iniPlugin names the plugin that has Python, if the uWSGI needs one and the file names
// none.
func (p *planner) iniPlugin(ctx context.Context, path string, file []setting) ([]string, error) {
	for _, s := range file {
		if s.section == "uwsgi" && (s.name == "plugin" || s.name == "plugins" || s.name == "need-plugin" || s.name == "need-plugins") {
			return nil, nil
		}
	}
	u, err := p.inspectUWSGI(ctx, path)
	if err != nil {
		p.chose("%s runs no Python by itself: the file may name a plugin", path)
		return nil, nil
	}
	p.chose("found uWSGI %s (%s) with Python %s", u.version, path, u.python)
	if u.plugin == "" {
		return nil, nil
	}
	p.chose("added plugin %s, as the file names none", u.plugin)
	return []string{"--plugin", u.plugin}, nil
}

// iniWanted are the options of a file that we need to know.
var iniWanted = []string{
	"daemonize", "daemonize2", "emperor", "processes", "workers", "p", "threads", "async", "gevent", "asyncio", "ugreen",
	"buffer-size", "stats", "stats-server", "uid", "gid", "chroot", "worker-reload-mercy", "cheaper", "master-fifo",
}

// askIni returns what a file says, includes, variables and all: uWSGI itself tells it
// (--get prints the value of an option and ends). It does not when the file has
// commands that uWSGI runs even then; of those only what stands in it is known.
func (p *planner) askIni(ctx context.Context, path string, args []string, file []setting) (map[string]string, error) {
	known := make(map[string]string)
	for _, s := range file {
		if s.section != "uwsgi" {
			continue
		}
		if strings.HasSuffix(s.name, "-asap") {
			p.chose("%s runs commands (%s), so uWSGI is not asked what its includes say", filepath.Base(p.Ini), s.name)
			return written(file), nil
		}
	}
	args = slices.Clone(args)
	var get []string
	for n, name := range iniWanted {
		mark := fmt.Sprintf("headgate-%d", n)
		args = append(args, "--set-placeholder", mark+"="+iniMark+name)
		get = append(get, "--get", mark, "--get", name)
	}
	args = append(append(args, "--ini", p.Ini), get...)
	said := p.look.ask(ctx, p.plainUWSGI(), path, args...)
	if said.fail != nil {
		return nil, fmt.Errorf("uWSGI cannot read %s (%w%s): correct it", p.Ini, said.fail, lastLine(said.err))
	}
	name := ""
	for line := range strings.Lines(said.out) {
		line = strings.TrimRight(line, "\r\n")
		if after, ok := strings.CutPrefix(line, iniMark); ok {
			name = after
		} else if _, twice := known[name]; name != "" && !twice {
			known[name] = line
		}
	}
	return known, nil
}

// iniMark begins the lines that say which option the next one is of.
const iniMark = "<headgate>"

// written is what stands in the file itself.
func written(file []setting) map[string]string {
	known := make(map[string]string)
	for _, s := range file {
		if _, twice := known[s.name]; s.section == "uwsgi" && !twice {
			known[s.name] = s.value
		}
	}
	return known
}

// refuseIni says what a file may not have. Nothing overrides daemonize: the last word
// wins, but there is no word for none.
func (p *planner) refuseIni(known map[string]string) error {
	var errs []error
	for _, name := range []string{"daemonize", "daemonize2"} {
		if _, ok := known[name]; ok {
			errs = append(errs, fmt.Errorf("%s has %s, with which uWSGI leaves the gateway: remove it; the gateway keeps the log", p.Ini, name))
		}
	}
	if _, ok := known["emperor"]; ok {
		errs = append(errs, fmt.Errorf("%s starts an Emperor: remove emperor, and name its directory as apps", p.Ini))
	}
	return errors.Join(errs...)
}

// runIni makes the command line. uWSGI takes the last word on an option, so ours come
// after the file; but of several FIFOs the first is the one that it listens to.
func (p *planner) runIni(path string, args []string, known map[string]string) {
	_, uid := known["uid"]
	_, gid := known["gid"]
	_, chroot := known["chroot"]
	if away := uid || gid || chroot; away { // it cannot make files where only we may
		p.Fifo, p.Stats = "", ""
	}
	if p.Fifo != "" {
		p.plan.Fifo = p.Fifo
		args = append(args, "--master-fifo", p.Fifo)
		if _, ok := known["master-fifo"]; ok {
			p.chose("master-fifo of the file is the second one: uWSGI listens to the first, which is the gateway's")
		}
	}
	args = append(args, "--ini", p.Ini, "--socket", p.uwsgiSocket(), "--master", "--die-on-term", "--need-app", "--no-orphans",
		"--reuse-port") // of what the file listens on itself: new workers start while the old ones still have it
	if size, _ := strconv.Atoi(known["buffer-size"]); size < 65535 {
		args = append(args, "--buffer-size", "65535")
	}
	if _, ok := known["worker-reload-mercy"]; !ok && p.Stop > 0 {
		args = append(args, "--worker-reload-mercy", strconv.Itoa(seconds(p.Stop)))
	}
	if known["stats"]+known["stats-server"] == "" && p.Stats != "" {
		p.plan.Stats = p.Stats
		args = append(args, "--stats", p.Stats)
	}
	p.plan.Server, p.plan.Path, p.plan.Args, p.plan.Dialect = UWSGI, path, append(args, p.Flags...), "uwsgi"
	if p.plan.Slots = iniSlots(known); p.plan.Slots == 0 {
		p.chose("how many requests it takes at once is not known: its statistics say")
	}
	p.plan.Env = p.env.list()
	p.chose("uWSGI runs %s as it is", p.Ini)
}

// iniSlots is how many requests a configuration takes at once; 0: not known.
func iniSlots(known map[string]string) int {
	slots := 1
	for _, names := range [][]string{{"processes", "workers", "p"}, {"threads"}, {"async", "gevent", "asyncio", "ugreen"}} {
		for _, name := range names {
			value, ok := known[name]
			if !ok {
				continue
			}
			n, err := strconv.Atoi(value)
			if name == "ugreen" || err != nil || n < 0 || n > mostSlots {
				return 0
			}
			slots *= max(n, 1)
			break
		}
	}
	if slots > mostSlots {
		return 0
	}
	return slots
}

// mostSlots is more than any uWSGI has.
const mostSlots = 1 << 20

// setting is a line of an ini file.
type setting struct{ section, name, value string }

// parseIni reads an ini file as uWSGI does: sections, name = value, comments that begin
// with # or ;, and lines that go on after a backslash. What is no setting is passed
// over.
func parseIni(text []byte) []setting {
	var all []setting
	section, before := "", ""
	for line := range bytes.Lines(text) {
		s := before + strings.TrimSpace(string(line))
		before = ""
		if rest, ok := strings.CutSuffix(s, `\`); ok && len(s) < mostIniLine {
			before = rest
			continue
		}
		switch {
		case s == "" || s[0] == '#' || s[0] == ';':
		case s[0] == '[':
			section, _, _ = strings.Cut(s[1:], "]")
			section, _, _ = strings.Cut(section, ":")
		default:
			name, value, _ := strings.Cut(s, "=")
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, setting{section, name, strings.TrimSpace(value)})
			}
		}
	}
	return all
}

const mostIniLine = 64 << 10

package python

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed probe.py
var probeScript string

// report is what the probe says of a candidate.
type report struct {
	Module   string // as the candidate has it, or as Django's settings have
	Settings string

	// An app.
	Target    string
	Framework string
	Static    []Static
	Wrap      string
	File      string // that the module came from

	// None, and why: a word, and what belongs to it.
	Failed    string
	Callable  string
	Type      string   // of what was found, or raised
	Names     []string // that the module has
	Why       string
	Expected  string // file
	Text      string // of the exception
	Name      string // of a module that is missing
	Variable  string // that is missing
	Where     string // of bad syntax
	Traceback []string
}

// probe imports the candidates in the app's own Python, as the workers would, until one
// of them has an app.
func (p *planner) probe(ctx context.Context, i *interpreter, found []candidate) error {
	request, err := json.Marshal(struct {
		CWD        string      `json:"cwd"`
		Candidates []candidate `json:"candidates"`
	}{p.plan.Dir, found})
	if err != nil {
		return err
	}
	said := p.look.run(ctx, p.env, i.path, "-c", probeScript, string(request))
	var answer struct {
		Tries   []report
		Version string
	}
	if err := json.Unmarshal(said.fd3, &answer); err != nil || len(answer.Tries) == 0 || len(answer.Tries) > len(found) {
		return p.silent(ctx, said, found)
	}
	n := len(answer.Tries) - 1
	for _, one := range answer.Tries[:n] {
		p.chose("%s has no app", one.Module)
	}
	last := &answer.Tries[n]
	p.chose("%s", found[n].said)
	if last.Failed != "" {
		return p.explain(last, &found[n])
	}
	a := &p.plan.App
	a.Target, a.Dir, a.Framework, a.Static = last.Target, found[n].Dir, last.Framework, last.Static
	a.Wrap = last.Wrap
	p.chose("the app is %s%s", a.Target, with(a.Framework))
	if last.File != "" && !within(a.Dir, last.File) {
		p.chose("%s is from %s", last.Module, last.File)
	}
	return nil
}

func with(framework string) string {
	if framework == "" {
		return ""
	}
	return ", " + framework
}

func within(dir, file string) bool {
	dir, file = realPath(dir), realPath(file)
	rel, err := filepath.Rel(dir, file)
	return err == nil && filepath.IsLocal(rel)
}

func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// silent is the error of a probe that did not get to say anything.
func (p *planner) silent(ctx context.Context, said said, found []candidate) error {
	what := found[0].Module
	if ctx.Err() != nil {
		if serving.MatchString(said.out + said.err) {
			return fmt.Errorf("%s starts a server of its own while it is imported: put that, such as app.run(), below if __name__ == \"__main__\"%s", what, block(said.err))
		}
		return fmt.Errorf("%s is still being imported: look for what it waits for%s", what, block(said.err))
	}
	fail := "it ended Python with status 0"
	if said.fail != nil {
		fail = said.fail.Error()
	}
	return fmt.Errorf("%s ends Python when it is imported (%s): remove what does that from the module%s", what, fail, block(said.err))
}

// serving is what development servers say when they have started.
var serving = regexp.MustCompile(`(?i)(running|serving|listening|server) (?:(?:http )?on|at) (?:port \d|https?:)`)

// block is the end of what a program has said, on lines of its own.
func block(text string) string {
	lines := strings.Split(strings.TrimRight(strings.TrimLeft(text, "\r\n"), " \t\r\n"), "\n") // the first may be indented
	if len(lines) > mostLines {
		lines = lines[len(lines)-mostLines:]
	}
	if text = strings.Join(lines, "\n"); text == "" {
		return ""
	}
	return "\n" + text
}

// mostLines is how much of a traceback an error has.
const mostLines = 15

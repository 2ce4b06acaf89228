package python

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// planner makes one plan.
type planner struct {
	Request

	plan Plan
	env  environment // of the workers, and of what is run to look
	look looker
}

func newPlanner(r Request) (*planner, error) {
	dir := cmp.Or(r.Dir, ".")
	if r.Dir == "" && r.Ini != "" {
		dir = filepath.Dir(r.Ini) // where uWSGI's Emperor starts its vassals
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := isDir(dir); err != nil {
		return nil, fmt.Errorf("directory of the app: %w: write the right one as chdir", err)
	}
	r.Dir = dir
	r.Processes, r.Threads = max(r.Processes, 1), max(r.Threads, 1)
	r.Most = max(r.Most, r.Processes)
	if r.Min <= 0 || r.Min > r.Processes {
		r.Min = r.Processes
	}
	p := &planner{Request: r, env: inherited(os.Environ(), r.User != nil, r.Env)}
	p.plan.Dir = dir
	p.look = looker{dir: dir, user: r.User}
	if r.Ini != "" {
		if p.Ini, err = filepath.Abs(r.Ini); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func isDir(path string) error {
	switch is, err := os.Stat(path); {
	case err != nil:
		return err
	case !is.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	}
	return nil
}

// chose tells what was found or chosen.
func (p *planner) chose(format string, args ...any) {
	p.plan.Chose = append(p.plan.Chose, fmt.Sprintf(format, args...))
}

// scales reports whether the number of processes is to change.
func (p *planner) scales() bool { return p.Min < p.Processes || p.Processes < p.Most }

// anApp plans for Request.App.
func (p *planner) anApp(ctx context.Context) error {
	found, err := p.candidates()
	if err != nil {
		return err
	}
	interpreter, err := p.interpreter(ctx)
	if err != nil {
		return err
	}
	dropRacyBytecode(p.plan.Dir)
	if err := p.probe(ctx, interpreter, found); err != nil {
		return err
	}
	p.warnDotenv()
	if err := p.server(ctx, interpreter); err != nil {
		return err
	}
	if p.plan.App.Dir != p.plan.Dir { // a src directory, or that of a file
		p.env.prepend("PYTHONPATH", p.plan.App.Dir)
	}
	p.plan.Slots = p.Processes * p.Threads
	p.plan.Env = p.env.list()
	return nil
}

// warnDotenv tells that a .env file is for development.
func (p *planner) warnDotenv() {
	if _, err := os.Stat(filepath.Join(p.plan.Dir, ".env")); err == nil {
		p.chose(".env is not loaded into the workers: give what they need as env")
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

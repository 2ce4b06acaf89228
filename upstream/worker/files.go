package worker

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"headgate/upstream/worker/watch"
)

// files is what watches the files of an app. The zero value watches none. It
// belongs to the goroutine of Run.
type files struct {
	dirs []string // that are watched
	app  string   // the directory of the app that was found last
	stop context.CancelFunc
}

// follow watches the directories that the options and the plan of r name.
func (f *files) follow(ctx context.Context, r *runner) {
	dirs := r.directories()
	if slices.Equal(dirs, f.dirs) {
		return
	}
	f.end()
	if f.dirs = dirs; len(dirs) == 0 {
		return
	}
	ctx, f.stop = context.WithCancel(ctx)
	r.work.Go(func() {
		err := r.world.watch(ctx, watch.Setup{
			Dirs: dirs, Skip: skipDir, Match: matchFile,
			Ready: func() { r.log.Debug("files are watched", "dirs", dirs) },
			Found: func(files []string) {
				if ctx.Err() == nil {
					r.filesChanged(files)
				}
			},
			Error: func(err error, polling bool) {
				r.log.Warn("files are not watched as they should be", "err", err, "polling", polling)
			},
		})
		if err != nil && ctx.Err() == nil {
			r.log.Error("files are not watched", "err", err)
		}
	})
}

func (f *files) end() {
	if f.stop != nil {
		f.stop()
	}
	f.stop, f.dirs = nil, nil
}

// directories are those with files of the app, sorted.
func (r *runner) directories() []string {
	if !r.wanted.Watch {
		return nil
	}
	dirs := []string{r.wanted.Chdir}
	if r.wanted.Ini != "" {
		dirs = append(dirs, filepath.Dir(r.wanted.Ini))
	}
	if r.phase == phaseReady {
		r.watching.app = r.current.plan.App.Dir
	}
	if r.watching.app != "" { // once it is known, a mistake does not make it unknown
		dirs = append(dirs, r.watching.app)
	}
	for i, d := range dirs {
		if absolute, err := filepath.Abs(d); err == nil {
			dirs[i] = absolute
		}
	}
	slices.Sort(dirs)
	return outermost(dirs)
}

// outermost leaves out what is below another one. dirs are sorted.
func outermost(dirs []string) (out []string) {
	for _, d := range dirs {
		if !slices.ContainsFunc(out, func(o string) bool { return d == o || strings.HasPrefix(d, strings.TrimSuffix(o, "/")+"/") }) {
			out = append(out, d)
		}
	}
	return out
}

// skipDir leaves out what is not the app's own, or is written while it runs.
func skipDir(dir string) bool {
	name := filepath.Base(dir)
	switch name {
	case "node_modules", "__pycache__", "site-packages", "venv", "env", "media", "staticfiles":
		return true
	}
	return strings.HasPrefix(name, ".")
}

// matchFile reports whether new workers would read a file that has changed, as far
// as its name shows.
func matchFile(file string) bool {
	name := filepath.Base(file)
	if name == ".env" {
		return true
	}
	if strings.HasPrefix(name, ".") { // as editors name what they have not finished
		return false
	}
	switch filepath.Ext(name) {
	case ".py", ".html", ".jinja", ".jinja2", ".j2", ".mo", ".toml", ".ini", ".cfg", ".yaml", ".yml":
		return true
	}
	return false
}

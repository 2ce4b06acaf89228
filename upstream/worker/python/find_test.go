package python_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"headgate/upstream/worker/python"
)

const (
	wsgiApp  = "def application(e, s):\n    s('200 OK', [])\n    return [b'hello']\n"
	flaskApp = "import flask\napp = flask.Flask(__name__)\n@app.route('/')\ndef index():\n    return 'hello'\n"
	factory  = "import flask\ndef create_app():\n    app = flask.Flask(__name__)\n    app.route('/')(lambda: 'hello')\n    return app\n"
)

// TestFinds: layouts of projects, and what is found in them.
func TestFinds(t *testing.T) {
	needs(t, "flask")
	for _, c := range []struct {
		name   string
		files  files
		app    string
		env    map[string]string
		target string
		dir    string // relative
		chose  string
	}{
		{"a file", files{"app.py": wsgiApp}, ".", nil, "app:application", ".", "found app.py"},
		{"a file that is named", files{"deep/er/x.py": wsgiApp}, "./deep/er/x.py", nil, "x:application", "deep/er", "given"},
		{"a file with its callable", files{"x.py": flaskApp}, "x.py:app", nil, "x:app", ".", "given"},
		{"a file with its factory", files{"x.py": factory}, "x.py:create_app()", nil, "x:create_app()", ".", "given"},
		{"a file in a package", files{"shop/__init__.py": "", "shop/web/__init__.py": "", "shop/web/w.py": wsgiApp}, "shop/web/w.py", nil, "shop.web.w:application", ".", "given"},
		{"a module", files{"shop/__init__.py": "", "shop/wsgi.py": wsgiApp}, "shop.wsgi", nil, "shop.wsgi:application", ".", "given"},
		{"a module and its callable", files{"shop.py": wsgiApp + "other = application"}, "shop:other", nil, "shop:other", ".", "given"},
		{"a callable in an object", files{"shop.py": wsgiApp + "class O: pass\no = O()\no.x = application"}, "shop:o.x", nil, "shop:o.x", ".", "given"},
		{"a factory with arguments", files{"shop.py": "def make(a, b=1):\n" + strings.ReplaceAll("    "+wsgiApp, "\n", "\n    ") + "\n    return application"}, "shop:make('x', b=2)", nil, "shop:make('x', b=2)", ".", ""},
		{"a factory of itself", files{"wsgi.py": factory}, ".", nil, "wsgi:create_app()", ".", "found wsgi.py"},
		{"the only Flask", files{"main.py": strings.ReplaceAll(flaskApp, "app", "site")}, ".", nil, "main:site", ".", "found main.py"},
		{"wsgi.py first", files{"app.py": flaskApp, "wsgi.py": "from app import app"}, ".", nil, "wsgi:app", ".", "found wsgi.py"},
		{"app.py has none", files{"app.py": "x = 1", "main.py": wsgiApp}, ".", nil, "main:application", ".", "app has no app"},
		{"src", files{"src/app.py": wsgiApp}, ".", nil, "app:application", "src", "found src/app.py"},
		{"a package in src", files{"src/shop/__init__.py": "", "src/shop/wsgi.py": wsgiApp}, "shop.wsgi", nil, "shop.wsgi:application", "src", "given"},
		{"the only package", files{"shop/__init__.py": flaskApp, "tests/__init__.py": ""}, ".", nil, "shop:app", ".", "found package shop"},
		{"pyproject says it", files{"pyproject.toml": "[tool.headgate]\napp = \"x.y:z\"\n", "x/y.py": wsgiApp + "z = application", "app.py": "1/0"}, ".", nil, "x.y:z", ".", "pyproject.toml says"},
		{"pyproject's name", files{"pyproject.toml": "[project]\nname = 'my-shop'\n", "src/my_shop/__init__.py": "", "src/my_shop/app.py": factory}, ".", nil, "my_shop.app:create_app()", "src", "project my_shop"},
		{"FLASK_APP", files{"one.py": factory, "app.py": "1/0"}, ".", map[string]string{"FLASK_APP": "one"}, "one:create_app()", ".", "FLASK_APP in the environment"},
		{"FLASK_APP is a factory", files{"one.py": strings.ReplaceAll(factory, "create_app", "build")}, ".", map[string]string{"FLASK_APP": "one:build"}, "one:build()", ".", "FLASK_APP"},
		{"a factory without its ()", files{"one.py": strings.ReplaceAll(factory, "create_app()", "create_app(a=1, b=2)")}, "one:create_app", nil, "one:create_app()", ".", "given"},
		{"FLASK_APP of .flaskenv", files{"one.py": factory, ".flaskenv": "# x\nexport FLASK_APP=\"one.py:create_app()\"\n"}, ".", nil, "one:create_app()", ".", "FLASK_APP in .flaskenv"},
		{"a directory", files{"site/app.py": wsgiApp}, "site", nil, "app:application", "site", "found app.py"},
		{"what it prints", files{"app.py": "import os,sys\nprint('{\"tries\": []}')\nos.write(1, b'x' * 200000)\nsys.stderr.write('y')\n" + wsgiApp}, ".", nil, "app:application", ".", ""},
		{"threads and processes it leaves", files{"app.py": "import threading,subprocess\nthreading.Thread(target=threading.Event().wait).start()\nsubprocess.Popen(['sleep', '100'])\n" + wsgiApp}, ".", nil, "app:application", ".", ""},
		{"what is installed", nil, "flask.testing:FlaskClient", nil, "flask.testing:FlaskClient", ".", "flask.testing is from /"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := c.files.write(t)
			p, err := plan(t, python.Request{App: c.app, Dir: dir, Env: c.env, Server: python.Builtin})
			if err != nil {
				t.Fatal(err)
			}
			if p.App.Target != c.target || p.App.Dir != filepath.Join(dir, c.dir) {
				t.Errorf("found %s in %s, want %s in %s", p.App.Target, p.App.Dir, c.target, c.dir)
			}
			contains(t, "chose", strings.Join(p.Chose, "\n"), c.chose)
			if p.App.Dir != p.Dir {
				contains(t, "environment", strings.Join(p.Env, "\n"), "PYTHONPATH="+p.App.Dir)
			}
		})
	}
}

// TestFindsNot: what is wrong, and what the error says.
func TestFindsNot(t *testing.T) {
	needs(t, "flask")
	for _, c := range []struct {
		name  string
		files files
		app   string
		want  []string
	}{
		{"another name", files{"clean.py": "print('it would remove files')\n", "hello.py": pidApp}, ".", []string{"no app is in", "but hello.py, clean.py: name the file", "such as hello.py"}},
		{"nothing", files{"README": ""}, ".", []string{"no app is in", "manage.py", "write module:callable"}},
		{"several packages", files{"a/wsgi.py": "", "b/app.py": ""}, ".", []string{"several apps", "a, b", "name one"}},
		{"several apps", files{"app.py": strings.ReplaceAll(flaskApp, "app", "one") + "two = flask.Flask('x')"}, ".", []string{"app has several apps (one, two)", "name one, as app: app:one"}},
		{"no app", files{"app.py": "def serve(x): pass"}, ".", []string{"app has no WSGI app", "but serve"}},
		{"no callable of that name", files{"app.py": wsgiApp}, "app:app", []string{"app has no app, but application"}},
		{"no callable", files{"app.py": "app = 1"}, "app:app", []string{"is no WSGI app, but of type int"}},
		{"no expression", files{"app.py": wsgiApp}, "app:application[0]", []string{"is not the name of a callable"}},
		{"a factory with arguments", files{"app.py": "def create_app(x): pass"}, ".", []string{"app:create_app() cannot be called (missing a required argument: 'x')", "write a module"}},
		{"ASGI", files{"app.py": "async def app(scope, receive, send): pass"}, ".", []string{"app:app is an ASGI app", "headgate up --protocol http -- uvicorn app:app"}},
		{"ASGI, an object", files{"app.py": "class A:\n    async def __call__(self, scope, receive, send): pass\napplication = A()"}, "app:application", []string{"is an ASGI app"}},
		{"a missing module", files{"app.py": "import nosuch.thing", "requirements.txt": "nosuch"}, ".", []string{"app cannot be imported (ModuleNotFoundError: No module named 'nosuch')", "-m pip install -r requirements.txt", `app.py", line 1`, "import nosuch"}},
		{"a missing module, uv", files{"app.py": "import nosuch", "uv.lock": ""}, ".", []string{"uv sync"}},
		{"itself is missing", files{"app.py": wsgiApp}, "shop.wsgi", []string{"No module named 'shop'", "or the right chdir"}},
		{"bad syntax", files{"app.py": "def (:"}, ".", []string{"SyntaxError", "correct ", "app.py:1"}},
		{"it exits", files{"app.py": "import sys\nsys.exit('no way')"}, ".", []string{"SystemExit: no way", "__main__"}},
		{"it ends Python", files{"app.py": "import os, sys\nsys.stderr.write('bye')\nsys.stderr.flush()\nos._exit(7)"}, ".", []string{"app ends Python", "exit status 7", "bye"}},
		{"it raises", files{"app.py": "def f():\n    raise ValueError('bad thing')\nf()"}, ".", []string{"(ValueError: bad thing)", "Traceback", "in f"}},
		{"a factory raises", files{"app.py": "def create_app():\n    raise ValueError('bad thing')"}, ".", []string{"(ValueError: bad thing)", "in create_app"}},
		{"a variable is missing", files{"app.py": "import os\nos.environ['SECRET_SAUCE']"}, ".", []string{"give SECRET_SAUCE as env"}},
		{"a name of Python's", files{"site.py": wsgiApp}, "site.py", []string{"site was imported from", "rename the file"}},
		{"no file", nil, "x/y.py", []string{"no such file", "write module:callable"}},
		{"not Python", files{"x/y.txt": ""}, "x/y.txt", []string{"whose name ends in .py"}},
		{"no name", nil, "a-b.c:d", []string{"cannot be the name of a module"}},
		{"nothing at all", nil, ":app", []string{"names no module"}},
		{"a directory with a callable", files{"x/app.py": ""}, "./x:app", []string{"is a directory"}},
		{"FLASK_APP is not there", files{".flaskenv": "FLASK_APP=no.py"}, ".", []string{"FLASK_APP in .flaskenv", "is not there"}},
		{"pyproject is wrong", files{"pyproject.toml": "[tool.headgate]\napp='a b'"}, ".", []string{"[tool.headgate]", "cannot be the name"}},
		{"manage.py says nothing", files{"manage.py": ""}, ".", []string{"does not say DJANGO_SETTINGS_MODULE"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := plan(t, python.Request{App: c.app, Dir: c.files.write(t), Server: python.Builtin})
			if err == nil {
				t.Fatal("no error")
			}
			contains(t, "error", err.Error(), c.want...)
			for _, own := range []string{"<string>", "importlib", "%!"} {
				if strings.Contains(err.Error(), own) {
					t.Errorf("%s in %v", own, err)
				}
			}
			if lines := strings.Count(err.Error(), "\n"); lines > 15 {
				t.Errorf("%d lines: %v", lines, err)
			}
		})
	}
}

func TestLongTraceback(t *testing.T) {
	t.Parallel()
	needs(t)
	dir := files{"app.py": "def f(n):\n    g(n)\ndef g(n):\n    f(n - 1) if n else 1/0\nf(30)"}.write(t)
	_, err := plan(t, python.Request{App: ".", Dir: dir})
	if err == nil || strings.Count(err.Error(), "\n") != 15 || !strings.HasSuffix(err.Error(), "ZeroDivisionError: division by zero") {
		t.Error(err)
	}
}

// startProject makes a Django project as Django does.
func startProject(t *testing.T) string {
	t.Helper()
	needs(t, "django")
	dir := shortDir(t)
	cmd := exec.Command("python3", "-m", "django", "startproject", "shop", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

func TestDjango(t *testing.T) {
	t.Parallel()
	dir := startProject(t)
	p := mustPlan(t, python.Request{App: ".", Dir: dir, Server: python.Builtin})
	if p.App.Target != "shop.wsgi:application" || !strings.HasPrefix(p.App.Framework, "Django ") || len(p.App.Static) != 0 {
		t.Errorf("%+v", p.App)
	}
	contains(t, "chose", strings.Join(p.Chose, "\n"), "found manage.py: Django project shop")
	contains(t, "chose", strings.Join(p.Chose, "\n"), "DEBUG is on")
	add(t, filepath.Join(dir, "collected/x.css"), "")
	add(t, filepath.Join(dir, "shop/settings.py"), "\nSTATIC_ROOT = BASE_DIR / 'collected'\n")
	if p = mustPlan(t, python.Request{App: ".", Dir: dir, Server: python.Builtin}); len(p.App.Static) != 0 || p.App.Wrap == "" {
		t.Errorf("what was collected once is old while DEBUG is on: %+v", p.App)
	}
	add(t, filepath.Join(dir, "shop/settings.py"), "\nDEBUG = False\nWSGI_APPLICATION = 'other.site'\n")
	add(t, filepath.Join(dir, "other.py"), "from shop.wsgi import application as site\n")
	p = mustPlan(t, python.Request{App: dir, Dir: "/", Server: python.Builtin})
	if p.App.Target != "other:site" || len(p.App.Static) != 1 || p.App.Static[0] != (python.Static{URL: "/static/", Dir: dir + "/collected"}) || p.App.Wrap != "" || p.Dir != dir {
		t.Errorf("%+v in %s", p.App, p.Dir)
	}
	add(t, filepath.Join(dir, "shop/settings.py"), "\nSTATIC_URL = 'https://cdn.example.com/'\n")
	if p = mustPlan(t, python.Request{App: "manage.py", Dir: dir, Server: python.Builtin}); len(p.App.Static) != 0 {
		t.Errorf("%+v", p.App)
	}
	_, err := plan(t, python.Request{App: ".", Dir: dir, Env: map[string]string{"DJANGO_SETTINGS_MODULE": "shop.production"}})
	if err == nil || !strings.Contains(err.Error(), "No module named 'shop.production'") {
		t.Error(err)
	}
	_, err = plan(t, python.Request{App: "shop.asgi", Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "shop.asgi:application is an ASGI app") {
		t.Error(err)
	}
	if p = mustPlan(t, python.Request{App: ".", Dir: filepath.Dir(moved(t, dir)), Server: python.Builtin}); filepath.Base(p.Dir) != "backend" {
		t.Error(p.Dir)
	}
}

func TestFlaskStatic(t *testing.T) {
	t.Parallel()
	needs(t, "flask")
	dir := files{"app.py": flaskApp, ".env": "A=b"}.write(t)
	p := mustPlan(t, python.Request{App: ".", Dir: dir, Server: python.Builtin})
	if !strings.HasPrefix(p.App.Framework, "Flask ") || len(p.App.Static) != 0 {
		t.Errorf("%+v", p.App)
	}
	contains(t, "chose", strings.Join(p.Chose, "\n"), ".env is not loaded")
	add(t, filepath.Join(dir, "static/x.css"), "")
	add(t, filepath.Join(dir, "wsgi.py"), "from app import app\nclass M:\n    def __init__(self, app): self.app = app\n    def __call__(self, e, s): return self.app(e, s)\nin_it = app\napplication = M(app.wsgi_app)\n")
	for _, app := range []string{"app", "wsgi"} {
		if p = mustPlan(t, python.Request{App: app, Dir: dir, Server: python.Builtin}); len(p.App.Static) != 1 || p.App.Static[0] != (python.Static{URL: "/static/", Dir: dir + "/static"}) {
			t.Errorf("%+v", p.App)
		}
	}
	add(t, filepath.Join(dir, "app.py"), "app.static_url_path = ''\n")
	if p = mustPlan(t, python.Request{App: "app", Dir: dir, Server: python.Builtin}); len(p.App.Static) != 0 {
		t.Errorf("%+v", p.App)
	}
}

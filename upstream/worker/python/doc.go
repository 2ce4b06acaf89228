// Package python finds WSGI apps, the Python that they need, and the server that is
// to run them: uWSGI, gunicorn 25.2 or newer, or the one of package builtin.
//
//	plan, err := python.NewPlan(ctx, python.Request{App: "shop.wsgi:application", Dir: "/srv/shop", Processes: 4, ...})
//
// Files say where an app may be; whether it is one is found out by importing it, once,
// in its own Python and with the environment of the workers (probe.py). What that Python
// is, which server fits it and what its version is, they are asked themselves. Nothing
// goes through a shell, but for the one line that tells a process its own number. Unix
// only.
package python

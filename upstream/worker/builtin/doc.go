// Package builtin carries a WSGI server (PEP 3333) that speaks the uwsgi protocol and
// needs nothing but Python 3.8: one file, server.py, with processes that are forked
// before requests come, and threads in each.
//
//	cmd := exec.Command("python3", builtin.Command(4, builtin.Options{App: "blog:app", FD: 3, Processes: 2})...)
//	cmd.ExtraFiles = []*os.File{socket, script} // 3 and 4; script is a file with Script in it
//
// The first process, the master, starts, counts and replaces the others, which import
// the app, each for itself. It ends gracefully by SIGTERM and SIGINT, at once by
// SIGQUIT; SIGTTIN and SIGTTOU make it one process more or fewer; SIGHUP and SIGUSR1
// are ignored. Its workers end when it does, even by SIGKILL.
//
// What an app sees is what uWSGI shows it, but for the variables UWSGI_*, of which only
// UWSGI_SCHEME comes through. There is one request for each connection. A response
// without a Content-Length is chunked, so one that breaks off is known to have.
package builtin

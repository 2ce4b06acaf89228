// Package uwsgi speaks the uwsgi protocol to WSGI servers: uWSGI, and gunicorn
// with --protocol uwsgi. The protocol's page is
// https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html; where the servers
// do otherwise, what they do counts.
//
//	addr, err := uwsgi.ParseAddress("unix:/run/app.sock")
//	t, err := uwsgi.NewTransport(addr, uwsgi.Options{})
//	resp, err := t.Do(ctx, &uwsgi.Request{
//		Method: "GET", Proto: "HTTP/1.1", Scheme: "http", Host: "localhost",
//		URI: "/", PathInfo: "/", Header: uwsgi.HeaderFields(header),
//	})
//	defer resp.Body.Close()
//
// A [Transport] speaks to one member and is an http.RoundTripper too. An
// [Encoder] makes the packet of a request, [AppendVar] and [ParseVars] are the
// codec below it, and a [Spooler] takes in a body of unknown length, because
// the protocol tells the length first. Options that come from people are to
// pass [Options.Validate].
//
// Whoever has more than one request to give looks with [Transport.Reach],
// [Transport.Ping] and [Transport.Check] whether a member is there and fit, and
// with [Transport.Load] and [ReadStats] how many requests it runs at once. What
// an [Error] proves it says by its methods: Unsent, Away, Full, Timeout, Blameless.
//
// # What a worker is told
//
// The variables are those of CGI (RFC 3875) as nginx's uwsgi_params has them,
// and SCRIPT_NAME and UWSGI_SCHEME; DOCUMENT_ROOT is not among them. Each name
// is sent once. Values of a repeated header are joined by ", ", those of Cookie
// by "; ". Headers of the connection, and those whose name has "_" or "." in it,
// stay behind. A worker believes what it is told, so nothing of a client gets
// a name without HTTP_ before it.
//
// # What a failure proves
//
// Who closes a unix socket in which something is unread resets it, and one whose
// variables were not read has run nothing. So that this holds for requests with a
// body too the body is held back, on unix sockets of Linux, until the kernel says
// that the variables were read. By TCP the kernel of the other side takes what
// nobody reads: the body goes with the variables, and a reset proves nothing.
//
// # Limits
//
// A packet carries 65535 bytes of variables. uWSGI takes 128 of them, gunicorn
// 1000, and uWSGI only as many bytes as its buffer-size, 4096 unless configured,
// which it does not tell. There is no request body of unknown length, and no
// trailer. gunicorn ignores SCRIPT_NAME and every variable that is not a header
// of the request.
package uwsgi

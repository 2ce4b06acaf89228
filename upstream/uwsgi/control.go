package uwsgi

import (
	"errors"
	"fmt"
	"strings"
)

// checkVar returns an error if a configuration may not set a variable. What
// reaches a worker as a variable is believed by it and by the app, so the rule
// is: nothing that makes the worker load, run or read something, nothing that
// says who the client is, and nothing that Headgate says itself. The values of
// a configuration are its operator's, but they are constants, and most of these
// names are only right when they follow the request.
//
// What remains is what operators do set: settings of the app
// (DJANGO_SETTINGS_MODULE), private names (shop.tenant), and headers
// (HTTP_X_TENANT), which replace the client's.
func checkVar(key, value string, o *Options) error {
	if err := checkName(key); err != nil {
		return err
	}
	if len(value) > MaxVarsBytes {
		return fmt.Errorf("the value has %d bytes and a packet carries %d; put it into a file or the worker's environment", len(value), MaxVarsBytes)
	}
	if strings.ContainsAny(value, "\x00\r\n") {
		return errors.New("has a line break or a NUL in its value, with which an app could be made to write other headers; take it out")
	}
	if err := checkControl(key, value, o.Modifier1); err != nil {
		return err
	}
	if o.Dialect == DialectGunicorn && !strings.HasPrefix(key, "HTTP_") {
		return errors.New("gunicorn hands only HTTP_ variables on to the app; set it in the environment of gunicorn instead")
	}
	return nil
}

// checkName allows the names that mean the same to every server.
func checkName(key string) error {
	switch {
	case key == "":
		return errors.New("a variable needs a name; uWSGI drops requests in which one has none")
	case len(key) > 255:
		return fmt.Errorf("the name has %d bytes; 255 is the most that every server takes", len(key))
	}
	for _, c := range []byte(key) {
		if c == '.' || c == '_' || c == '-' || upper(c) != 0 {
			continue
		}
		return fmt.Errorf("the name has the byte %q in it; write letters, digits, \"_\", \"-\" and \".\" only", c)
	}
	if big := strings.ToUpper(key); strings.HasPrefix(big, "HTTP_") && strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return fmt.Errorf("is not how a header is spelled as a variable; write %s", strings.NewReplacer("-", "_", ".", "_").Replace(big))
	}
	return nil
}

// checkControl knows the names that have a meaning to a server or to WSGI. It
// does not look at upper and lower case, so that nobody relies on a server that
// does.
func checkControl(key, value string, modifier1 int) error {
	big := strings.ToUpper(key)
	switch {
	case big == "UWSGI_SCHEME":
		return errors.New("comes from the request; if TLS ends in front of Headgate, name that proxy in trusted_proxies")
	case strings.HasPrefix(big, "UWSGI_"):
		return errors.New("is a control variable: with these a request makes uWSGI load code, read files or change its environment; set it in the worker's own configuration")
	case strings.HasPrefix(big, "WSGI.") || strings.HasPrefix(big, "UWSGI.") || strings.HasPrefix(big, "X-WSGIORG."):
		return errors.New("is a name that the server itself gives the app; take it out")
	case identity(big):
		return errors.New("says who the client is, and as a constant it would say so of every client; let the app log in its users, or pass a header of another name")
	case big == "DOCUMENT_ROOT" || big == "SCRIPT_FILENAME" || big == "PATH_TRANSLATED":
		return checkFileVar(modifier1)
	case big == "HTTP_PROXY" && value != "":
		return errors.New("directs the requests that the app itself makes (httpoxy); set http_proxy in the worker's environment")
	case forwarded(big):
		return errors.New("comes from the connection; name the proxies in front of it in trusted_proxies")
	case frames(big):
		return errors.New("says where the body or the connection ends, which only Headgate knows; take it out")
	case big == "SCRIPT_NAME":
		return errors.New("comes from the route; write mount: on the route")
	case big == "HTTP_HOST" || big == "SERVER_NAME":
		return errors.New("comes from the request, whose host is one of the site's hosts; take it out")
	case ofRequest(big):
		return errors.New("comes from the request; take it out")
	}
	return nil
}

// checkFileVar is for the variables that choose a file. A CGI or PHP plugin
// cannot do without; a Python worker needs none, and with check-static-docroot
// it would give every file below to everybody.
func checkFileVar(modifier1 int) error {
	switch modifier1 {
	case 9, 14, 19: // CGI, PHP, SSI
		return nil
	}
	return errors.New("chooses files, which only the plugins for CGI, PHP and SSI need (modifier1 9, 14 or 19); take it out, and serve files with a files: route")
}

// identity reports whether a variable is a fact of authentication.
func identity(key string) bool {
	switch key {
	case "REMOTE_USER", "REMOTE_IDENT", "REMOTE_HOST", "AUTH_TYPE":
		return true
	}
	return strings.HasPrefix(key, "SSL_") || strings.HasPrefix(key, "HTTPS_")
}

// forwarded reports whether a variable is what a proxy says of the client.
// HTTP_X_FORWARDED_PREFIX is not among these: it is a constant.
func forwarded(key string) bool {
	switch key {
	case "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST",
		"HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_SSL", "HTTP_X_REAL_IP":
		return true
	}
	return false
}

// ofRequest reports whether a variable is made of every request.
func ofRequest(key string) bool {
	switch key {
	case "QUERY_STRING", "REQUEST_METHOD", "CONTENT_TYPE", "REQUEST_URI", "PATH_INFO", "SERVER_PROTOCOL",
		"REQUEST_SCHEME", "HTTPS", "REMOTE_ADDR", "REMOTE_PORT", "SERVER_PORT":
		return true
	}
	return false
}

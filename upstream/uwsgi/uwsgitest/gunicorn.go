package uwsgitest

import (
	"fmt"
	"strings"
)

// What gunicorn says of the connection.
const (
	KeepAlive = "keep-alive"
	Close     = "close"
)

// Gunicorn returns the bytes of gunicorn's answer with a counted body.
func Gunicorn(connection, body string) string {
	return gunicornHead(connection) + fmt.Sprintf("Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// GunicornChunked returns its answer for an app that gives no length.
func GunicornChunked(connection string, chunks ...string) string {
	var b strings.Builder
	b.WriteString(gunicornHead(connection) + "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n")
	for _, c := range chunks {
		fmt.Fprintf(&b, "%X\r\n%s\r\n", len(c), c)
	}
	b.WriteString("0\r\n\r\n")
	return b.String()
}

func gunicornHead(connection string) string {
	return "HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nConnection: " + connection + "\r\n"
}

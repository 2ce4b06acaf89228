// Package uwsgitest has a scripted worker: the other end of the uwsgi protocol
// on a real socket, which does what a test tells it to.
//
//	w := uwsgitest.Start(t, func(c *uwsgitest.Conn) {
//		r := c.Receive()
//		c.Send("HTTP/1.1 200 OK\r\n\r\nhello " + r.Var("PATH_INFO"))
//	})
//	transport, err := uwsgi.NewTransport(w.Addr(), uwsgi.Options{})
//
// Each connection runs the script in a goroutine of its own and is closed when
// the script returns. The end of the test stops the worker and waits for them.
package uwsgitest

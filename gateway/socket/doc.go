// Package socket is the connection under the engines that speak HTTP: a net.Conn
// whose timers are touched only when a call has to wait, and which tells of a
// client that goes away without a goroutine that watches it.
//
//	var hangups socket.Hangups
//	go hangups.Run(ctx)
//	c := socket.New(accepted, &hangups)
//	c.SetReadTimeout(time.Minute) // of every Read, costs nothing while data is there
//	b, err := c.ReadLent(buffers) // takes a buffer once there is something to read
//	c.OnHangup(cancel)            // epoll tells, not a read
//	c.WriteBuffers(&head)         // one writev
//	c.SendFile(head, f, 0, size)  // sendfile, behind the head
//
// The fast way is for *net.TCPConn on Linux. On every other connection and system
// the same guarantees hold by plain means, except where a method says otherwise.
package socket

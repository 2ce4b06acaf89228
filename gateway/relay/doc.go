// Package relay lets a worker give its answer at its own speed while the client
// takes it at its own: memory first, then a file without a name.
//
//	room := relay.NewRoom(48<<20, open)  // one for the process
//	b := room.New(relay.Limits{})
//	go func() { b.Fill(ctx, worker) }()  // reads to the end as fast as the worker gives
//	for {
//		p, err := b.Next(ctx)        // as fast as the client takes
//		client.Write(p)
//	}
//
// What has come is handed on at once: nothing waits for a buffer to be full.
// One goroutine fills and one takes. When memory and file are used up, or the
// disk is full, Fill waits, and the worker with it, until the client
// has taken some: nothing is lost.
package relay

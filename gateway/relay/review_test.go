package relay_test

import (
	"io"
	"testing"
	"testing/synctest"

	"headgate/gateway/relay"
)

// TestEmptyBehindAFullChunk: what has come is flushed also when it ends where
// the memory that it came in does.
func TestEmptyBehindAFullChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := relay.NewRoom(1<<20, openIn("/nonexistent")).New(relay.Limits{})
		pr, pw := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- b.Fill(t.Context(), pr) }()
		if _, err := pw.Write(make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // Fill waits for more
		p, err := b.Next(t.Context())
		if len(p) != 32<<10 || err != nil {
			t.Fatalf("Next = %d bytes, %v", len(p), err)
		}
		if !b.Empty() {
			t.Error("Empty = false, and Next would wait")
		}
		pw.Close()
		<-done
		b.Close()
	})
}

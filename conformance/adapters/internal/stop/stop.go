// Package stop is how an adapter learns that it has to end.
package stop

import (
	"context"
	"io"
	"os"
	"os/signal"
	"time"
)

// Wait waits for an interrupt or the end of the standard input. The context that it returns is
// for ending, which has some seconds.
func Wait() (context.Context, context.CancelFunc) {
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case <-interrupt:
	case <-ended:
	}
	return context.WithTimeout(context.Background(), 5*time.Second)
}

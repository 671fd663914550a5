package main

import (
	"bufio"
	"context"
	"io"
	"sync"
	"time"
)

// flushEvery is how long a line of the access log may wait in memory.
const flushEvery = time.Second

// bufferedLog collects log lines, so that a request does not wait for a write
// call of its own. It is safe for concurrent use.
type bufferedLog struct {
	mu  sync.Mutex
	out *bufio.Writer
}

func newBufferedLog(w io.Writer) *bufferedLog {
	return &bufferedLog{out: bufio.NewWriterSize(w, 32<<10)}
}

// Write takes one line. No line is cut in two: the service logs to the same
// place, and would write in between.
func (l *bufferedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(p) > l.out.Available() {
		_ = l.out.Flush()
	}
	return l.out.Write(p)
}

func (l *bufferedLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.out.Flush() // nowhere left to say that the log cannot be written
}

// run flushes every second until ctx ends.
func (l *bufferedLog) run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush()
			return
		case <-tick.C:
			l.flush()
		}
	}
}

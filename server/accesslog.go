package server

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// LogBuffer collects lines and writes them together: a line for each request
// is cheap that way. It is safe for concurrent use.
type LogBuffer struct {
	mu   sync.Mutex
	w    *bufio.Writer
	err  error
	stop chan struct{}
	done chan struct{}
}

// logBufferSize is when lines go out before their time.
const logBufferSize = 64 << 10

// NewLogBuffer returns a LogBuffer that writes to w when it is full, and every
// interval. Close ends it.
func NewLogBuffer(w io.Writer, interval time.Duration) *LogBuffer {
	b := &LogBuffer{w: bufio.NewWriterSize(w, logBufferSize), stop: make(chan struct{}), done: make(chan struct{})}
	go b.run(interval)
	return b
}

func (b *LogBuffer) run(interval time.Duration) {
	defer close(b.done)
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = b.Flush() // Close reports it
		case <-b.stop:
			return
		}
	}
}

// Write takes one line.
func (b *LogBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.w.Write(line)
}

// Flush writes what was collected. The error is the writer's.
func (b *LogBuffer) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.w.Flush(); err != nil {
		b.err = err
	}
	return b.err
}

// Close writes the rest and ends the LogBuffer. The error is the first that the
// writer gave. It must be called once.
func (b *LogBuffer) Close() error {
	close(b.stop)
	<-b.done
	return b.Flush()
}

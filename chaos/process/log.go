package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"sync"
)

// keepLines is how much of the log String returns.
const keepLines = 40

// Log keeps what the program logs, and finds in it where it listens.
type Log struct {
	serving chan serving
	done    chan struct{} // closed when the program closed its log
	mu      sync.Mutex
	lines   [][]byte
	all     bytes.Buffer
	raced   bool
}

// serving is what the program says when it listens.
type serving struct{ Msg, Address, SMTP string }

func follow(stderr io.Reader) *Log {
	l := &Log{serving: make(chan serving, 1), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		scanner := bufio.NewScanner(stderr)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			l.add(bytes.Clone(scanner.Bytes()))
		}
	}()
	return l
}

func (l *Log) add(line []byte) {
	l.mu.Lock()
	l.all.Write(append(line, '\n'))
	l.raced = l.raced || bytes.Contains(line, []byte("WARNING: DATA RACE"))
	l.mu.Unlock()
	var entry serving
	if json.Unmarshal(line, &entry) == nil {
		switch entry.Msg {
		case "serving":
			l.serving <- entry
		case "request": // polling would leave nothing else
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	l.lines = l.lines[max(0, len(l.lines)-keepLines):]
}

// String returns the end of the log, without the requests.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.Join(l.lines, []byte("\n")))
}

// Raced reports whether the race detector has found something; it never does
// in a program without it.
func (l *Log) Raced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.raced
}

// Whole returns all that was logged so far.
func (l *Log) Whole() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.all.Bytes())
}

package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// chunks keeps each write by itself.
type chunks [][]byte

func (c *chunks) Write(p []byte) (int, error) {
	*c = append(*c, bytes.Clone(p))
	return len(p), nil
}

// TestBufferedLogCutsNoLine writes more than the buffer holds: whatever another
// log writes in between, each line is whole.
func TestBufferedLogCutsNoLine(t *testing.T) {
	var out chunks
	log, want := newBufferedLog(&out), ""
	for n := range 1000 {
		line := fmt.Sprintf("%d %s\n", n, strings.Repeat("x", n%301))
		if n == 500 {
			line = strings.Repeat("y", 100<<10) + "\n"
		}
		want += line
		if _, err := fmt.Fprint(log, line); err != nil {
			t.Fatal(err)
		}
	}
	log.flush()
	if got := string(bytes.Join(out, nil)); got != want {
		t.Errorf("%d octets, want %d", len(got), len(want))
	}
	for _, chunk := range out {
		if !bytes.HasSuffix(chunk, []byte("\n")) {
			t.Errorf("a write ends within a line: …%s", chunk[max(0, len(chunk)-40):])
		}
	}
	if len(out) > 20 {
		t.Errorf("%d writes", len(out))
	}
}

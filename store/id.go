package store

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// idEpoch is where the time in an id starts: 41 bits of milliseconds from here
// reach into 2093.
var idEpoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// ids makes ids that grow with time, so that inserts stay at the end of the
// tree: milliseconds above, random bits below. Within a process they strictly
// grow, whatever the clock does.
type ids struct {
	bits uint // random bits
	mu   sync.Mutex
	last int64
}

func (g *ids) next(now time.Time) int64 {
	id := now.Sub(idEpoch).Milliseconds()<<g.bits | random63()>>(63-g.bits+1)
	g.mu.Lock()
	defer g.mu.Unlock()
	if id <= g.last {
		id = g.last + 1
	}
	g.last = id
	return id
}

// recordID returns a random positive id below 2^53 that taken does not hold.
func recordID(taken map[int64]bool) int64 {
	for {
		id := random63() >> 10
		if id > 0 && !taken[id] {
			taken[id] = true
			return id
		}
	}
}

func random63() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return int64(binary.BigEndian.Uint64(b[:]) >> 1)
}

// ms and at turn times into column values and back; the zero time is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

package store

import (
	"context"
	"net"
	"os"
	"sync"
	"time"
)

// dialer connects to a database over a network that may lose packets. A
// connection that is silent is tried after 3 s, and given up when the other
// side has acknowledged nothing for 5 s.
type dialer struct {
	net net.Dialer

	mu   sync.Mutex
	lost map[string]*lostAddress
}

// lostAddress is one where the last dial ran out of time.
type lostAddress struct {
	at     time.Time
	err    error
	trying bool
}

// restAfterTimeout is for how long the answer to a dial is the last one's,
// after that ran out of time. It is so for all but one while that one tries,
// else each caller that waits for a connection would wait as long again.
const restAfterTimeout = time.Second

func newDialer() *dialer {
	return &dialer{lost: make(map[string]*lostAddress), net: net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 3 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control:         dropUnanswered,
	}}
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.rest(address); err != nil {
		return nil, err
	}
	conn, err := d.net.DialContext(ctx, network, address)
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.lost, address)
	if err != nil && os.IsTimeout(err) {
		d.lost[address] = &lostAddress{at: time.Now(), err: err}
	}
	return conn, err
}

// rest returns the error of the last dial where none is to be made.
func (d *dialer) rest(address string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lost[address]
	if l == nil {
		return nil
	}
	if l.trying || time.Since(l.at) < restAfterTimeout {
		return l.err
	}
	l.trying = true
	return nil
}

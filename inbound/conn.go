package inbound

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// door lets connections in: not too many, not too many from one address. It
// knows them all, so that a shutdown can end each of them.
type door struct {
	max, perIP int
	maxBytes   int64 // that is announced
	idle       time.Duration
	refused    func(reason string)
	hostname   string
	tls        *tls.Config // nil: STARTTLS is not offered

	mu        sync.Mutex
	draining  bool
	listeners []*doorListener
	open      map[*conn]struct{}
	from      map[netip.Prefix]int
}

func newDoor(c Config) *door {
	return &door{
		max: c.MaxConns, perIP: c.ConnsPerIP, maxBytes: c.MaxBytes, idle: c.Idle,
		refused: c.OnRefuse, hostname: c.Hostname, tls: c.TLS,
		open: map[*conn]struct{}{}, from: map[netip.Prefix]int{},
	}
}

// guard returns a listener that drain closes: the library knows of none that it
// is given while it ends, or after.
func (d *door) guard(l net.Listener) net.Listener {
	guarded := &doorListener{Listener: netutil.LimitListener(l, d.max), door: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listeners = append(d.listeners, guarded)
	if d.draining {
		_ = guarded.Close()
	}
	return guarded
}

type doorListener struct {
	net.Listener
	door *door
	once sync.Once
	err  error // of the first Close
}

// Close implements net.Listener; it may be called again.
func (l *doorListener) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

// Accept implements net.Listener.
func (l *doorListener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, door: l.door, from: network(raw.RemoteAddr())}
		if l.door.enter(c) {
			return newWire(c, l.door.tls, l.door.hostname), nil
		}
		l.door.refused(RefusedConns)
		_ = raw.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = fmt.Fprintf(raw, "421 4.7.0 %s too many connections from your address\r\n", l.door.hostname)
		_ = raw.Close()
	}
}

// network returns what counts as one address: an IPv4 address, an IPv6 /64.
func network(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{} // a unix socket: ours
	}
	ip := t.AddrPort().Addr().Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}

func (d *door) enter(c *conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.from.IsValid() && d.from[c.from] >= d.perIP {
		return false
	}
	d.from[c.from]++
	d.open[c] = struct{}{}
	return true
}

func (d *door) leave(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.open[c]; !ok {
		return
	}
	delete(d.open, c)
	if d.from[c.from]--; d.from[c.from] <= 0 {
		delete(d.from, c.from)
	}
}

func (d *door) isDraining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.draining
}

// drain closes the listeners, and ends the waiting of every connection that is
// not in a transfer: the library answers a timeout with 421 and closes.
func (d *door) drain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.draining = true
	for _, l := range d.listeners {
		_ = l.Close()
	}
	for c := range d.open {
		c.mu.Lock()
		if c.phase == phaseCommand {
			_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
		}
		c.mu.Unlock()
	}
}

func (d *door) closeAll() {
	d.mu.Lock()
	list := make([]*conn, 0, len(d.open))
	for c := range d.open {
		list = append(list, c)
	}
	d.mu.Unlock()
	for _, c := range list {
		_ = c.Close()
	}
}

// What a connection is doing.
const (
	phaseCommand = iota // waiting for commands
	phaseData           // in a transfer
	phaseReply          // the transfer has ended, its reply has not been sent
)

// errDraining looks like a timeout, which the library answers with 421.
type errDraining struct{}

func (errDraining) Error() string   { return "shutting down" }
func (errDraining) Timeout() bool   { return true }
func (errDraining) Temporary() bool { return true }

// conn gives every read and every write its own deadline, where the library
// has one for all of a message, and whatever is awaited one for the whole of it,
// so that no client is slow for ever. After an error nothing more is read: what
// is left of a message must never be taken for commands.
type conn struct {
	net.Conn
	door *door
	from netip.Prefix

	mu     sync.Mutex
	phase  int
	until  time.Time // when what is awaited has to be here
	broken error
}

// await lets what is read next take so long in all. It returns the error that
// has ended all reading, if there was one.
func (c *conn) await(limit time.Duration) error {
	until := time.Now().Add(limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = until
	return c.broken
}

// fail ends all reading.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil {
		c.broken = err
	}
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	draining := c.door.isDraining()
	c.mu.Lock()
	switch {
	case c.broken != nil:
		defer c.mu.Unlock()
		return 0, c.broken
	case draining && c.phase == phaseCommand:
		c.broken = errDraining{}
		defer c.mu.Unlock()
		return 0, c.broken
	}
	deadline := time.Now().Add(c.door.idle)
	if c.until.Before(deadline) {
		deadline = c.until
	}
	err := c.Conn.SetReadDeadline(deadline)
	c.mu.Unlock()
	if c.phaseNow() == phaseCommand && c.door.isDraining() { // it began in between
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
	n := 0
	if err == nil {
		n, err = c.Conn.Read(p)
	}
	if err != nil {
		c.fail(err)
	}
	return n, err
}

func (c *conn) phaseNow() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase
}

// writeTimeout bounds each write of a reply.
const writeTimeout = time.Minute

// Write implements net.Conn. Who cannot be answered is not listened to: the
// library would go on.
func (c *conn) Write(p []byte) (int, error) {
	err := c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	n := 0
	if err == nil {
		n, err = c.Conn.Write(p)
	}
	if err != nil {
		c.fail(err)
	}
	c.mu.Lock()
	if c.phase == phaseReply {
		c.phase = phaseCommand
	}
	c.mu.Unlock()
	return n, err
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.fail(net.ErrClosed)
	c.door.leave(c)
	return c.Conn.Close()
}

// SetDeadline implements net.Conn; the deadlines are those of Read and Write.
func (c *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

func (c *conn) enter(phase int) {
	c.mu.Lock()
	c.phase = phase
	c.mu.Unlock()
}

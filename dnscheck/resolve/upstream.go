package resolve

import (
	"errors"
	"net/netip"
	"sync"
)

// errClosed is the cause of an Error after Close.
var errClosed = errors.New("the resolver is closed")

// upstream is one server that we ask.
type upstream struct {
	addr netip.AddrPort
	// slots bounds how many lookups are in flight there.
	slots chan struct{}
	// fresh takes a new socket, and so a new source port, for each query.
	fresh bool

	mu      sync.Mutex
	sockets []*socket // opened when first used; nil with fresh
	next    int
	closed  bool
}

func newUpstream(addr netip.AddrPort, inFlight, sockets int) *upstream {
	return &upstream{
		addr:    addr,
		slots:   make(chan struct{}, inFlight),
		fresh:   sockets == 0,
		sockets: make([]*socket, sockets),
	}
}

// send sends an attempt over UDP.
func (u *upstream) send(a *attempt) error {
	s, err := u.socket()
	if err != nil {
		return err
	}
	a.own = u.fresh
	return s.send(a)
}

// socket returns the next socket in turn, or a new one.
func (u *upstream) socket() (*socket, error) {
	if u.fresh {
		return openSocket(u.addr)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, errClosed
	}
	u.next = (u.next + 1) % len(u.sockets)
	if u.sockets[u.next] == nil {
		s, err := openSocket(u.addr)
		if err != nil {
			return nil, err
		}
		u.sockets[u.next] = s
	}
	return u.sockets[u.next], nil
}

func (u *upstream) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for _, s := range u.sockets {
		if s != nil {
			s.close()
		}
	}
	u.sockets = nil
}

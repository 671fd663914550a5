package resolve

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// errCase says that an answer came back with its name in another case: over
// UDP it may be forged, so TCP has to tell.
var errCase = errors.New("the name came back in another case")

// errSuspect says that so many packets came that are no answer that somebody
// may be guessing: again TCP has to tell.
var errSuspect = errors.New("too many packets that do not fit")

// maxMisfits is how many packets that do not fit an attempt puts up with.
const maxMisfits = 16

// packets lends room for one UDP message. More than maxUDP octets cannot be
// asked for by our EDNS size, and a longer message reads as malformed.
const maxUDP = 4096

var packets = sync.Pool{New: func() any { return new([maxUDP]byte) }}

// delivery is what a socket has for an attempt: a packet that matches it, or
// an error.
type delivery struct {
	to  *attempt
	buf *[maxUDP]byte // to be given back to packets
	n   int
	err error
}

func (d delivery) packet() []byte { return d.buf[:d.n] }

func (d delivery) free() {
	if d.buf != nil {
		packets.Put(d.buf)
	}
}

// attempt is one query that was sent, or is about to be.
type attempt struct {
	up      *upstream
	query   query
	replies chan<- delivery // never blocks a socket: what does not fit is dropped
	sock    *socket         // nil over TCP and when closed
	id      uint16
	own     bool // the socket serves nobody else and closes with the attempt
	misfits int  // guarded by the socket
}

func (a *attempt) deliver(d delivery) {
	select {
	case a.replies <- d:
	default:
		d.free()
	}
}

// cancel ends an attempt: nothing is delivered to it afterwards.
func (a *attempt) cancel() {
	if a.sock == nil {
		return
	}
	a.sock.forget(a)
	if a.own {
		a.sock.close()
	}
	a.sock = nil
}

// socket is a connected UDP socket with any number of queries in flight. Being
// connected, it gets packets from its server's address and port only.
type socket struct {
	conn *net.UDPConn
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	pending map[uint16]*attempt
}

func openSocket(addr netip.AddrPort) (*socket, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, done: make(chan struct{}), pending: make(map[uint16]*attempt)}
	go s.read()
	return s, nil
}

// close ends the socket and waits for its reader.
func (s *socket) close() {
	_ = s.conn.Close()
	<-s.done
}

// send gives an attempt an ID that is free on this socket and sends it.
func (s *socket) send(a *attempt) error {
	s.mu.Lock()
	a.id = randomID()
	for s.pending[a.id] != nil {
		a.id = randomID()
	}
	s.pending[a.id] = a
	s.mu.Unlock()
	a.sock = s
	a.query.setID(a.id)
	_, err := s.conn.Write(a.query.wire)
	return err
}

func (s *socket) forget(a *attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[a.id] == a {
		delete(s.pending, a.id)
	}
}

// read hands packets to the attempts that they answer until the socket is
// closed. What answers none, late or forged or junk, is dropped.
func (s *socket) read() {
	defer close(s.done)
	buf := packets.Get().(*[maxUDP]byte)
	for {
		n, err := s.conn.Read(buf[:])
		switch {
		case errors.Is(err, net.ErrClosed):
			packets.Put(buf)
			s.fail(err)
			return
		case err != nil: // mostly ECONNREFUSED: nobody listens there
			s.fail(err)
		case s.dispatch(buf, n):
			buf = packets.Get().(*[maxUDP]byte)
		}
	}
}

// dispatch reports whether it gave the buffer away.
func (s *socket) dispatch(buf *[maxUDP]byte, n int) bool {
	if n < headerSize {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.pending[binary.BigEndian.Uint16(buf[:])]
	if a == nil {
		s.misfit()
		return false
	}
	switch a.query.matches(buf[:n]) {
	case matchFull:
		a.deliver(delivery{to: a, buf: buf, n: n})
		return true
	case matchCase:
		a.deliver(delivery{to: a, err: errCase})
	case matchNone:
		a.misfit()
	}
	return false
}

// misfit counts a packet with an ID of nobody against the only attempt there
// is; where there are more, it was late for one that is gone.
func (s *socket) misfit() {
	if len(s.pending) != 1 {
		return
	}
	for _, a := range s.pending {
		a.misfit()
	}
}

func (a *attempt) misfit() {
	if a.misfits++; a.misfits == maxMisfits {
		a.deliver(delivery{to: a, err: errSuspect})
	}
}

// fail tells all attempts of this socket about an error of it.
func (s *socket) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.pending {
		a.deliver(delivery{to: a, err: err})
	}
}

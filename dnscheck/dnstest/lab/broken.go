package lab

import (
	"errors"
	"fmt"
	"net"

	"github.com/miekg/dns"
)

// Fault is a way for a resolver to be of no use.
type Fault string

// The faults. None of them says anything about a domain, so none may ever
// move a status.
const (
	// FaultDown: nobody listens.
	FaultDown Fault = "down"
	// FaultServFail and FaultRefused: every question gets that rcode.
	FaultServFail Fault = "servfail"
	FaultRefused  Fault = "refused"
	// FaultSilent: questions are read and never answered.
	FaultSilent Fault = "silent"
	// FaultTruncated: every UDP answer has the TC bit, and TCP is closed.
	FaultTruncated Fault = "truncated"
)

// Faults lists all faults.
func Faults() []Fault {
	return []Fault{FaultDown, FaultServFail, FaultRefused, FaultSilent, FaultTruncated}
}

// Break stops the resolver and puts the fault in its place. A fault that
// stands is replaced.
func (l *Lab) Break(fault Fault) error {
	l.stopResolver()
	if fault == FaultDown {
		return nil
	}
	conn, err := net.ListenPacket("udp", l.Resolver.String())
	if err != nil {
		return fmt.Errorf("take the resolver's place: %w", err)
	}
	s := &standIn{conn: conn, fault: fault, done: make(chan struct{})}
	go s.run()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standIn = s
	return nil
}

// Repair ends the fault and starts the resolver again, with an empty cache. It
// returns when the resolver answers.
func (l *Lab) Repair() error {
	l.stopResolver()
	p, err := l.runUnbound()
	if err != nil {
		return fmt.Errorf("start the resolver again: %w", err)
	}
	if err := answers(l.Resolver, Zone, p); err != nil {
		p.stop()
		return fmt.Errorf("start the resolver again: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unbound = p
	return nil
}

// standIn answers in the place of a broken resolver.
type standIn struct {
	conn  net.PacketConn
	fault Fault
	done  chan struct{}
}

func (s *standIn) run() {
	defer close(s.done)
	buffer := make([]byte, dns.MaxMsgSize)
	for {
		n, from, err := s.conn.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if reply := s.reply(buffer[:n]); reply != nil {
			_, _ = s.conn.WriteTo(reply, from) // UDP may lose it as well
		}
	}
}

// reply returns the answer's octets, nil for none.
func (s *standIn) reply(question []byte) []byte {
	var q dns.Msg
	if q.Unpack(question) != nil || s.fault == FaultSilent {
		return nil
	}
	answer := new(dns.Msg)
	switch s.fault {
	case FaultServFail:
		answer.SetRcode(&q, dns.RcodeServerFailure)
	case FaultRefused:
		answer.SetRcode(&q, dns.RcodeRefused)
	default:
		answer.SetReply(&q)
		answer.Truncated = true
	}
	answer.RecursionAvailable = true
	packed, err := answer.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func (s *standIn) close() {
	_ = s.conn.Close()
	<-s.done
}

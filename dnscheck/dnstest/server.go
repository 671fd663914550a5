// Package dnstest is a small DNS server on loopback with its zones in memory.
// It answers as an authority, and as a resolver where recursion is desired, so
// that one server is the whole DNS of a test or of a demonstration; and it can
// misbehave by name in the ways that real servers and attackers do.
package dnstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// DefaultDelay is how long a Late answer waits unless SetDelay says otherwise.
const DefaultDelay = 300 * time.Millisecond

// Server answers over UDP and TCP on one port. Its methods are safe for
// concurrent use, while it serves too.
type Server struct {
	addr     netip.AddrPort
	udp, tcp *dns.Server
	done     chan struct{}
	closing  sync.Once
	serving  sync.WaitGroup

	mu      sync.RWMutex
	zones   map[string]struct{}            // apex, canonical
	records map[string]map[uint16][]dns.RR // by canonical owner name and type
	faults  map[string]fault
	queries map[string]int
	total   int
	delay   time.Duration
}

// Start returns a server without zones on a free port of 127.0.0.1.
func Start() (*Server, error) {
	return StartAt(netip.MustParseAddrPort("127.0.0.1:0"))
}

// StartAt returns a server without zones on the given address; port 0 takes a
// port that is free for both UDP and TCP.
func StartAt(addr netip.AddrPort) (*Server, error) {
	const tries = 10
	var pc net.PacketConn
	var l net.Listener
	var err error
	for range tries {
		if pc, l, err = listen(addr); err == nil || addr.Port() != 0 {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen for DNS on %s: %w", addr, err)
	}
	s := &Server{addr: netip.MustParseAddrPort(l.Addr().String()), done: make(chan struct{}), delay: DefaultDelay}
	s.Reset()
	s.udp = &dns.Server{PacketConn: pc, Handler: s, UDPSize: dns.DefaultMsgSize}
	s.tcp = &dns.Server{Listener: l, Handler: s, ReadTimeout: time.Second}
	for _, d := range []*dns.Server{s.udp, s.tcp} {
		ready := make(chan struct{})
		d.NotifyStartedFunc = func() { close(ready) }
		s.serving.Go(func() { _ = d.ActivateAndServe() })
		<-ready
	}
	return s, nil
}

// listen opens the same port for UDP and TCP.
func listen(addr netip.AddrPort) (net.PacketConn, net.Listener, error) {
	var c net.ListenConfig
	l, err := c.Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		return nil, nil, err
	}
	pc, err := c.ListenPacket(context.Background(), "udp", l.Addr().String())
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return pc, l, nil
}

// Addr returns where the server listens, for UDP and TCP alike.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Close stops the server and waits until nothing of it runs any more.
func (s *Server) Close() {
	s.closing.Do(func() {
		close(s.done)
		_ = s.udp.Shutdown()
		_ = s.tcp.Shutdown()
	})
	s.serving.Wait()
}

// SetDelay changes how long a Late answer waits.
func (s *Server) SetDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Queries returns how many questions came for a name, of any type.
func (s *Server) Queries(name string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.queries[dns.CanonicalName(name)]
}

// Total returns how many questions came in all.
func (s *Server) Total() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.total
}

// ServeDNS answers one question; it is there for the DNS library.
func (s *Server) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	if len(req.Question) != 1 {
		return
	}
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	x := &exchange{s: s, w: w, req: req, udp: udp}
	s.count(x.name()).serve(x)
}

// count notes a question and returns what the server does about it.
func (s *Server) count(name string) fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries[name]++
	s.total++
	return s.faults[name]
}

// exchange is one question on its way to an answer.
type exchange struct {
	s   *Server
	w   dns.ResponseWriter
	req *dns.Msg
	udp bool
}

func (x *exchange) name() string { return dns.CanonicalName(x.req.Question[0].Name) }

// reply starts an answer with the bits that every answer has.
func (x *exchange) reply(rcode int) *dns.Msg {
	m := new(dns.Msg)
	m.SetRcode(x.req, rcode)
	m.Compress = true
	m.RecursionAvailable = x.req.RecursionDesired
	m.Authoritative = !x.req.RecursionDesired
	if opt := x.req.IsEdns0(); opt != nil {
		m.SetEdns0(dns.DefaultMsgSize, false)
	}
	return m
}

// good returns what the zones say.
func (x *exchange) good() *dns.Msg {
	m := x.reply(dns.RcodeSuccess)
	x.s.mu.RLock()
	defer x.s.mu.RUnlock()
	x.s.answer(m, x.req.Question[0])
	return m
}

// send packs and sends an answer, cut to what the asker can take over UDP.
func (x *exchange) send(m *dns.Msg) {
	if x.udp {
		size := dns.MinMsgSize
		if opt := x.req.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		m.Truncate(size)
	}
	_ = x.w.WriteMsg(m)
}

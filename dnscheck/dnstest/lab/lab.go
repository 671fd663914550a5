// Package lab runs real name servers from Debian's packages on loopback for
// integration tests: Knot DNS as the authority, with dynamic update, and
// unbound as the validating resolver in front of it. The two make a closed
// world with a root of its own: no question leaves the machine.
package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Names of the closed world. They look like real ones, because a service
// refuses special-use names unless it is told otherwise.
const (
	// Zone is where test domains are made. It and its parent have no _dmarc
	// record, and everything in it that is worth caching lives a second.
	Zone = "zone." + parent
	// ServFail is a name whose lookup ends in SERVFAIL.
	ServFail = "a." + dead
	// ServFail2 is another such name.
	ServFail2 = "b." + dead
	// Bogus is a part of the zone that should be signed and is not: its names
	// end in SERVFAIL, and have an answer with the CD bit set.
	Bogus = "bogus." + Zone

	parent = "domaind-lab.net"
	dead   = "dead." + parent
)

const (
	startWithin = 20 * time.Second
	tick        = 50 * time.Millisecond
	// startTries is how often a server is started on a fresh port: another
	// process may take a free port between our look at it and the server's.
	startTries = 3
)

// Lab is a running authority and a running resolver. Its methods may be
// called from several goroutines, Break and Repair from one at a time.
type Lab struct {
	// Authority and Resolver are the listen addresses, UDP and TCP.
	Authority, Resolver netip.AddrPort

	dir string
	mu  sync.Mutex // guards the process and the stand-in behind Resolver
	// unbound is nil while the resolver is broken; standIn answers then.
	unbound *process
	standIn *standIn
}

// Require skips the test, loudly, where a server binary is missing, and fails
// it instead when DOMAIND_REQUIRE_SERVERS is 1.
func Require(t testing.TB) {
	t.Helper()
	for _, binary := range []string{"knotd", "unbound"} {
		if _, err := exec.LookPath(sbin(binary)); err == nil {
			continue
		}
		if os.Getenv("DOMAIND_REQUIRE_SERVERS") == "1" {
			t.Fatalf("%s is missing: apt-get install knot unbound", binary)
		}
		t.Skipf("SKIPPED: %s is missing: apt-get install knot unbound", binary)
	}
}

// Start calls Require and returns a running lab, which ends with the test.
func Start(t testing.TB) *Lab {
	t.Helper()
	Require(t)
	// Not t.TempDir: a control socket's path must stay below 108 octets.
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &Lab{dir: dir}
	knot, err := l.startAuthority()
	if err != nil {
		t.Fatalf("start the authority: %v", err)
	}
	t.Cleanup(knot.stop)
	if err := l.startResolver(); err != nil {
		t.Fatalf("start the resolver: %v", err)
	}
	t.Cleanup(l.stopResolver)
	return l
}

// sbin finds a daemon also where an ordinary user's PATH does not look.
func sbin(name string) string {
	for _, dir := range []string{"/usr/sbin/", "/usr/local/sbin/"} {
		if _, err := os.Stat(dir + name); err == nil {
			return dir + name
		}
	}
	return name
}

// freePort returns a loopback port that nobody listens on, UDP or TCP.
func freePort() (netip.AddrPort, error) {
	for range 20 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return netip.AddrPort{}, err
		}
		address := tcp.Addr().String()
		udp, err := net.ListenPacket("udp", address)
		_ = tcp.Close()
		if err != nil {
			continue
		}
		_ = udp.Close()
		return netip.ParseAddrPort(address)
	}
	return netip.AddrPort{}, fmt.Errorf("no port is free for UDP and TCP")
}

// answers waits until the server at address knows a zone, or p has ended.
func answers(address netip.AddrPort, zone string, p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	client := &dns.Client{Timeout: time.Second}
	question := new(dns.Msg).SetQuestion(dns.Fqdn(zone), dns.TypeSOA)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		reply, _, err := client.ExchangeContext(ctx, question, address.String())
		if err == nil && reply.Rcode == dns.RcodeSuccess && len(reply.Answer) > 0 {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %s", p.log())
		case <-ctx.Done():
			return fmt.Errorf("no answer within %v: %s", startWithin, p.log())
		case <-ticker.C:
		}
	}
}

package resolve_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// deadAddr returns an address where nobody listens.
func deadAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	var c net.ListenConfig
	pc, err := c.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	return netip.MustParseAddrPort(pc.LocalAddr().String())
}

func TestTheNextServerIsAsked(t *testing.T) {
	const name = "name.example"
	tests := []struct {
		fault dnstest.Behaviour
		quick bool // at once, and not when the schedule says so
		asked int  // questions to the good server
		code  string
	}{
		{fault: dnstest.ServFail, quick: true, asked: 1},
		{fault: dnstest.Refused, quick: true, asked: 1},
		{fault: dnstest.Lame, quick: true, asked: 1},
		{fault: dnstest.TCNoTCP, quick: true, asked: 1},
		{fault: dnstest.EDE19, quick: true, asked: 1},
		{fault: dnstest.Silent, asked: 1},
		{fault: dnstest.MalformedOnly, asked: 1},
		{fault: dnstest.NXDomain, quick: true}, // a no is final
		{fault: dnstest.NoData, quick: true},
		{fault: dnstest.EDE9, quick: true, code: resolve.CodeBogus}, // and so is this
		{fault: dnstest.CNAMELoop, quick: true, code: resolve.CodeCNAMELoop},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault), func(t *testing.T) {
			t.Parallel()
			bad, good := startServer(t), startServer(t)
			bad.Fault(name, tt.fault)
			set(t, good, name+` 60 TXT "good"`)
			config := resolve.Config{Timeout: 20 * time.Second, Schedule: []time.Duration{0, 50 * time.Millisecond}}
			if tt.quick {
				config.Schedule = []time.Duration{0}
			}
			// Lookups begin at the servers in turn; the first goes to the second.
			c := newClient(t, config, good.Addr(), bad.Addr())
			a, err := c.Lookup(t.Context(), name, resolve.TypeTXT)
			if code(t, err) != tt.code || good.Queries(name) != tt.asked {
				t.Errorf("got %+v, %v and %d questions to the good server", a, err, good.Queries(name))
			}
			if tt.asked > 0 && (len(a.TXT) != 1 || a.Server != good.Addr()) {
				t.Errorf("got %+v", a)
			}
		})
	}
}

func TestExceptAsksTheOthers(t *testing.T) {
	one, two := startServer(t), startServer(t)
	set(t, one, `name.example 60 TXT "one"`)
	set(t, two, `name.example 60 TXT "two"`)
	c := newClient(t, resolve.Config{}, one.Addr(), two.Addr())
	for range 4 { // lookups begin at the servers in turn
		a, err := c.Lookup(t.Context(), "name.example", resolve.TypeTXT)
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Except(a.Server).Lookup(t.Context(), "name.example", resolve.TypeTXT)
		if err != nil || again.Server == a.Server || again.TXT[0].Join() == a.TXT[0].Join() {
			t.Errorf("%v after %v, %v", again.Server, a.Server, err)
		}
	}
	alone := newClient(t, resolve.Config{}, one.Addr(), one.Addr())
	if _, err := alone.Except(one.Addr()).Lookup(t.Context(), "name.example", resolve.TypeTXT); code(t, err) != resolve.CodeResolverDown {
		t.Errorf("got %v without another server", err)
	}
}

func TestDeadServers(t *testing.T) {
	s := startServer(t)
	set(t, s, `name.example 60 TXT "good"`)
	c := newClient(t, resolve.Config{Timeout: 20 * time.Second}, deadAddr(t), s.Addr(), deadAddr(t))
	for range 3 {
		if a, err := c.Lookup(t.Context(), "name.example", resolve.TypeTXT); err != nil || len(a.TXT) != 1 {
			t.Errorf("got %+v, %v", a, err)
		}
	}
	dead := newClient(t, resolve.Config{Timeout: 20 * time.Second}, deadAddr(t), deadAddr(t))
	if _, err := dead.Lookup(t.Context(), "name.example", resolve.TypeTXT); code(t, err) != resolve.CodeResolverDown {
		t.Errorf("got %v", err)
	}
}

// An answer that comes after its lookup has given up must not be taken for the
// answer to a later question on the same socket.
func TestLateAnswerOnAReusedSocket(t *testing.T) {
	s := startServer(t)
	set(t, s, `late.example 60 TXT "late"`, `next.example 60 TXT "next"`)
	s.SetDelay(2 * testTimeout)
	s.Fault("late.example", dnstest.Late)
	c := newClient(t, resolve.Config{Sockets: 1}, s.Addr())
	for range 3 {
		if _, err := c.Lookup(t.Context(), "late.example", resolve.TypeTXT); code(t, err) != resolve.CodeTimeout {
			t.Fatalf("got %v", err)
		}
		for end := time.Now().Add(testTimeout); time.Now().Before(end); {
			a, err := c.Lookup(t.Context(), "next.example", resolve.TypeTXT)
			if err != nil || a.TXT[0].Join() != "next" {
				t.Fatalf("got %+v, %v", a, err)
			}
		}
	}
}

// A slow server still counts while the next attempt is under way.
func TestSlowAnswerIsTaken(t *testing.T) {
	s := startServer(t)
	set(t, s, `slow.example 60 TXT "slow"`)
	s.Fault("slow.example", dnstest.Late)
	c := newClient(t, resolve.Config{Timeout: 20 * time.Second, Schedule: []time.Duration{0, testDelay / 2, 10 * time.Second}}, s.Addr())
	if a, err := c.Lookup(t.Context(), "slow.example", resolve.TypeTXT); err != nil || len(a.TXT) != 1 {
		t.Errorf("got %+v, %v", a, err)
	}
	if n := s.Queries("slow.example"); n != 2 {
		t.Errorf("%d questions, want 2", n)
	}
}

func TestDeadlineOfTheContextWins(t *testing.T) {
	s := startServer(t)
	s.Fault("silent.example", dnstest.Silent)
	c := newClient(t, resolve.Config{Timeout: time.Minute}, s.Addr())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := c.Lookup(ctx, "silent.example", resolve.TypeTXT)
	if code(t, err) != resolve.CodeTimeout || time.Since(start) > 10*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}

func TestCloseEndsLookups(t *testing.T) {
	s := startServer(t)
	s.Fault("silent.example", dnstest.Silent)
	c := newClient(t, resolve.Config{Timeout: time.Minute}, s.Addr())
	result := make(chan error)
	go func() {
		_, err := c.Lookup(context.Background(), "silent.example", resolve.TypeTXT)
		result <- err
	}()
	waitFor(t, func() bool { return s.Queries("silent.example") == 1 })
	_ = c.Close()
	if err := <-result; code(t, err) != resolve.CodeResolverDown {
		t.Errorf("got %v", err)
	}
	if _, err := c.Lookup(t.Context(), "silent.example", resolve.TypeTXT); code(t, err) != resolve.CodeResolverDown {
		t.Errorf("after Close got %v", err)
	}
}

// Many questions share few sockets and few slots, and each gets its own answer.
func TestConcurrentLookups(t *testing.T) {
	const names, workers = 300, 100
	s := startServer(t)
	for i := range names {
		set(t, s, fmt.Sprintf(`n%d.example 60 TXT "%d"`, i, i))
	}
	var seen sync.Map
	c := newClient(t, resolve.Config{Timeout: 20 * time.Second, InFlight: 16, OnQuery: func(rcode, transport string) {
		seen.Store(rcode+"/"+transport, true)
	}}, s.Addr())
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < names; i = next.Add(1) - 1 {
				a, err := c.Lookup(t.Context(), fmt.Sprintf("n%d.example", i), resolve.TypeTXT)
				if err != nil || a.TXT[0].Join() != fmt.Sprint(i) {
					t.Errorf("%d: got %+v, %v", i, a, err)
				}
			}
		})
	}
	wg.Wait()
	if _, ok := seen.Load("NOERROR/udp"); !ok {
		t.Error("OnQuery was not told")
	}
}

package resolve_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Times of the tests: a lookup gives up well before a late answer comes.
const (
	testTimeout = 150 * time.Millisecond
	testDelay   = 250 * time.Millisecond
)

func startServer(t testing.TB) *dnstest.Server {
	t.Helper()
	s, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.SetDelay(testDelay)
	return s
}

func set(t testing.TB, s *dnstest.Server, lines ...string) {
	t.Helper()
	if err := s.Set(lines...); err != nil {
		t.Fatal(err)
	}
}

func newClient(t testing.TB, config resolve.Config, servers ...netip.AddrPort) *resolve.Client {
	t.Helper()
	config.Servers = servers
	if config.Timeout == 0 {
		config.Timeout = testTimeout
	}
	c, err := resolve.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// code returns the code of a lookup's error, "" without one.
func code(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var e *resolve.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *resolve.Error", err)
	}
	return e.Code
}

// transports are the ways in which a Client may ask.
var transports = map[string]resolve.Config{
	"udp":       {},
	"udp fresh": {Fresh: true},
	"tcp":       {TCP: true},
}

func TestBehaviours(t *testing.T) {
	const (
		name = "name.example"
		good = "good"
		none = "nodata"
		nx   = "nxdomain"
	)
	want := map[dnstest.Behaviour]string{
		"": good, dnstest.NXDomain: nx, dnstest.NXDomainNoSOA: nx, dnstest.NoData: none, dnstest.NoDataNoSOA: none,
		dnstest.ServFail: resolve.CodeServFail, dnstest.Refused: resolve.CodeRefused, dnstest.NotAuth: resolve.CodeRefused,
		dnstest.NotImp: resolve.CodeRefused, dnstest.FormErr: resolve.CodeRefused, dnstest.FormErrOnEDNS: good,
		dnstest.Silent: resolve.CodeTimeout, dnstest.Late: resolve.CodeTimeout,
		dnstest.Bogus: resolve.CodeBogus, dnstest.Lame: resolve.CodeLame,
		dnstest.TC: good, dnstest.TCNoTCP: resolve.CodeTruncated,
		dnstest.WrongQuestion: good, dnstest.WrongID: good, dnstest.Echo: good, dnstest.Junk: good, dnstest.Malformed: good,
		dnstest.WrongQuestionOnly: resolve.CodeTimeout, dnstest.WrongIDOnly: resolve.CodeTimeout,
		dnstest.EchoOnly: resolve.CodeTimeout, dnstest.JunkOnly: resolve.CodeTimeout,
		dnstest.MalformedOnly: resolve.CodeMalformed, dnstest.Duplicate: good, dnstest.Flood: good,
		dnstest.LowerCase: good, dnstest.CaseMangled: good, dnstest.NoOPT: good,
		dnstest.CNAMELoop: resolve.CodeCNAMELoop, dnstest.Chain8: "end of the chain", dnstest.Chain9: resolve.CodeCNAMELoop,
		dnstest.AliasOnly: good,
		dnstest.Stray:     none, dnstest.TXT200: "record 0",
		dnstest.EDE3: good, dnstest.EDE4: resolve.CodeRefused, dnstest.EDE6: resolve.CodeBogus, dnstest.EDE9: resolve.CodeBogus,
		dnstest.EDE15: resolve.CodeRefused, dnstest.EDE16: resolve.CodeRefused, dnstest.EDE17: resolve.CodeRefused,
		dnstest.EDE18: resolve.CodeRefused, dnstest.EDE19: resolve.CodeServFail,
		dnstest.EDE22: resolve.CodeServFail, dnstest.EDE23: resolve.CodeServFail,
	}
	overTCP := map[dnstest.Behaviour]string{
		dnstest.TCNoTCP: resolve.CodeTimeout, // there is no TC over TCP
		// A stream is not forged packet by packet: what cannot be read is over.
		dnstest.Malformed: resolve.CodeMalformed,
	}
	for transport, config := range transports {
		for _, b := range append(dnstest.Behaviours(), "") {
			t.Run(transport+"/"+string(b), func(t *testing.T) {
				t.Parallel()
				want, listed := want[b]
				if !listed && b != dnstest.TXT64K {
					t.Fatal("no expectation for this behaviour")
				}
				if w, ok := overTCP[b]; ok && config.TCP {
					want = w
				}
				if b == dnstest.TXT64K {
					want = strings.Repeat("x", 250*255)
				}
				s := startServer(t)
				set(t, s, `name.example 60 TXT "good"`)
				s.Fault(name, b)
				a, err := newClient(t, config, s.Addr()).Lookup(t.Context(), name, resolve.TypeTXT)
				got := code(t, err)
				switch {
				case err != nil:
				case a.NXDomain:
					got = nx
				case a.Empty():
					got = none
				default:
					got = a.TXT[0].Join()
				}
				if got != want {
					t.Errorf("got %.99q (%v), want %.99q", got, err, want)
				}
				if weak := b == dnstest.NXDomainNoSOA || b == dnstest.NoDataNoSOA; a.Weak != weak {
					t.Errorf("Weak is %v", a.Weak)
				}
			})
		}
	}
}

func TestCancelReturnsAtOnce(t *testing.T) {
	s := startServer(t)
	s.Fault("silent.example", dnstest.Silent)
	for transport, config := range transports {
		t.Run(transport, func(t *testing.T) {
			config.Timeout = time.Minute
			c := newClient(t, config, s.Addr())
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error)
			n := s.Queries("silent.example")
			go func() {
				_, err := c.Lookup(ctx, "silent.example", resolve.TypeTXT)
				result <- err
			}()
			waitFor(t, func() bool { return s.Queries("silent.example") > n })
			cancel()
			select {
			case err := <-result:
				if code(t, err) != resolve.CodeTimeout || !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("the lookup goes on")
			}
		})
	}
}

// waitFor polls until a condition holds.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
		time.Sleep(time.Millisecond)
	}
}

package resolve

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Defaults of a Config.
const (
	DefaultTimeout  = 12 * time.Second
	DefaultInFlight = 64
	DefaultSockets  = 4
)

// probeTimeout bounds the question whether DNSSEC is why an answer failed.
const probeTimeout = 3 * time.Second

// defaultSchedule is when the attempts of one lookup start.
var defaultSchedule = []time.Duration{0, 3 * time.Second, 6 * time.Second}

// Config says how a Client asks. Only Servers has no usable zero value.
type Config struct {
	// Servers are recursive resolvers, at least one. Lookups start at them in
	// turn.
	Servers []netip.AddrPort
	// Timeout bounds a question, waiting for a slot left aside; 0 means
	// DefaultTimeout. An earlier end of the context wins.
	Timeout time.Duration
	// Schedule is when attempts start, each at the next server; nil means at
	// 0, 3 and 6 s. A server that refuses or fails is left at once.
	Schedule []time.Duration
	// InFlight bounds the lookups at one server; 0 means DefaultInFlight.
	InFlight int
	// Sockets is how many UDP sockets a loopback server is asked from; 0 means
	// DefaultSockets. Any other server gets a new socket for each query, with
	// the name in random case (RFC 5452).
	Sockets int
	// Fresh treats loopback servers like all others.
	Fresh bool
	// TCP asks over TCP only.
	TCP bool
	// OnQuery is told of each query that has ended: by the rcode ("NOERROR"),
	// or "TIMEOUT", "ERROR", "SUSPECT", "MALFORMED", or "BLOCKED" for what the
	// resolver withholds by its policy (RFC 8914); transport is "udp" or "tcp".
	// It is called concurrently and must not block.
	OnQuery func(rcode, transport string)
}

func (c Config) withDefaults() Config {
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.InFlight == 0 {
		c.InFlight = DefaultInFlight
	}
	if c.Sockets == 0 {
		c.Sockets = DefaultSockets
	}
	if len(c.Schedule) == 0 {
		c.Schedule = defaultSchedule
	}
	c.Schedule = append([]time.Duration{0}, c.Schedule[1:]...)
	c.Schedule = before(c.Schedule, c.Timeout)
	return c
}

// before returns the start of a schedule that rises and lies before the end.
func before(schedule []time.Duration, end time.Duration) []time.Duration {
	n := 1
	for n < len(schedule) && schedule[n] > schedule[n-1] && schedule[n] < end {
		n++
	}
	return schedule[:n]
}

// Client asks recursive resolvers. It is a Resolver, safe for concurrent use.
type Client struct {
	config  Config
	servers []*upstream
	turn    atomic.Uint32
	life    context.Context
	stop    context.CancelFunc
}

var _ Resolver = (*Client)(nil)

// NewClient returns a Client. It opens sockets only when it needs them; Close
// releases them.
func NewClient(config Config) (*Client, error) {
	if len(config.Servers) == 0 {
		return nil, errors.New("make a DNS client: no servers")
	}
	c := &Client{config: config.withDefaults()}
	c.life, c.stop = context.WithCancel(context.Background())
	for _, addr := range config.Servers {
		sockets := c.config.Sockets
		if config.Fresh || !addr.Addr().IsLoopback() {
			sockets = 0
		}
		c.servers = append(c.servers, newUpstream(addr, c.config.InFlight, sockets))
	}
	return c, nil
}

// Close ends all lookups, with CodeResolverDown, and closes the sockets.
func (c *Client) Close() error {
	c.stop()
	for _, up := range c.servers {
		up.close()
	}
	return nil
}

// Lookup implements Resolver. It follows CNAMEs, asking again where an answer
// stops in the middle of a chain, and never asks twice about a definite no.
func (c *Client) Lookup(ctx context.Context, name string, qtype Type) (Answer, error) {
	return lookup(ctx, c.plan(c.servers), name, qtype)
}

// Except returns a view of the Client that leaves out one server: a second
// look at what that one has said, from elsewhere. Where no other server is
// left, each lookup fails with CodeResolverDown.
func (c *Client) Except(server netip.AddrPort) Resolver { return except{c, server} }

type except struct {
	client *Client
	server netip.AddrPort
}

// Lookup implements Resolver.
func (e except) Lookup(ctx context.Context, name string, qtype Type) (Answer, error) {
	var others []*upstream
	for _, up := range e.client.servers {
		if up.addr != e.server {
			others = append(others, up)
		}
	}
	if len(others) == 0 {
		return Answer{}, &Error{Code: CodeResolverDown, Name: canonical(name), Type: qtype, Detail: "There is no second resolver to ask."}
	}
	return lookup(ctx, e.client.plan(others), name, qtype)
}

// lookup asks until the end of the chain.
func lookup(ctx context.Context, p plan, name string, qtype Type) (Answer, error) {
	chase, err := newChase(name, qtype)
	if err != nil {
		return Answer{}, err
	}
	for {
		o := ask(ctx, p, chase)
		p = p.until(o.ends)
		switch {
		case o.err != nil:
			return Answer{}, explain(ctx, p, chase, o)
		case !o.again:
			return o.answer, nil
		}
	}
}

// plan returns how the next question is put to servers, starting at each in
// turn.
func (c *Client) plan(servers []*upstream) plan {
	if n := len(servers); n > 1 {
		first := int(c.turn.Add(1)) % n
		servers = append(append(make([]*upstream, 0, n), servers[first:]...), servers[:first]...)
	}
	return plan{
		question: question{recurse: true, mixed: slices.ContainsFunc(servers, func(u *upstream) bool { return u.fresh })},
		servers:  servers, schedule: c.config.Schedule, timeout: c.config.Timeout,
		tcp: c.config.TCP, onQuery: c.config.OnQuery, life: c.life,
	}
}

// until returns the plan of a further question of the same lookup, for the time
// that is left.
func (p plan) until(end time.Time) plan {
	if !end.IsZero() {
		p.timeout = time.Until(end)
		p.schedule = before(p.schedule, p.timeout)
	}
	return p
}

// explain tells a SERVFAIL that only DNSSEC causes from all others: with
// checking disabled the same server answers. It works without extended errors.
func explain(ctx context.Context, p plan, chase *chase, failed outcome) *Error {
	if failed.err.Code != CodeServFail || failed.bare == nil || p.timeout <= 0 {
		return failed.err
	}
	p.question.unchecked = true
	p.servers, p.schedule = []*upstream{failed.bare}, p.schedule[:1]
	p.timeout = min(p.timeout, probeTimeout)
	if probe := ask(ctx, p, chase); probe.err == nil {
		return chase.fail(CodeBogus, bogusDetail)
	}
	return failed.err
}

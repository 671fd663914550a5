package resolve

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"code.dny.dev/ssrf"
)

// Bounds of one lookup at a zone's own servers.
const (
	DefaultDirectTimeout = 6 * time.Second
	DefaultServerTimeout = 2 * time.Second
	maxNameServers       = 4
	maxServerAddrs       = 2 // of one name server
	dnsPort              = 53
)

// DirectConfig says how a Direct asks. Only Resolver has no usable zero value.
type DirectConfig struct {
	// Resolver finds zone cuts, name servers and their addresses.
	Resolver Resolver
	// Allow has prefixes whose addresses may be asked although they are not
	// global. It is for laboratories: the customer chooses these addresses.
	Allow []netip.Prefix
	// Port is where name servers listen; 0 means 53. Any other is for
	// laboratories too.
	Port uint16
	// Timeout bounds a lookup, ServerTimeout one server; 0 means
	// DefaultDirectTimeout and DefaultServerTimeout.
	Timeout, ServerTimeout time.Duration
	// OnQuery is that of Config.
	OnQuery func(rcode, transport string)
}

// Direct asks the servers of a zone themselves, past all caches. It is a
// Resolver, safe for concurrent use. Its answers say nothing about DNSSEC, so
// nothing may be believed on their word while a validating resolver calls the
// zone bogus.
type Direct struct {
	config DirectConfig
	guard  *ssrf.Guardian
	limits *limits
	life   context.Context
	stop   context.CancelFunc
}

var _ Resolver = (*Direct)(nil)

// NewDirect returns a Direct; Close ends its lookups.
func NewDirect(config DirectConfig) *Direct {
	if config.Port == 0 {
		config.Port = dnsPort
	}
	if config.Timeout == 0 {
		config.Timeout = DefaultDirectTimeout
	}
	if config.ServerTimeout == 0 {
		config.ServerTimeout = DefaultServerTimeout
	}
	var v4, v6 []netip.Prefix
	for _, p := range config.Allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	d := &Direct{
		config: config,
		guard:  ssrf.New(ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)),
		limits: newLimits(),
	}
	d.life, d.stop = context.WithCancel(context.Background())
	return d
}

// Close ends all lookups, with CodeResolverDown.
func (d *Direct) Close() error {
	d.stop()
	return nil
}

// Lookup implements Resolver. The answer is the RRset that most servers give,
// any RRset before none; Asked, Agree and Variants say how far they differ. A
// CNAME into another zone is followed to that zone's servers, or through the
// Resolver where those do not answer; Asked is 0 then.
func (d *Direct) Lookup(ctx context.Context, name string, qtype Type) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	c, err := newChase(name, qtype)
	if err != nil {
		return Answer{}, err
	}
	var first Answer // what the servers of the first zone agree on
	for {
		looks, err := d.looks(ctx, c)
		if err != nil && len(c.chain) == 0 {
			return Answer{}, err
		}
		if err != nil {
			return d.beyond(ctx, c)
		}
		best := merge(looks)
		if first.Asked == 0 || first.Agree == first.Asked {
			first.Asked, first.Agree = best.answer.Asked, best.answer.Agree
		} else {
			best.answer.Variants = nil // of a zone that not all servers lead to
		}
		best.answer.Asked, best.answer.Agree = first.Asked, first.Agree
		if !best.again {
			return best.answer, nil
		}
		c = best.chase
	}
}

// beyond ends a chain through the Resolver: what that says, no server of a
// zone has confirmed.
func (d *Direct) beyond(ctx context.Context, c *chase) (Answer, error) {
	a, err := d.config.Resolver.Lookup(ctx, c.name, c.qtype)
	if err != nil {
		return Answer{}, err
	}
	for _, target := range a.Chain {
		if err := c.link(target, uint32(a.TTL/time.Second)); err != nil {
			return Answer{}, err
		}
	}
	a.Chain = c.chain
	return a, nil
}

// look is what one server showed.
type look struct {
	outcome
	chase *chase // where the answer led, into another zone perhaps
}

// looks asks the servers of the zone that c.name is in, all at once, and
// returns what those said that answered by their own authority: at least one.
func (d *Direct) looks(ctx context.Context, c *chase) ([]look, *Error) {
	zone, err := d.cut(ctx, c)
	if err != nil {
		return nil, err
	}
	addrs, err := d.servers(ctx, c, zone)
	if err != nil {
		return nil, err
	}
	looks := make([]look, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() { looks[i] = d.look(ctx, *c, addr) })
	}
	wg.Wait()
	for _, l := range looks {
		if err == nil || err.Code == CodeTimeout && l.err != nil {
			err = l.err
		}
	}
	looks = slices.DeleteFunc(looks, func(l look) bool { return l.err != nil })
	if len(looks) == 0 {
		return nil, err
	}
	return looks, nil
}

// look asks one server. c is a copy: each server's answer leads its own way.
func (d *Direct) look(ctx context.Context, c chase, addr netip.AddrPort) look {
	c.chain = slices.Clone(c.chain)
	ctx, cancel := context.WithTimeout(ctx, d.config.ServerTimeout)
	defer cancel()
	if err := d.wait(ctx, addr.Addr()); err != nil {
		return look{outcome: outcome{err: c.fail(CodeTimeout, "The name server is asked too often already.").because(err)}}
	}
	o := ask(ctx, plan{
		question: question{mixed: true},
		servers:  []*upstream{newUpstream(addr, 1, 0)},
		schedule: []time.Duration{0, d.config.ServerTimeout / 2},
		timeout:  d.config.ServerTimeout, onQuery: d.config.OnQuery, life: d.life,
	}, &c)
	return look{outcome: o, chase: &c}
}

// wait keeps to the rate that an address may be asked at. Those that are
// allowed in spite of their range are the operator's own.
func (d *Direct) wait(ctx context.Context, ip netip.Addr) error {
	if slices.ContainsFunc(d.config.Allow, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return nil
	}
	return d.limits.wait(ctx, ip)
}

package dnscheck

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// How long a whole check may take: a first question that is given up after
// resolve.DefaultTimeout, and what a second look needs. On demand somebody
// waits, and of the 15 s that he waits at most the queue needs some.
const (
	scheduledLimit = 20 * time.Second
	onDemandLimit  = 13 * time.Second
)

// diagnoseEvery says at which bad looks in a row a scheduled check asks extra
// questions: the first and every tenth, beside each that shows something new.
const diagnoseEvery = 10

// Config is what a Checker needs.
type Config struct {
	// Fresh answers for the domain's own names and never out of a cache of
	// ours; Shared for names that many domains have in common, such as SPF
	// includes and MX hosts.
	Fresh, Shared resolve.Resolver
	// Direct asks a zone's own servers and fills Asked and Agree; nil is off.
	Direct resolve.Resolver
	// Second gives the resolvers that are left when one server's word is not
	// enough, such as resolve.Client.Except; nil when there is only one.
	Second func(except netip.AddrPort) resolve.Resolver
	// MXHosts are our inbound hosts, lower case, no final dot.
	MXHosts []string
	// SendingIPs are the addresses that our mail leaves from; none means
	// those of the MX hosts.
	SendingIPs []netip.Addr
	// Suffix tells a name's public suffix, as publicsuffix.PublicSuffix of
	// golang.org/x/net does; nil takes the top level alone for one.
	Suffix func(domain string) (suffix string, icann bool)
	Now    func() time.Time // nil means time.Now
	Log    *slog.Logger     // nil means slog.Default
}

// Checker asks DNS about domains and judges what it says. It is safe for
// concurrent use and has no goroutines of its own.
type Checker struct {
	Config
}

// NewChecker returns a Checker; Fresh and Shared must be set.
func NewChecker(c Config) *Checker {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Checker{Config: c}
}

// Check looks at every record of the target, within 20 s, on demand within
// 13 s, and sooner when ctx ends. There is always a report, with one Result
// for each Expectation in the target's order; what could not be learned is
// VerdictUnknown.
func (c *Checker) Check(ctx context.Context, t Target, o Options) Report {
	limit := scheduledLimit
	if o.OnDemand {
		limit = onDemandLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	p := c.newPass(ctx, t.Domain, o)
	report := Report{Domain: t.Domain, StartedAt: c.Now(), Results: make([]Result, len(t.Records))}
	dead := p.dead(ctx, t)
	var judging sync.WaitGroup
	for i, x := range t.Records {
		if dead != nil {
			report.Results[i] = x.unknown(dead)
			continue
		}
		judging.Go(func() { report.Results[i] = p.check(ctx, x) })
	}
	judging.Wait()
	report.CheckedAt = c.Now()
	for i := range report.Results {
		report.Results[i].CheckedAt = report.CheckedAt
	}
	report.Queries = p.queries()
	return report
}

// Canary asks for the addresses of our own MX hosts, past all caches. An error
// says that it is the resolver that is ill, and not the customers' zones; a
// definite no is an answer like any other.
func (c *Checker) Canary(ctx context.Context) error {
	for _, host := range c.MXHosts {
		if _, err := c.Fresh.Lookup(ctx, host, resolve.TypeA); err != nil {
			return err
		}
	}
	return nil
}

// hostAddrs returns the addresses of our MX hosts, out of the shared view. A
// denial without its SOA record is no reason to judge customers by.
func (c *Checker) hostAddrs(ctx context.Context) ([]netip.Addr, error) {
	var addrs []netip.Addr
	for _, host := range c.MXHosts {
		for _, qtype := range []resolve.Type{resolve.TypeA, resolve.TypeAAAA} {
			a, err := c.Shared.Lookup(ctx, host, qtype)
			if err != nil {
				return nil, err
			}
			if a.Weak {
				return nil, &resolve.Error{Code: resolve.CodeMalformed, Name: host, Type: qtype, Detail: "DNS denies our own host, but without proof."}
			}
			addrs = append(addrs, a.Addrs...)
		}
	}
	return addrs, nil
}

func (p *pass) ours(ctx context.Context) ([]netip.Addr, error) {
	if len(p.SendingIPs) > 0 {
		return p.SendingIPs, nil
	}
	return p.hosts(ctx)
}

// dead asks the first question about a domain, the one for its MX records, and
// returns the error when the zone's servers do not answer at all: the other
// records live on the same servers, so a dead zone costs one timeout and not
// four.
func (p *pass) dead(ctx context.Context, t Target) error {
	for _, x := range t.Records {
		if x.Name != t.Domain {
			continue
		}
		err := p.try(ctx, x)
		var e *resolve.Error
		if errors.As(err, &e) && (e.Code == resolve.CodeTimeout || e.Code == resolve.CodeServFail) {
			return err
		}
		return nil
	}
	return nil
}

// try asks a record's own question and says what became of it. What panics
// here has no answer; the judge that asks next is told so.
func (p *pass) try(ctx context.Context, x Expectation) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			p.panicked(x)
		}
	}()
	_, err = p.first.ask(ctx, x.own(), false)
	return err
}

// pass is one check of one domain from all vantages.
type pass struct {
	*Checker
	onDemand bool
	// first is the everyday view; direct and second confirm what it says, and
	// are nil where they are not configured.
	first, direct, second *look
	// hosts gives the addresses of our MX hosts, which all judges of the pass
	// share: as they were at its first question for them.
	hosts func(context.Context) ([]netip.Addr, error)
}

func (c *Checker) newPass(ctx context.Context, domain string, o Options) *pass {
	p := &pass{Checker: c, onDemand: o.OnDemand, first: newLook(domain, c.Fresh, c.Shared)}
	hosts := sync.OnceValues(func() ([]netip.Addr, error) { return c.hostAddrs(ctx) })
	p.hosts = func(context.Context) ([]netip.Addr, error) { return hosts() }
	p.first.settle = true
	if o.OnDemand {
		p.first.soft = moreQueries
	}
	if c.Second != nil {
		other := elsewhere{p.first, c.Second}
		p.second = newLook(domain, other, other)
	}
	if c.Direct != nil {
		p.direct = newLook(domain, c.Direct, sceptic{c.Shared, c.Direct})
	}
	return p
}

func (p *pass) queries() int {
	n := 0
	for _, l := range []*look{p.first, p.direct, p.second} {
		if l != nil {
			n += l.budget.Queries()
		}
	}
	return n
}

// check judges one record, and confirms what speaks against it.
func (p *pass) check(ctx context.Context, x Expectation) Result {
	// Most checks find a record as it was: they ask nothing extra, and a
	// diagnosis later asks only what the first look did not.
	r := p.judge(ctx, p.first, x, false)
	seen := x.situation(r)
	if p.diagnoses(x, r.Verdict, seen) {
		r = p.judge(ctx, p.first, x, true)
		r.Diagnosed = true
	}
	r.Situation = seen
	if r.Verdict.Bad() && (x.Verified || p.onDemand) {
		r = p.confirm(ctx, x, r)
	}
	return r
}

// diagnoses says whether a look is worth extra questions; one that learned
// nothing never is.
func (p *pass) diagnoses(x Expectation, v Verdict, seen int64) bool {
	changed := x.Situation != 0 && x.Situation != seen
	return v != VerdictUnknown && (p.onDemand || changed || v.Bad() && x.Failures%diagnoseEvery == 0)
}

// judge runs the record's judge on what one look sees.
//
// It recovers: a judge reads what strangers publish, and one TXT record must
// not be able to stop the service for everybody; judges share nothing, so
// nothing is left half done. The record stays as it is.
func (p *pass) judge(ctx context.Context, l *look, x Expectation, diagnose bool) (r Result) {
	defer func() {
		if fault := recover(); fault != nil {
			p.panicked(x)
			r = x.result(VerdictUnknown, resolve.CodeMalformed)
			r.Detail = "We could not judge what DNS answered. The fault is ours."
			r.Hint = "Nothing to change yet; we keep asking."
		}
	}()
	rule := judges[x.Purpose]
	if rule == nil {
		return x.unknown(errors.New("no rule for this purpose"))
	}
	asked := &asker{look: l, x: x}
	r = rule(ctx, &env{
		resolver: asked, domain: l.domain, mxHosts: p.MXHosts,
		ours: p.ours, hostAddrs: p.hosts, suffix: p.Suffix, diagnose: diagnose,
	}, x)
	r.weak, r.Situation = asked.weak, otherSituation
	if a, ok := l.known(x.own()); ok && r.TTL == 0 {
		r.TTL = a.TTL
	}
	return r
}

// panicked logs a fault of ours where it happened.
func (p *pass) panicked(x Expectation) {
	p.Log.Error("judge panicked", "purpose", x.Purpose, "record_id", x.ID, "stack", string(debug.Stack()))
}

package dnscheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// WarnPropagating marks a record that only some of the zone's own servers
// publish as yet.
const WarnPropagating = "propagating"

// confirm looks again before a bad verdict may count: at the zone's own
// servers, and where those say nothing, from a second vantage. A match from
// anywhere wins, a bad look from everywhere confirms. Where nobody can be
// asked, the verdict stays unconfirmed.
//
// The verdict of a zone that DNSSEC proves bogus never comes here: that is
// VerdictUnknown, and the zone's own servers, which are asked without DNSSEC,
// must not overrule it.
func (p *pass) confirm(ctx context.Context, x Expectation, r Result) Result {
	for _, again := range []func(context.Context, Expectation, Result) (Result, bool){
		p.fromAuthority, p.fromSecond,
	} {
		if confirmed, ok := again(ctx, x, r); ok {
			return confirmed
		}
	}
	// A diagnosis has asked for more than decides, so judge without it again.
	if x.Verified && p.judge(ctx, p.first, x, false).weak {
		return x.unproven(r)
	}
	return r
}

// elsewhere asks each question at a server that has not answered it in the
// first look.
type elsewhere struct {
	first  *look
	second func(except netip.AddrPort) resolve.Resolver
}

// Lookup implements resolve.Resolver.
func (e elsewhere) Lookup(ctx context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	a, _ := e.first.known(question{name, qtype})
	return e.second(a.Server).Lookup(ctx, name, qtype)
}

// sceptic takes a no only from the sure one: what is missing at another name,
// such as the target of an include, must not be counted on the word of the
// resolver that said so first, or of a cache.
type sceptic struct{ quick, sure resolve.Resolver }

// Lookup implements resolve.Resolver.
func (s sceptic) Lookup(ctx context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	a, err := s.quick.Lookup(ctx, name, qtype)
	if err != nil || !a.Empty() {
		return a, err
	}
	return s.sure.Lookup(ctx, name, qtype)
}

// fromAuthority judges the record by what the zone's own servers say, each of
// their answers by itself; it returns false when they say nothing.
func (p *pass) fromAuthority(ctx context.Context, x Expectation, r Result) (Result, bool) {
	if p.direct == nil {
		return r, false
	}
	again := p.judge(ctx, p.direct, x, false)
	a, ok := p.direct.known(x.own())
	if !ok || a.Asked == 0 || again.Verdict == VerdictUnknown {
		return r, false
	}
	match, bad := again.votes(a)
	for _, variant := range a.Variants {
		m, b := p.judge(ctx, p.direct.with(x.own(), variant), x, false).votes(variant)
		match, bad = match+m, bad+b
	}
	switch {
	case match == a.Asked:
		return again.promoted(r.TTL), true
	case bad < a.Asked:
		return x.propagating(r, match, a.Asked), true
	}
	// The zone's servers are ahead of every cache: where they say something
	// else than the first look, it is their state that the customer wants to
	// read; where they say the same, the first look explains it better.
	if seen, _ := p.first.known(x.own()); sameData(seen, a) {
		again = r
	}
	again.TTL, again.Confirmed = r.TTL, true
	return again, true
}

// votes counts the servers that gave an answer for and against the record.
func (r Result) votes(a resolve.Answer) (match, bad int) {
	switch {
	case r.Verdict == VerdictMatch:
		return a.Agree, 0
	case r.Verdict.Bad():
		return 0, a.Agree
	}
	return 0, 0
}

// fromSecond judges the record by what other servers say; it returns false when
// they have no answer.
func (p *pass) fromSecond(ctx context.Context, x Expectation, r Result) (Result, bool) {
	if p.second == nil {
		return r, false
	}
	switch again := p.judge(ctx, p.second, x, false); again.Verdict {
	case VerdictUnknown:
		return r, false
	case VerdictMatch:
		// One positive answer is evidence, a negative one may be a stale
		// cache: the record is there for somebody, so it is not lost.
		return again.promoted(r.TTL), true
	default:
		r.Confirmed = true
		return r, true
	}
}

// promoted says of a match that some caches do not see it yet.
func (r Result) promoted(ttl time.Duration) Result {
	r.Detail = fmt.Sprintf("Published; caches need at most %d s to see it.", seconds(ttl))
	return r
}

// propagating is the verdict while the zone's servers contradict each other:
// for a new record what the first look said, for a verified one none at all,
// since a server that still has the record speaks against the loss.
func (x Expectation) propagating(r Result, match, asked int) Result {
	r.Detail = fmt.Sprintf("Published on %d of %d servers of the zone; caches need at most %d s.",
		match, asked, seconds(r.TTL))
	if match == 0 {
		r.Detail = fmt.Sprintf("The %d servers of the zone do not agree.", asked)
	}
	r.Hint = "Nothing to change if you have just edited it; otherwise compare the zone on all its servers."
	r.warn(WarnPropagating, r.Detail)
	r.Situation = otherSituation
	if x.Verified {
		r.Verdict = VerdictUnknown
	}
	return r
}

// unproven is what a denial without its SOA record is worth against a verified
// record when only one vantage saw it: nothing.
func (x Expectation) unproven(r Result) Result {
	u := x.result(VerdictUnknown, resolve.CodeMalformed)
	u.Detail = "DNS says that the record is gone, but without the SOA record that proves it (RFC 2308 section 5)."
	u.Hint = "Nothing to change yet; we keep asking."
	u.Warnings, u.TTL, u.Situation = r.Warnings, r.TTL, otherSituation
	return u
}

// seconds rounds up to whole seconds.
func seconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}

// sameData reports whether two answers hold the same MX or TXT records, in any
// order.
func sameData(a, b resolve.Answer) bool {
	return slices.Equal(data(a), data(b))
}

func data(a resolve.Answer) []string {
	var all []string
	for _, m := range a.MX {
		all = append(all, fmt.Sprintf("%d %s", m.Preference, m.Host))
	}
	for _, t := range a.TXT {
		all = append(all, t.Join())
	}
	slices.Sort(all)
	return all
}

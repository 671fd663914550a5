package dnscheck

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// missingKey says that no key record stands at the selector, and why not.
func (x Expectation) missingKey(ctx context.Context, e *env, answer resolve.Answer) Result {
	p := e.prober()
	if len(answer.Chain) > 0 && !x.wildcardAlias(ctx, p, answer) {
		return x.brokenAlias(e, answer)
	}
	if r, ok := x.proxied(ctx, e, p, answer); ok {
		return r
	}
	r := x.result(VerdictMissing, "dkim_missing")
	r.Detail, r.Hint = "No TXT record stands at "+x.Name+".", x.publish(e)
	if e.diagnose {
		x.misplacedKey(ctx, e, p, &r)
	}
	return r
}

// brokenAlias says that the selector is a CNAME that ends at no TXT record.
func (x Expectation) brokenAlias(e *env, answer resolve.Answer) Result {
	r := x.result(VerdictMissing, "dkim_cname_broken")
	target := printable(answer.Name, maxName)
	r.Detail = fmt.Sprintf("%s is a CNAME to %s, where no TXT record stands.", x.Name, target)
	r.Hint = "Remove the CNAME. " + x.publish(e)
	for _, name := range answer.Chain {
		r.Observed = append(r.Observed, "CNAME "+name)
	}
	r.Observed = observed(r.Observed)
	return r
}

// wildcardAlias reports whether a random name beside the selector is the same
// alias: then nobody made a CNAME for the selector.
func (x Expectation) wildcardAlias(ctx context.Context, p *prober, answer resolve.Answer) bool {
	_, parent, ok := strings.Cut(x.Name, ".")
	return ok && slices.Equal(p.ask(ctx, randomLabel()+"."+parent, resolve.TypeTXT).Chain, answer.Chain)
}

// proxied tells an address that stands in place of the text from a wildcard:
// only then does a random name beside it have none.
func (x Expectation) proxied(ctx context.Context, e *env, p *prober, answer resolve.Answer) (Result, bool) {
	if answer.NXDomain {
		return Result{}, false
	}
	addrs := p.addrs(ctx, x.Name).Addrs
	_, parent, ok := strings.Cut(x.Name, ".")
	if len(addrs) == 0 || !ok || !p.vacant(ctx, randomLabel()+"."+parent) {
		return Result{}, false
	}
	r := x.result(VerdictMissing, "dkim_proxied")
	r.Detail = fmt.Sprintf("%s has an address and no text: a proxy, or a record of the wrong type, stands in place of the TXT record.", x.Name)
	r.Hint = "Remove that record, or switch its proxy off. " + x.publish(e)
	for _, a := range addrs {
		r.Observed = append(r.Observed, a.String())
	}
	r.Observed = observed(r.Observed)
	return r, true
}

// misplacedKey looks for our key where it is entered by mistake.
func (x Expectation) misplacedKey(ctx context.Context, e *env, p *prober, r *Result) {
	want, err := dkim.Expect(x.Value, nil)
	if err != nil {
		return
	}
	ours := func(s string) bool {
		return want.Inspect([][]string{{s}}).Ours
	}
	selector, _, _ := strings.Cut(x.Name, "._domainkey.")
	doubles := e.doubled(x.Name)
	if name, ok := p.text(ctx, ours, doubles[0]); ok {
		x.sayDoubled(e, r, name)
		return
	}
	name, ok := p.text(ctx, ours, selector+"."+e.domain, selector+".domainkey."+e.domain, e.domain)
	switch {
	case ok && name == e.domain:
		r.Detail = fmt.Sprintf("The key stands at %s itself, not at %s.", e.domain, x.Name)
	case ok:
		r.Detail = fmt.Sprintf("The key stands at %s: the label _domainkey is missing in the name.", name)
	default:
		if name, ok = p.text(ctx, ours, doubles[1:]...); ok {
			x.sayDoubled(e, r, name)
		}
		return
	}
	r.Hint = fmt.Sprintf("Move the record: its host must be %s, with _domainkey in it and its underscore. The value stays: %s", x.host(e.domain), x.Value)
}

package dnscheck

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// codeNameDoubled warns that the value stands at name.domain.domain.
const codeNameDoubled = "name_doubled"

// maxName is the longest name in text form (RFC 1035 section 2.3.4).
const maxName = 253

// prober asks the extra questions of one record's diagnosis. What it learns
// only explains a verdict, so a failed lookup is as good as an empty one.
type prober struct {
	resolver resolve.Resolver
	suffix   suffixes
	left     int
}

func (e *env) prober() *prober {
	return &prober{resolver: e.resolver, suffix: e.suffix, left: maxProbes}
}

// ask returns what stands at a name; an empty answer when nothing does, when
// the lookup failed, or when the questions are used up.
func (p *prober) ask(ctx context.Context, name string, t resolve.Type) resolve.Answer {
	answer, _ := p.answer(ctx, name, t)
	return answer
}

// answer is what ask returns; false when nobody answered.
func (p *prober) answer(ctx context.Context, name string, t resolve.Type) (resolve.Answer, bool) {
	if p.left == 0 || len(name) > maxName {
		return resolve.Answer{}, false
	}
	p.left--
	answer, err := p.resolver.Lookup(ctx, name, t)
	if err != nil {
		return resolve.Answer{}, false
	}
	return answer, true
}

// vacant reports whether a name definitely has no address.
func (p *prober) vacant(ctx context.Context, name string) bool {
	for _, t := range []resolve.Type{resolve.TypeA, resolve.TypeAAAA} {
		if answer, ok := p.answer(ctx, name, t); !ok || len(answer.Addrs) > 0 {
			return false
		}
	}
	return true
}

// addrs returns the addresses of a name.
func (p *prober) addrs(ctx context.Context, name string) resolve.Answer {
	answer := p.ask(ctx, name, resolve.TypeA)
	if len(answer.Addrs) > 0 {
		return answer
	}
	return p.ask(ctx, name, resolve.TypeAAAA)
}

// text returns the first name of several at which a TXT record is accepted.
func (p *prober) text(ctx context.Context, accept func(string) bool, names ...string) (string, bool) {
	for _, name := range names {
		for _, t := range p.ask(ctx, name, resolve.TypeTXT).TXT {
			if accept(t.Join()) {
				return name, true
			}
		}
	}
	return "", false
}

// servers names the name servers of the zone that a domain is in, looking at
// the domain and at its registered parent.
func (p *prober) servers(ctx context.Context, domain string) string {
	hosts := p.ask(ctx, domain, resolve.TypeNS).Hosts
	if org := p.suffix.registered(domain); len(hosts) == 0 && org != domain {
		hosts = p.ask(ctx, org, resolve.TypeNS).Hosts
	}
	const shown = 4
	if len(hosts) > shown {
		hosts = hosts[:shown]
	}
	return printable(strings.Join(hosts, ", "), maxOctets)
}

// servedBy is the sentence that shows who answers for the zone, or "".
func (p *prober) servedBy(ctx context.Context, domain string) string {
	servers := p.servers(ctx, domain)
	if servers == "" {
		return ""
	}
	return " DNS for it is served by " + servers + ": a change made anywhere else has no effect."
}

// doubled lists the names at which a value ends up when the provider appends
// the zone to a name that already has it.
func (e *env) doubled(name string) []string {
	names := []string{name + "." + e.domain}
	if org := e.suffix.registered(e.domain); org != e.domain {
		names = append(names, name+"."+org)
	}
	return names
}

// zones lists the names that can be the zone that a domain is in: the domain
// itself, and those above it down to the registered one.
func (e *env) zones() []string {
	org := e.suffix.registered(e.domain)
	all := []string{e.domain}
	for name := e.domain; name != org; {
		var ok bool
		if _, name, ok = strings.Cut(name, "."); !ok {
			break
		}
		all = append(all, name)
	}
	return all
}

// randomLabel is a label of 128 bits that nobody published: what answers for
// it is a wildcard (RFC 4592).
func randomLabel() string { return strings.ToLower(rand.Text()) }

// joined returns the texts of an RRset.
func joined(texts []resolve.Text) []string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = t.Join()
	}
	return all
}

// host is the name as most providers want it: relative to the domain.
func (x Expectation) host(domain string) string {
	if x.Name == domain {
		return "@"
	}
	return strings.TrimSuffix(x.Name, "."+domain)
}

// publish is the hint that says which TXT record must stand where.
func (x Expectation) publish(e *env) string {
	return fmt.Sprintf("Publish exactly one TXT record at %s (host %s) with the value: %s",
		x.Name, x.host(e.domain), x.Value)
}

// sayDoubled says that the value was found with the domain appended twice.
func (x Expectation) sayDoubled(e *env, r *Result, at string) {
	r.Detail = fmt.Sprintf("The record stands at %s: the domain was appended twice.", at)
	r.Hint = fmt.Sprintf("Your DNS provider adds the domain to the host by itself. Enter only %s as the host, with the value: %s",
		x.host(e.domain), x.Value)
	r.warn(codeNameDoubled, r.Detail)
}

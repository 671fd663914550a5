package dnscheck

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// judgeMX looks at the MX records of the domain (RFC 5321 section 5.1).
func judgeMX(ctx context.Context, e *env, x Expectation) Result {
	answer, err := e.resolver.Lookup(ctx, x.Name, resolve.TypeMX)
	if err != nil {
		return x.unknown(err)
	}
	m := newMXSet(e, x, answer.MX)
	var r Result
	switch {
	case answer.Empty():
		r = m.missing(ctx, answer)
	case m.hasNull():
		r = m.null()
	case len(m.ours) > 0:
		r = m.rank()
	default:
		r = m.foreign(ctx)
	}
	r.TTL = answer.TTL
	r.Observed = observed(m.lines())
	if len(answer.Chain) > 0 && len(answer.MX) > 0 {
		r.warn("mx_owner_cname", fmt.Sprintf("%s is an alias: its MX records are those of %s. RFC 5321 allows this, but some senders do not follow it.",
			x.Name, printable(answer.Name, maxName)))
	}
	return r
}

// mxSet is a published RRset beside what is expected.
type mxSet struct {
	e       *env
	x       Expectation
	wanted  []string     // our hosts
	records []resolve.MX // by preference
	ours    []resolve.MX
	others  []resolve.MX
}

func newMXSet(e *env, x Expectation, published []resolve.MX) *mxSet {
	m := &mxSet{e: e, x: x}
	for _, h := range append([]string{x.Value}, e.mxHosts...) {
		if h = hostName(h); h != "" && !slices.Contains(m.wanted, h) {
			m.wanted = append(m.wanted, h)
		}
	}
	for _, rr := range published {
		m.records = append(m.records, resolve.MX{Host: hostName(rr.Host), Preference: rr.Preference})
	}
	slices.SortStableFunc(m.records, func(a, b resolve.MX) int {
		if a.Preference != b.Preference {
			return int(a.Preference) - int(b.Preference)
		}
		return strings.Compare(a.Host, b.Host)
	})
	for _, rr := range m.records {
		if slices.Contains(m.wanted, rr.Host) {
			m.ours = append(m.ours, rr)
		} else {
			m.others = append(m.others, rr)
		}
	}
	return m
}

func hostName(s string) string { return strings.TrimSuffix(strings.ToLower(s), ".") }

// lines shows the RRset as a person writes it.
func (m *mxSet) lines() []string {
	var lines []string
	for _, rr := range m.records {
		host := rr.Host
		if host == "" {
			host = "."
		}
		lines = append(lines, fmt.Sprintf("%d %s", rr.Preference, host))
	}
	return lines
}

func (m *mxSet) hasNull() bool {
	return slices.ContainsFunc(m.records, isNull)
}

// isNull reports whether a record says that the domain takes no mail
// (RFC 7505).
func isNull(rr resolve.MX) bool { return rr.Host == "" }

// publish is the hint that says which record must stand there.
func (m *mxSet) publish() string {
	return fmt.Sprintf("Publish an MX record at %s (host %s) with priority %d and the value: %s",
		m.x.Name, m.x.host(m.e.domain), m.x.Priority, m.x.Value)
}

func (m *mxSet) missing(ctx context.Context, answer resolve.Answer) Result {
	r := m.x.result(VerdictMissing, "mx_missing")
	r.Detail, r.Hint = m.x.Name+" has no MX record.", m.publish()
	p := m.e.prober()
	if len(answer.Chain) > 0 {
		r.Detail = fmt.Sprintf("%s is an alias of %s, which has no MX record.", m.x.Name, printable(answer.Name, maxName))
	}
	if !answer.NXDomain && len(p.addrs(ctx, m.x.Name).Addrs) > 0 {
		r.Detail += " Mail goes to the address of the name itself, its web host (implicit MX, RFC 5321 section 5.1)."
	}
	if !m.e.diagnose {
		return r
	}
	names := m.e.doubled(m.x.Name)
	if answer.NXDomain {
		names = names[1:] // nothing is below a name that does not exist (RFC 8020)
	}
	for _, name := range names {
		if len(newMXSet(m.e, m.x, p.ask(ctx, name, resolve.TypeMX).MX).ours) > 0 {
			m.x.sayDoubled(m.e, &r, name)
			return r
		}
	}
	r.Detail += p.servedBy(ctx, m.e.domain)
	return r
}

func (m *mxSet) null() Result {
	r := m.x.result(VerdictMismatch, "mx_null")
	r.Detail = m.x.Name + " has a null MX: it says that the domain takes no mail (RFC 7505)."
	r.Hint = "Remove the null MX record (priority 0, value a single dot). " + m.publish()
	if slices.ContainsFunc(m.records, func(rr resolve.MX) bool { return !isNull(rr) }) {
		r.Code = "mx_null_mixed"
		r.Detail = m.x.Name + " has a null MX beside other MX records. A null MX must stand alone (RFC 7505 section 3), so some senders refuse to send."
	}
	if len(m.ours) > 0 {
		r.Verdict = VerdictConflict
		r.Hint = "Remove the null MX record (priority 0, value a single dot) and keep the one to " + m.ours[0].Host + "."
	}
	return r
}

// rank judges an RRset that has ours: only the order of preferences counts.
func (m *mxSet) rank() Result {
	best := m.ours[0].Preference
	var before, equal, after []string
	for _, rr := range m.others {
		switch shown := printable(rr.Host, maxName); {
		case rr.Preference < best:
			before = append(before, shown)
		case rr.Preference == best:
			equal = append(equal, shown)
		default:
			after = append(after, shown)
		}
	}
	if len(before)+len(equal) > 0 {
		return m.conflict(before, equal)
	}
	r := m.x.result(VerdictMatch, "")
	if len(after) > 0 {
		r.warn("mx_foreign_backup", fmt.Sprintf("Mail goes to %s whenever our host cannot be reached, and may stay there: remove it.", list(after)))
	}
	if gone := m.unpublished(); len(gone) > 0 {
		r.warn("mx_partial", fmt.Sprintf("%s is missing: there is no fallback.", list(gone)))
	}
	return r
}

func (m *mxSet) conflict(before, equal []string) Result {
	r := m.x.result(VerdictConflict, "mx_conflict")
	switch {
	case len(before) > 0:
		r.Detail = fmt.Sprintf("Mail goes to %s first: a lower priority number is tried before ours.", list(before))
	default:
		r.Detail = fmt.Sprintf("Only part of the mail reaches us: %s has the same priority number as our host.", list(equal))
	}
	r.Hint = fmt.Sprintf("Remove the MX record to %s and keep the one to %s.", list(append(before, equal...)), m.ours[0].Host)
	return r
}

// unpublished lists those of our hosts that are not in the RRset.
func (m *mxSet) unpublished() []string {
	var gone []string
	for _, h := range m.wanted {
		if !slices.ContainsFunc(m.ours, func(rr resolve.MX) bool { return rr.Host == h }) {
			gone = append(gone, h)
		}
	}
	return gone
}

// foreign judges an RRset without ours: the first exchange that was meant to
// be ours tells what went wrong.
func (m *mxSet) foreign(ctx context.Context) Result {
	r := m.x.result(VerdictMismatch, "mx_not_ours")
	r.Detail = fmt.Sprintf("Mail for %s goes to %s, not to %s.", m.x.Name, m.hosts(), m.x.Value)
	r.Hint = "Remove the other MX records. " + m.publish()
	for _, rr := range m.records {
		if code, detail, hint := m.slip(rr.Host); code != "" {
			r.Code, r.Detail, r.Hint = code, detail, hint
			return r
		}
	}
	p := m.e.prober()
	if host, ok := m.alias(ctx, p); ok {
		r.Code = "mx_alias"
		r.Detail = fmt.Sprintf("%s leads to our host under another name. An MX record must not name an alias (RFC 2181 section 10.3), and our TLS certificate is for %s only.", host, m.x.Value)
		r.Hint = fmt.Sprintf("Replace %s by our own name. %s", host, m.publish())
		return r
	}
	m.wildcard(ctx, p, &r)
	return r
}

func (m *mxSet) hosts() string {
	var shown []string
	for _, rr := range m.records {
		if s := printable(rr.Host, maxName); !slices.Contains(shown, s) {
			shown = append(shown, s)
		}
	}
	return list(shown)
}

// slip recognises, from its text alone, an exchange that was meant to be ours.
func (m *mxSet) slip(host string) (code, detail, hint string) {
	shown := printable(host, maxName)
	for _, h := range m.wanted {
		for _, zone := range m.e.zones() {
			if host == h+"."+zone {
				return "mx_target_doubled",
					fmt.Sprintf("The MX record names %s: the domain was appended to our host.", shown),
					fmt.Sprintf("Enter the value with a final dot, as %s., or as your provider marks a full name.", h)
			}
		}
	}
	switch {
	case isAddress(host), isAddress(strings.TrimSuffix(host, "."+m.e.domain)):
		return "mx_is_address",
			fmt.Sprintf("The MX record names %s, an address. It must name a host (RFC 1035 section 3.3.9), so no mail can be delivered.", shown),
			"Replace the address by our host. " + m.publish()
	case strings.HasPrefix(host, "_dc-mx."):
		return "mx_proxied",
			fmt.Sprintf("The MX record names %s: your DNS provider (Cloudflare) put its proxy in front of the mail host.", shown),
			"Replace the proxied record and switch the proxy off for mail. " + m.publish()
	}
	return "", "", ""
}

// isAddress reports whether a host is an IP address, or can only be one.
func isAddress(host string) bool {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	digits := strings.ReplaceAll(strings.Trim(host, "[]"), ".", "")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

// maxAliases bounds the exchanges whose addresses are looked at.
const maxAliases = 2

// alias finds an exchange that leads to our host by CNAME or by address.
func (m *mxSet) alias(ctx context.Context, p *prober) (string, bool) {
	var addrs []netip.Addr
	if m.e.hostAddrs != nil {
		addrs, _ = m.e.hostAddrs(ctx) // without them the CNAMEs still tell
	}
	var seen []string
	for _, rr := range m.records {
		if slices.Contains(seen, rr.Host) {
			continue
		}
		if len(seen) == maxAliases {
			break
		}
		seen = append(seen, rr.Host)
		answer := p.addrs(ctx, rr.Host)
		if m.leadsToUs(answer, addrs) {
			return printable(rr.Host, maxName), true
		}
	}
	return "", false
}

func (m *mxSet) leadsToUs(answer resolve.Answer, ours []netip.Addr) bool {
	for _, name := range answer.Chain {
		if slices.Contains(m.wanted, hostName(name)) {
			return true
		}
	}
	foreign := func(a netip.Addr) bool { return !slices.Contains(ours, a) }
	return len(answer.Addrs) > 0 && !slices.ContainsFunc(answer.Addrs, foreign)
}

// wildcard says so when the RRset belongs to every name beside the domain.
func (m *mxSet) wildcard(ctx context.Context, p *prober, r *Result) {
	_, parent, ok := strings.Cut(m.x.Name, ".")
	if !m.e.diagnose || !ok || m.e.suffix.registered(m.e.domain) == m.e.domain {
		return
	}
	other := newMXSet(m.e, m.x, p.ask(ctx, randomLabel()+"."+parent, resolve.TypeMX).MX)
	if len(other.records) > 0 && slices.Equal(other.records, m.records) {
		r.warn("mx_wildcard", fmt.Sprintf("The MX records come from a wildcard, *.%s: %s has none of its own.", parent, m.x.Name))
	}
}

// list writes at most maxShown items as text.
func list(items []string) string {
	if len(items) > maxShown {
		items = append(slices.Clone(items[:maxShown]), fmt.Sprintf(moreFormat, len(items)-maxShown))
	}
	return strings.Join(items, ", ")
}

package dnscheck_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/resolve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ourMX  = "mx.mail.example"
	domain = "customer.example"
	dkimAt = "sel._domainkey." + domain
)

// own are the questions that the four records stand or fall with.
var own = []string{domain + " MX", domain + " TXT", dkimAt + " TXT", "_dmarc." + domain + " TXT"}

// view is what one vantage sees: answers by "name TYPE". Names that are not in
// it have no data.
type view struct {
	mu      sync.Mutex
	answers map[string]resolve.Answer
	errs    map[string]error
	asked   map[string]int
}

func newView() *view {
	return &view{answers: map[string]resolve.Answer{}, errs: map[string]error{}, asked: map[string]int{}}
}

func typeName(t resolve.Type) string {
	return map[resolve.Type]string{
		resolve.TypeA: "A", resolve.TypeAAAA: "AAAA", resolve.TypeMX: "MX", resolve.TypeTXT: "TXT",
		resolve.TypeNS: "NS", resolve.TypeSOA: "SOA", resolve.TypeCNAME: "CNAME",
	}[t]
}

func (v *view) Lookup(_ context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	key := name + " " + typeName(qtype)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked[key]++
	if err := v.errs[key]; err != nil {
		return resolve.Answer{}, err
	}
	if err := v.errs["*"]; err != nil {
		return resolve.Answer{}, err
	}
	a, ok := v.answers[key]
	if !ok {
		a = v.answers["*"]
		a.TTL = 30 * time.Second
	}
	a.Name = name
	return a, nil
}

func (v *view) total() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, k := range v.asked {
		n += k
	}
	return n
}

func (v *view) count(key string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked[key]
}

func (v *view) set(key string, a resolve.Answer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answers[key] = a
}

func (v *view) fail(key, code string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.errs[key] = &resolve.Error{Code: code, Name: key, Detail: "as the test wants it"}
}

func txt(s string) resolve.Answer {
	return resolve.Answer{TTL: time.Minute, TXT: []resolve.Text{{Strings: []string{s}}}}
}

func mx(host string) resolve.Answer {
	return resolve.Answer{TTL: time.Minute, MX: []resolve.MX{{Host: host, Preference: 10}}}
}

// published is a view in which everything is as it should be.
func published() *view {
	v := newView()
	v.answers[domain+" MX"] = mx(ourMX)
	v.answers[domain+" TXT"] = txt("v=spf1 ip4:192.0.2.25 ~all")
	v.answers[dkimAt+" TXT"] = txt(testKey)
	v.answers["_dmarc."+domain+" TXT"] = txt("v=DMARC1; p=none;")
	return v
}

const testKey = "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAnpz+ZF94nTNRGWLKU+gFrleKW2Iwv/J5bXrGStkRS1HVJY9s6plAyNuIg1Q3/Th5kQ0/QIIgBNiEFqlYM1nTSMsCqxyDzK9r/tcNEZQPkIDa9YCkeeysyFo+sC/smLWE7BPOYJwVXfIJlackPpqsiJ5SvXC8PYcFxIB+tyA+Gz69gYx9O1z1Zrdrlhxy58P1WzbPFjZ8jCD+MolQhQT3duJTS8WbfPTIf1PBoIjBvuTEYMmQEhPUp/dzTqDyN5cDsyAc6Vev2KRb9fccRW1g1jm+EMCw0KZntpQ+hRr/vxPhN2EZ/ZdLVqOQWRrcqk48rtt2heHGI496BI9l+SPvpwIDAQAB"

// target is the domain with its four records, in the order of the plan.
func target() dnscheck.Target {
	return dnscheck.Target{Domain: domain, Records: []dnscheck.Expectation{
		{ID: 1, Purpose: dnscheck.PurposeMX, Name: domain, Value: ourMX, Priority: 10},
		{ID: 2, Purpose: dnscheck.PurposeSPF, Name: domain, Value: "v=spf1 ip4:192.0.2.25 ~all"},
		{ID: 3, Purpose: dnscheck.PurposeDKIM, Name: dkimAt, Value: testKey},
		{ID: 4, Purpose: dnscheck.PurposeDMARC, Name: "_dmarc." + domain, Value: "v=DMARC1; p=none;"},
	}}
}

// verified is target after all of it went active.
func verified() dnscheck.Target {
	t := target()
	for i := range t.Records {
		t.Records[i].Verified = true
	}
	return t
}

func checker(first resolve.Resolver) dnscheck.Config {
	return dnscheck.Config{
		Fresh: first, Shared: first, MXHosts: []string{ourMX},
		Now: func() time.Time { return time.Unix(1_700_000_000, 0) },
	}
}

// verdicts are the results in one line: "match missing(mx_missing)! …", with !
// for confirmed ones.
func verdicts(r dnscheck.Report) string {
	var all []string
	for _, x := range r.Results {
		s := string(x.Verdict)
		if x.Code != "" {
			s += fmt.Sprintf("(%s)", x.Code)
		}
		if x.Confirmed {
			s += "!"
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

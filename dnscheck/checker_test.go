package dnscheck_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/resolve"
)

func TestCheckAllPublished(t *testing.T) {
	c := dnscheck.NewChecker(checker(published()))
	r := c.Check(t.Context(), target(), dnscheck.Options{})
	if got, want := verdicts(r), "match match match match"; got != want {
		t.Fatalf("verdicts %q, want %q: %+v", got, want, r.Results)
	}
	for i, x := range r.Results {
		if x.ID != int64(i+1) || x.CheckedAt != time.Unix(1_700_000_000, 0) || x.TTL != time.Minute {
			t.Errorf("result %d: ID %d, checked at %v, TTL %v", i, x.ID, x.CheckedAt, x.TTL)
		}
	}
	if r.Domain != domain {
		t.Errorf("report for %s, want %s", r.Domain, domain)
	}
}

func TestSweepOfVerifiedAsksOnlyWhatItMust(t *testing.T) {
	v := published()
	r := dnscheck.NewChecker(checker(v)).Check(t.Context(), verified(), dnscheck.Options{})
	if r.Queries != 4 {
		t.Errorf("%d questions, want 4: %v", r.Queries, v.asked)
	}
	for failures, probed := range map[int]bool{0: true, 1: false, 9: false, 10: true} {
		v, x := published(), verified()
		v.set(dkimAt+" TXT", resolve.Answer{})
		x.Records[2].Failures = failures
		r = dnscheck.NewChecker(checker(v)).Check(t.Context(), x, dnscheck.Options{})
		doubled := v.count(dkimAt+"."+domain+" TXT") > 0
		if doubled != probed || r.Results[2].Verdict != dnscheck.VerdictMissing {
			t.Errorf("after %d bad looks: verdict %s, probed %v", failures, r.Results[2].Verdict, doubled)
		}
	}
}

func TestDeadZoneCostsOneQuestion(t *testing.T) {
	for _, code := range []string{resolve.CodeTimeout, resolve.CodeServFail} {
		v := published()
		v.fail(domain+" MX", code)
		r := dnscheck.NewChecker(checker(v)).Check(t.Context(), target(), dnscheck.Options{OnDemand: true})
		want := strings.TrimSpace(strings.Repeat("unknown("+code+") ", 4))
		if got := verdicts(r); got != want {
			t.Errorf("%s: verdicts %q, want %q", code, got, want)
		}
		if v.total() != 1 {
			t.Errorf("%s: asked %d questions, want 1: %v", code, v.total(), v.asked)
		}
	}
}

func TestOneDeadNameIsNotADeadZone(t *testing.T) {
	v, x := published(), target()
	v.fail(dkimAt+" TXT", resolve.CodeTimeout)
	x.Records = []dnscheck.Expectation{x.Records[2], x.Records[3], x.Records[0]}
	x.Records[0].Situation = 1
	r := dnscheck.NewChecker(checker(v)).Check(t.Context(), x, dnscheck.Options{})
	if got, want := verdicts(r), "unknown(dns_timeout) match match"; got != want {
		t.Errorf("verdicts %q, want %q", got, want)
	}
	if r.Results[0].Diagnosed {
		t.Error("there is nothing to diagnose where nothing was learned")
	}
}

func TestRefusedZoneIsAskedOn(t *testing.T) {
	v := published()
	v.fail(domain+" MX", resolve.CodeRefused)
	r := dnscheck.NewChecker(checker(v)).Check(t.Context(), target(), dnscheck.Options{})
	if got, want := verdicts(r), "unknown(dns_refused) match match match"; got != want {
		t.Errorf("verdicts %q, want %q", got, want)
	}
}

func TestMissingDomainIsAskedOnce(t *testing.T) {
	gone := resolve.Answer{NXDomain: true, TTL: time.Minute}
	for _, tt := range []struct {
		name   string
		change func(*resolve.Answer)
		inside int // own questions of the four records
	}{
		{"nxdomain settles all", func(*resolve.Answer) {}, 1},
		{"without SOA it settles nothing", func(a *resolve.Answer) { a.Weak = true }, 4},
		{"behind an alias the domain exists", func(a *resolve.Answer) { a.Chain = []string{"gone.example"} }, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, a := newView(), gone
			tt.change(&a)
			v.answers["*"] = a
			for _, key := range own {
				v.set(key, a)
			}
			x := target()
			for i := range x.Records {
				x.Records[i].Failures = 1 // no diagnosis
			}
			r := dnscheck.NewChecker(checker(v)).Check(t.Context(), x, dnscheck.Options{})
			for _, res := range r.Results {
				if res.Verdict != dnscheck.VerdictMissing {
					t.Errorf("%s: %s %s, want missing", res.Purpose, res.Verdict, res.Code)
				}
			}
			n := 0
			for _, key := range own {
				n += v.count(key)
			}
			if n != tt.inside {
				t.Errorf("asked %d questions inside, want %d: %v", n, tt.inside, v.asked)
			}
		})
	}
}

func TestDisabledMXIsNotAsked(t *testing.T) {
	v := published()
	x := target()
	x.Records = x.Records[1:]
	r := dnscheck.NewChecker(checker(v)).Check(t.Context(), x, dnscheck.Options{})
	if got, want := verdicts(r), "match match match"; got != want {
		t.Errorf("verdicts %q, want %q", got, want)
	}
	if v.count(domain+" MX") != 0 {
		t.Error("asked for a record that is not in the target")
	}
}

func TestOwnNamesAreFreshOthersShared(t *testing.T) {
	fresh, shared := published(), newView()
	fresh.set(domain+" TXT", txt("v=spf1 include:spf.vendor.example ~all"))
	shared.set("spf.vendor.example TXT", txt("v=spf1 ip4:192.0.2.25 -all"))
	cfg := checker(fresh)
	cfg.Shared = shared
	shared.set(ourMX+" A", resolve.Answer{Addrs: addrs("192.0.2.25")})
	r := dnscheck.NewChecker(cfg).Check(t.Context(), target(), dnscheck.Options{})
	if got, want := verdicts(r), "match match match match"; got != want {
		t.Errorf("verdicts %q, want %q: %+v", got, want, r.Results[1])
	}
	for key := range fresh.asked {
		if !strings.HasSuffix(strings.Fields(key)[0], domain) {
			t.Errorf("asked %s past the cache", key)
		}
	}
	for key := range shared.asked {
		if strings.HasSuffix(strings.Fields(key)[0], "."+domain) {
			t.Errorf("asked %s out of the cache", key)
		}
	}
}

type panicking struct {
	resolve.Resolver
	at string
}

func (p panicking) Lookup(ctx context.Context, name string, qtype resolve.Type) (resolve.Answer, error) {
	if name+" "+typeName(qtype) == p.at {
		panic("a bug")
	}
	return p.Resolver.Lookup(ctx, name, qtype)
}

func TestPanicIsOneUnknownRecord(t *testing.T) {
	for at, want := range map[string]string{
		dkimAt + " TXT": "match match unknown(dns_malformed) match",
		domain + " MX":  "unknown(dns_malformed) match match match", // it is asked for before all others
	} {
		cfg := checker(panicking{published(), at})
		var log strings.Builder
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		r := dnscheck.NewChecker(cfg).Check(t.Context(), target(), dnscheck.Options{})
		if got := verdicts(r); got != want {
			t.Errorf("%s: verdicts %q, want %q", at, got, want)
		}
		if !strings.Contains(log.String(), "record_id=") {
			t.Errorf("%s: the panic is not in the log: %s", at, log.String())
		}
	}
}

// However many questions the judges would like to ask, explanations stop
// before the bound.
func TestQuestionsAreBounded(t *testing.T) {
	const shared = 2 // the addresses of our own host
	for onDemand, limit := range map[bool]int{false: 14, true: 20} {
		v := newView()
		r := dnscheck.NewChecker(checker(v)).Check(t.Context(), target(), dnscheck.Options{OnDemand: onDemand})
		if len(r.Results) != 4 || r.Queries > limit || v.total() > r.Queries+shared {
			t.Errorf("on demand %v: %d results after %d (%d) questions", onDemand, len(r.Results), r.Queries, v.total())
		}
	}
}

func TestCanary(t *testing.T) {
	v := newView()
	c := dnscheck.NewChecker(checker(v))
	if err := c.Canary(t.Context()); err != nil {
		t.Errorf("a definite no is no trouble: %v", err)
	}
	v.fail(ourMX+" A", resolve.CodeTimeout)
	var e *resolve.Error
	if err := c.Canary(t.Context()); !errors.As(err, &e) {
		t.Errorf("error %v, want a *resolve.Error", err)
	}
}

// Whatever fails, each expectation has its result, and a record whose own
// question failed is unknown.
func TestFaultsAreNeverEvidence(t *testing.T) {
	codes := []string{
		resolve.CodeServFail, resolve.CodeRefused, resolve.CodeTimeout, resolve.CodeMalformed, resolve.CodeLame,
		resolve.CodeTruncated, resolve.CodeBogus, resolve.CodeCNAMELoop, "something_new",
	}
	rapid.Check(t, func(t *rapid.T) {
		v := published()
		for _, key := range own {
			if rapid.Bool().Draw(t, "fails") {
				v.fail(key, rapid.SampledFrom(codes).Draw(t, "code"))
			}
			if rapid.Bool().Draw(t, "empty") {
				delete(v.answers, key)
			}
		}
		x := rapid.SampledFrom([]dnscheck.Target{target(), verified()}).Draw(t, "target")
		cfg := checker(v)
		if rapid.Bool().Draw(t, "direct") {
			cfg.Direct = v
		}
		r := dnscheck.NewChecker(cfg).Check(context.Background(), x, dnscheck.Options{OnDemand: rapid.Bool().Draw(t, "on demand")})
		if len(r.Results) != len(x.Records) {
			t.Fatalf("%d results for %d records", len(r.Results), len(x.Records))
		}
		for i, res := range r.Results {
			if res.ID != x.Records[i].ID || res.Purpose != x.Records[i].Purpose {
				t.Fatalf("result %d is for record %d", i, res.ID)
			}
			if v.errs[own[i]] != nil && res.Verdict != dnscheck.VerdictUnknown {
				t.Fatalf("%s: %s in spite of %v", res.Purpose, res.Verdict, v.errs[own[i]])
			}
		}
	})
}

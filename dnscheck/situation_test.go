package dnscheck_test

import (
	"slices"
	"testing"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/resolve"
)

const dmarcAt = "_dmarc." + domain

// A scheduled look explains what is new to it, and nothing twice.
func TestDiagnosisOfWhatChanged(t *testing.T) {
	doubled := published()
	doubled.set(dmarcAt+" TXT", resolve.Answer{})
	doubled.set(dmarcAt+"."+domain+" TXT", txt("v=DMARC1; p=none;"))
	first := dnscheck.NewChecker(checker(doubled)).Check(t.Context(), target(), dnscheck.Options{OnDemand: true})
	was := first.Results[3]
	warned := slices.ContainsFunc(was.Warnings, func(w dnscheck.Warning) bool { return w.Code == "name_doubled" })
	if !was.Diagnosed || was.Situation <= 0 || !warned {
		t.Fatalf("on demand: %+v", was)
	}
	later := func(v *view) dnscheck.Result {
		x := target()
		for i, r := range first.Results {
			x.Records[i].Situation, x.Records[i].Failures = r.Situation, 3
		}
		return dnscheck.NewChecker(checker(v)).Check(t.Context(), x, dnscheck.Options{}).Results[3]
	}
	asked := doubled.total()
	r := later(doubled)
	if r.Diagnosed || r.Situation != was.Situation || r.Verdict != was.Verdict {
		t.Errorf("unchanged: %+v", r)
	}
	if n := doubled.total() - asked; n > 8 {
		t.Errorf("%d questions about what is known", n)
	}
	for name, change := range map[string]func(*view){
		"another text": func(v *view) { v.set(dmarcAt+" TXT", txt("hello")) },
		"now right":    func(v *view) { v.set(dmarcAt+" TXT", txt("v=DMARC1; p=none;")) },
	} {
		v := published()
		change(v)
		if r := later(v); !r.Diagnosed || r.Situation <= 0 || r.Situation == was.Situation {
			t.Errorf("%s: %+v", name, r)
		}
	}
	v := published()
	v.fail(dmarcAt+" TXT", resolve.CodeServFail)
	if r := later(v); r.Situation > 0 {
		t.Errorf("a look that learned nothing has the situation %d", r.Situation)
	}
}

func TestSituationHasNoOrder(t *testing.T) {
	texts := []resolve.Text{
		{Strings: []string{"v=DMARC1; p=none"}}, {Strings: []string{"hello, world"}}, {Strings: []string{"v=DMARC1; p=reject"}},
	}
	situation := func(texts []resolve.Text) int64 {
		v := published()
		v.set(dmarcAt+" TXT", resolve.Answer{TXT: texts})
		return dnscheck.NewChecker(checker(v)).Check(t.Context(), target(), dnscheck.Options{}).Results[3].Situation
	}
	forth := situation(texts)
	back := slices.Clone(texts)
	slices.Reverse(back)
	if got := situation(back); got != forth {
		t.Errorf("%d and, in another order, %d", forth, got)
	}
	if got := situation(texts[1:]); got == forth {
		t.Errorf("%d with a record less too", got)
	}
}

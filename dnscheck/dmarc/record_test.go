package dmarc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"

	"github.com/domaind/domaind/dnscheck/resolve"
)

func TestParse(t *testing.T) {
	cases := []struct {
		text   string
		err    bool // a *SyntaxError
		policy Policy
		sub    Policy // of an existing subdomain
		none   Policy // of one that does not exist
		rua    int
	}{
		{text: "v=DMARC1;p=none", policy: PolicyNone, sub: PolicyNone, none: PolicyNone},
		{text: "V\t=\tDMARC1; P=REJECT; sp=quarantine; np=none", policy: PolicyReject, sub: PolicyQuarantine, none: PolicyNone},
		{text: "v=DMARC1; p=reject; sp=quarantine; t=y", policy: PolicyQuarantine, sub: PolicyNone, none: PolicyNone},
		{text: "v=DMARC1; p=none; t=y", policy: PolicyNone, sub: PolicyNone, none: PolicyNone},
		{text: "v=DMARC1; p=reject; sp=x; rua=mailto:a@b.example", policy: PolicyNone, sub: PolicyNone, none: PolicyNone, rua: 1},
		{text: "v=DMARC1; rua=mailto:a@b.example!10m , https://c.example/r", policy: PolicyNone, sub: PolicyNone, none: PolicyNone, rua: 2},
		{text: "v=DMARC1; ;p=none;;", policy: PolicyNone, sub: PolicyNone, none: PolicyNone},
		{text: "v=DMARC1; p=none; junk; =x; a=", policy: PolicyNone, sub: PolicyNone, none: PolicyNone},
		{text: "v=DMARC1", err: true},
		{text: "v=DMARC1; p=reject; np=x", err: true},
		{text: "v=DMARC1; p=none; rua=mailto:a@b.example; rua=mailto:c@b.example", err: true, rua: 1},
		{text: "v=DMARC1; v=DMARC1; p=none", err: true},
	}
	for _, c := range cases {
		rec, err := Parse(c.text)
		var se *SyntaxError
		if errors.As(err, &se) != c.err || !c.err && err != nil {
			t.Errorf("%q: error %v", c.text, err)
			continue
		}
		if len(rec.RUA) != c.rua {
			t.Errorf("%q: rua %v", c.text, rec.RUA)
		}
		if !c.err && (rec.Policy() != c.policy || rec.SubdomainPolicy(true) != c.sub || rec.SubdomainPolicy(false) != c.none) {
			t.Errorf("%q: %s, %s, %s", c.text, rec.Policy(), rec.SubdomainPolicy(true), rec.SubdomainPolicy(false))
		}
	}
	for _, text := range []string{"", "v=dmarc1; p=none", " v=DMARC1; p=none", "p=none; v=DMARC1", "v=DMARC1 p=none", "v=spf1 -all"} {
		if _, err := Parse(text); !errors.Is(err, ErrNotDMARC) {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

func TestURISame(t *testing.T) {
	base, ok := parseURI("mailto:reports@Example.com")
	if !ok || base.Host != "example.com" {
		t.Fatalf("%+v", base)
	}
	for text, want := range map[string]bool{
		"MAILTO:reports@example.COM":       true,
		"mailto:r%65ports@example.com!50k": true,
		"mailto:Reports@example.com":       false,
		"mailto:reports@example.org":       false,
		"https://example.com/reports":      false,
	} {
		u, ok := parseURI(text)
		if !ok || u.Same(base) != want {
			t.Errorf("%s: valid %v, same %v", text, ok, u.Same(base))
		}
	}
	for _, text := range []string{"", "a@example.com", "mailto:", "mailto:a", "mailto:@b.example", "mailto:a@b..c", "mailto:a@b c", "http://", "mailto:a!b@c.example", "https://a%e2%80%aeb.example/"} {
		if u, ok := parseURI(text); ok {
			t.Errorf("%q is valid: %+v", text, u)
		}
	}
}

// texts answers with one text for each name, and with nothing for others.
type texts map[string]string

func (m texts) Lookup(_ context.Context, name string, _ resolve.Type) (resolve.Answer, error) {
	switch s, ok := m[name]; {
	case s == "broken":
		return resolve.Answer{}, &resolve.Error{Code: resolve.CodeTimeout, Name: name}
	case ok:
		return resolve.Answer{Name: name, TXT: []resolve.Text{{Strings: []string{s}}}}, nil
	}
	return resolve.Answer{Name: name, NXDomain: true}, nil
}

func TestInherited(t *testing.T) {
	const none, reject = "v=DMARC1; p=none", "v=DMARC1; p=reject"
	cases := []struct {
		name string
		zone texts
		want string
		seen int
		err  bool
	}{
		{name: "nothing"},
		{name: "the fewest labels win", zone: texts{"_dmarc.mail.example.com": none, "_dmarc.example.com": reject}, want: "example.com", seen: 2},
		{name: "psd=n stops", zone: texts{"_dmarc.mail.example.com": none + "; psd=n", "_dmarc.example.com": reject}, want: "mail.example.com", seen: 1},
		{name: "below psd=y", zone: texts{"_dmarc.mail.example.com": none, "_dmarc.example.com": reject + "; psd=y"}, want: "mail.example.com", seen: 2},
		{name: "two below psd=y", zone: texts{"_dmarc.a.mail.example.com": none, "_dmarc.example.com": reject + "; psd=y"}, seen: 2},
		{name: "unusable is none", zone: texts{"_dmarc.example.com": "v=DMARC1; adkim=s"}},
		{name: "a suffix is not asked", zone: texts{"_dmarc.com": "broken"}},
		{name: "broken", zone: texts{"_dmarc.example.com": "broken"}, err: true},
	}
	for _, c := range cases {
		found, seen, err := Inherited(context.Background(), c.zone, "x.a.mail.example.com", registry)
		if found.Domain != c.want || len(seen) != c.seen || (err != nil) != c.err {
			t.Errorf("%s: %q, %d seen, %v", c.name, found.Domain, len(seen), err)
		}
	}
}

// registry stands for the list of public suffixes.
func registry(name string) bool {
	suffix, icann := publicsuffix.PublicSuffix(name)
	return suffix == name && (icann || !strings.Contains(name, "."))
}

func TestParents(t *testing.T) {
	for domain, want := range map[string][]string{
		"example.com":         nil,
		"a.example.com":       {"example.com"},
		"a.example.co.uk":     {"example.co.uk"},
		"shop.github.io":      {"github.io"},
		"a.test":              nil,
		"1.2.3.4.5.6.7.8.com": {"3.4.5.6.7.8.com", "4.5.6.7.8.com", "5.6.7.8.com", "6.7.8.com", "7.8.com", "8.com"},
	} {
		if got := parents(domain, registry); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"v=DMARC1; p=reject; sp=none; np=quarantine; t=y; psd=n; pct=5; rua=mailto:a@b.example!10m,x:y; fo=1",
		"v=dmarc1", "\ufeffv=DMARC1; p=none", "v=DMARC1 p=none", "v=DMARC2", "_dmarc v=DMARC1", "p=none", ";=;", "\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := Parse(text)
		miss := NearMiss(text)
		if !errors.Is(err, ErrNotDMARC) && miss != "" {
			t.Errorf("%q is a record and a near miss: %s", text, miss)
		}
		if err == nil && rec.Policy() == PolicyAbsent {
			t.Errorf("%q has no policy and no error", text)
		}
		for _, u := range rec.RUA {
			if !u.Same(u) || u.Host == "" {
				t.Errorf("%q: %+v", text, u)
			}
		}
	})
}

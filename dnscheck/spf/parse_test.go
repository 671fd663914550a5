package spf

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"v=spf1":                                  "",
		"V=SPF1 ":                                 "",
		"v=spf1  -ALL  ":                          "all-",
		"v=spf1 a a/24 a//64 a/24//64":            "a+/32//128 a+/24//128 a+/32//64 a+/24//64",
		"v=spf1 ?a:b.example/0 mx:c.example.":     "a?b.example/0//128 mx+c.example./32//128",
		"v=spf1 ip4:192.0.2.1 ~ip4:192.0.2.9/24":  "ip4+192.0.2.1/32 ip4~192.0.2.0/24",
		"v=spf1 ip6:2001:DB8::/32 ip6:::1":        "ip6+2001:db8::/32 ip6+::1/128",
		"v=spf1 ip6:::ffff:192.0.2.1/128":         "ip6+::ffff:192.0.2.1/128",
		"v=spf1 include:%{d1r}.x.example ptr":     "include+%{d1r}.x.example ptr+",
		"v=spf1 exists:%{ir}.%{l-+/}%%.%{d2}":     "exists+%{ir}.%{l-+/}%%.%{d2}",
		"v=spf1 redirect=a.example exp=e.example": "redirect a.example exp e.example",
		"v=spf1 Moo.x-1_2=%{c} all":               "unknown all+",
		"v=spf1 a:a_b.example/24":                 "a+a_b.example/24//128",
		"v=spf1 include:a.example/x.example":      "include+a.example/x.example",
		"v=spf1 include=a.example":                "unknown",
	} {
		r, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := dump(r); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func dump(r Record) string {
	var out []string
	for _, t := range r.Terms {
		s := string(t.Kind)
		if t.Kind.Mechanism() {
			s += string(t.Qualifier)
		} else if !t.Domain.Empty() {
			s += " "
		}
		s += t.Domain.String()
		switch t.Kind {
		case KindIP4, KindIP6:
			s += t.Prefix.String()
		case KindA, KindMX:
			s += "/" + strconv.Itoa(t.Len4) + "//" + strconv.Itoa(t.Len6)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]struct {
		column int
		reason string
	}{
		"v=spf1 ipv4:192.0.2.1 -all":                   {8, `"ip4:"`},
		"v=spf1 a -allx":                               {11, "no mechanism"},
		"v=spf1 include: a.example":                    {16, "after the colon"},
		"v=spf1 include :a.example":                    {15, "needs a colon"},
		"v=spf1 include:a.example, -all":               {16, "comma"},
		"v=spf1 a, mx -all":                            {8, "comma"},
		"v=spf1 , -all":                                {8, "separator"},
		"v=spf1 a:192.0.2.1":                           {10, "ip4:"},
		"v=spf1 a:b":                                   {10, "full domain name"},
		"v=spf1 a:b.example/33":                        {19, "prefix length"},
		"v=spf1 a:b.example/24/64":                     {19, "prefix length"},
		"v=spf1 a/024":                                 {9, "prefix length"},
		"v=spf1 a/":                                    {9, "prefix length"},
		"v=spf1 ip4:192.0.2.1/33":                      {21, "prefix length"},
		"v=spf1 ip4:192.0.2":                           {12, "IPv4"},
		"v=spf1 ip4:192.0.02.1":                        {12, "IPv4"},
		"v=spf1 ip4:2001:db8::1":                       {12, "use ip6:"},
		"v=spf1 ip6:192.0.2.1":                         {12, "use ip4:"},
		"v=spf1 ip6:fe80::1%25eth0":                    {12, "IPv6"},
		"v=spf1 ip4":                                   {11, "needs a colon"},
		"v=spf1 192.0.2.1":                             {8, "needs ip4:"},
		"v=spf1 spf.example":                           {8, "domain name alone"},
		"v=spf1 all:x.example":                         {11, "no value"},
		"v=spf1 - all":                                 {9, "missing"},
		"v=spf1 mx\t-all":                              {10, "tab"},
		"v=spf1 mx –all":                               {11, "ASCII"},
		"v=spf1 \"mx\" -all":                           {8, "quote"},
		"v=spf1 include:a.example%":                    {25, "lone %"},
		"v=spf1 include:%{x}.example":                  {18, "macro letter"},
		"v=spf1 include:%{c}.example":                  {18, "macro letter"},
		"v=spf1 include:%{d0}.example":                 {19, "0"},
		"v=spf1 include:%{d.example":                   {16, "not closed"},
		"v=spf1 include:%{d!}.example":                 {19, "delimiter"},
		"v=spf1 include:%d.example":                    {16, "followed by"},
		"v=spf1 include:a.example.1":                   {16, "end like"},
		"v=spf1 redirect=a.example redirect=b.example": {27, "twice"},
		"v=spf1 exp=a.example exp=a.example":           {22, "twice"},
		"v=spf1 redirect:a.example":                    {8, "redirect="},
		"v=spf1 mxinclude:a.example":                   {8, `missing before "include"`},
		"v=spf1 v=spf1 -all":                           {0, ""}, // v= is an unknown modifier
		"v=spf1 include:https://a.example/x":           {16, "URL"},
		"v=spf1 include:me@a.example,":                 {16, "comma"},
		"v=spf1 -include=a.example":                    {9, ""},
	} {
		_, err := Parse(text)
		var bad *SyntaxError
		if want.column == 0 {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if !errors.As(err, &bad) {
			t.Errorf("%q: %v, want a syntax error", text, err)
			continue
		}
		if bad.Column != want.column || !strings.Contains(bad.Reason, want.reason) {
			t.Errorf("%q: column %d, %s; want column %d, …%s…", text, bad.Column, bad.Reason, want.column, want.reason)
		}
	}
	for _, text := range []string{"", "v=spf10", "v=spf1\t-all", " v=spf1", "v=spf1;", "spf2.0/pra"} {
		if _, err := Parse(text); !errors.Is(err, ErrNoRecord) {
			t.Errorf("%q: %v, want ErrNoRecord", text, err)
		}
	}
}

// FuzzParse: no text makes the parser panic, a column is always inside the
// text, and what it accepts it accepts again in the form that it writes.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"v=spf1 a/24//64 mx:a.example -all", "v=spf1 include:%{ir}.%{l1r-}.%{D} redirect=x.example",
		"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 exists:%{i}.x.example ?all", "v=spf1 a:%", "v=spf1 %{", "v=spf1 \xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s)
		var bad *SyntaxError
		if errors.As(err, &bad) {
			if bad.Column < 1 || bad.Column > len(s)+1 || bad.Reason == "" {
				t.Fatalf("%q: %+v", s, bad)
			}
			return
		}
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || dump(again) != dump(r) {
			t.Fatalf("%q: %v after %q", s, err, r)
		}
	})
}

package name

import (
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"
)

// FuzzParse holds what every caller relies on: an accepted name is at least
// two lower-case LDH labels that fit DNS, reading it again changes nothing,
// and so does reading the form that people are shown.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"customer.com", "bücher.de.", "xn--.com", "xn--example-.com", "аррӏе.com", "BU\u0308CHER.de", "1.2.3.4", "a_b.c",
		"क्\u200dष.com", "אבג.a.com", "ＡＢ。c", "l·l.cat", "xn--bcher-kva.a\xff", "*.a.b", "a@b.c", "Ꭰ.com", "ẞ.de", "İ.com", "ǅ.com",
	} {
		f.Add(s)
	}
	p := Policy{Own: []string{"mx.example.com"}, Reserve: 40, Suffix: publicsuffix.PublicSuffix}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s, p)
		if err != nil {
			if n != (Name{}) {
				t.Fatalf("Parse(%+q) = %+q together with %v", s, n, err)
			}
			return
		}
		labels := strings.Split(n.ASCII, ".")
		if len(labels) < 2 || len(n.ASCII) > MaxName-p.Reserve {
			t.Fatalf("Parse(%+q) = %q", s, n.ASCII)
		}
		for _, l := range labels {
			if l == "" || len(l) > MaxLabel || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || l[0] == '-' || l[len(l)-1] == '-' {
				t.Fatalf("Parse(%+q) = %q: bad label", s, n.ASCII)
			}
		}
		for _, again := range []string{n.ASCII, n.Unicode, strings.ToUpper(n.ASCII) + "."} {
			if m, err := Parse(again, p); err != nil || m != n {
				t.Fatalf("Parse(%+q) = %+q, then Parse(%+q) = %+q, %v", s, n, again, m, err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	p := Policy{Own: []string{"mx.example.com"}, Reserve: 40, Suffix: publicsuffix.PublicSuffix}
	for name, s := range map[string]string{"ascii": "shop.customer.com", "idn": "bücher.customer.de"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(s, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

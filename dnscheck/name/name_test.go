package name

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"
)

// reserve is the room that the longest record name takes in these tests.
const reserve = len("abcdefghijklmnop._domainkey.")

var testPolicy = Policy{Own: []string{"mx.example.com", "Setup.Example.NET."}, Reserve: reserve, Suffix: publicsuffix.PublicSuffix}

// long is a name of exactly n octets that ends in .com.
func long(n int) string {
	s := strings.Repeat("abcdefghi.", (n-3)/10) + "com"
	return strings.Repeat("x", n-len(s)) + s
}

func TestParseAccepts(t *testing.T) {
	tests := []struct{ in, ascii, unicode string }{
		{in: "customer.com"},
		{in: "example.com"}, // RFC 2606, and an ordinary name in DNS
		{in: "example.org"},
		{in: "a.b.c.d.customer.com"},
		{in: "123.com"},
		{in: "1.customer.com"},
		{in: "0x7f.com"},
		{in: "a-b-c.com"},
		{in: "a--b.com"},
		{in: "x.co.uk"},
		{in: "user.github.io"},
		{in: "www.ck"}, // an exception of the wildcard *.ck
		{in: "customer.newtld"},
		{in: "my-mx.example.com"}, // beside our host, not below it
		{in: "xmx.example.com"},   // no label boundary
		{in: "test.com"},          // special use is about the top label
		{in: "localhost.com"},     //
		{in: "customer.test.com"}, //
		{in: "arpa.customer.com"}, //
		{in: "customer.examples"}, //
		{in: "c.xn--p1ai", unicode: "c.рф"},
		{in: "ExAmPlE-x.Co.Uk", ascii: "example-x.co.uk"},
		{in: "DOT.ORG.", ascii: "dot.org"},
		{in: "customer.com.", ascii: "customer.com"},
		{in: strings.Repeat("a", 63) + ".com"},
		{in: long(MaxName - reserve)},
		{in: "bücher.de", ascii: "xn--bcher-kva.de", unicode: "bücher.de"},
		{in: "BÜCHER.DE", ascii: "xn--bcher-kva.de", unicode: "bücher.de"},
		{in: "bu\u0308cher.de", ascii: "xn--bcher-kva.de", unicode: "bücher.de"},
		{in: "BU\u0308CHER.DE.", ascii: "xn--bcher-kva.de", unicode: "bücher.de"},
		{in: "xn--bcher-kva.de", unicode: "bücher.de"},
		{in: "XN--BCHER-KVA.DE", ascii: "xn--bcher-kva.de", unicode: "bücher.de"},
		{in: "é--x.de", ascii: "xn----x-9la.de", unicode: "é--x.de"}, // octets three and four
		{in: "faß.de", ascii: "xn--fa-hia.de", unicode: "faß.de"},
		{in: "FAẞ.de", ascii: "xn--fa-hia.de", unicode: "faß.de"},
		{in: "σας.gr", ascii: "xn--mxa8ab.gr", unicode: "σας.gr"},
		{in: "אבג.customer.com", ascii: "xn--4dbcd.customer.com", unicode: "אבג.customer.com"},
		{in: "例え.jp", ascii: "xn--r8jz45g.jp", unicode: "例え.jp"},
		{in: "aあ.jp", ascii: "xn--a-x7t.jp", unicode: "aあ.jp"},
		{in: "한국.kr", ascii: "xn--3e0b707e.kr", unicode: "한국.kr"},
		{in: "한국.kr", ascii: "xn--3e0b707e.kr", unicode: "한국.kr"}, // conjoining Jamo compose
		{in: "l·l.cat", ascii: "xn--ll-0ea.cat", unicode: "l·l.cat"},
		{in: "почта.рф", ascii: "xn--80a1acny.xn--p1ai", unicode: "почта.рф"},
		{in: "аррӏе.рф", ascii: "xn--80ak6aa92e.xn--p1ai", unicode: "аррӏе.рф"},
		{in: "क्\u200dष.com", ascii: "xn--11b2ezcw70k.com", unicode: "xn--11b2ezcw70k.com"},
		{in: "аррӏе.com", ascii: "xn--80ak6aa92e.com", unicode: "xn--80ak6aa92e.com"},
		{in: "xn--80ak6aa92e.com", unicode: "xn--80ak6aa92e.com"},
		{in: "ɡoogle.com", ascii: "xn--oogle-qmc.com", unicode: "xn--oogle-qmc.com"},
		{in: "xn--fa-hia.xn--80ak6aa92e.com", unicode: "xn--fa-hia.xn--80ak6aa92e.com"},
	}
	for _, tt := range tests {
		if tt.ascii == "" {
			tt.ascii = tt.in
		}
		if tt.unicode == "" {
			tt.unicode = tt.ascii
		}
		got, err := Parse(tt.in, testPolicy)
		if err != nil || got.ASCII != tt.ascii || got.Unicode != tt.unicode {
			t.Errorf("Parse(%+q) = %+q, %v; want %q, %+q", tt.in, got, err, tt.ascii, tt.unicode)
			continue
		}
		if again, err := Parse(got.ASCII, testPolicy); err != nil || again != got {
			t.Errorf("Parse(%q) = %+q, %v; want the same again", got.ASCII, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		code string
		in   []string
	}{
		{CodeInvalidDomain, []string{
			"", ".", "..", ".example.com", "example.com..", "a..b.com", " example.com", "example.com ",
			"exam ple.com", "example\t.com", "example.com\n", "exa\x7fmple.com", "exa\x00mple.com", "-a.com", "a-.com",
			"a.-b.com", "ab--cd.com", "ab--.com", "---.com", "example.com,evil.com", "{{7*7}}.com", "${jndi:ldap://x}.com", "<script>alert(1)</script>.com", `a\\b.com`, "..\\..", "../../etc", "/etc/passwd", "a b*.com", "a b_c.com", "a\rb.com/x", "[::1", "?x",
			"example%2ecom", "%", "%_.com", "exa'mple.com", "a;b.com", "<b>.com", "a\xff.com", "\xc0\x80.com",
			"a\xed\xa0\x80.com", "example.123", "example.0x1f", "example.0x", "customer.com.1", "a.b.1.2.3.4",
			"ü .com", "ü-.com", "-ü.com", "ab--ü.com", "bü--cher.com", "üü--.com", "ü!.com", "exa\"mple.com", "(a).com", "a+b.com", "a=b.com",
		}},
		{CodeSingleLabel, []string{"com", "localhost", "customer", "customer.", "bücher", "xn--bcher-kva"}},
		{CodePublicSuffix, []string{"co.uk", "COM.AU.", "公司.cn", "xn--55qx5d.cn", "github.io", "foo.ck", "s3.amazonaws.com", "blogspot.com", "c.kobe.jp"}},
		{CodeIPAddress, []string{
			"192.0.2.7", "192.0.2.7.", "2001:db8::1", "[2001:db8::1]", "::", "::ffff:192.0.2.7", "fe80::1%eth0",
			"[192.0.2.7]", "[IPv6:2001:db8::1]", "192.0.2.7:25", "[2001:db8::1]:25", "192.0.2.0/24", "2130706433",
			"0x7f.1", "127.1", "0", "0177.0.0.1", "256.256.256.256", "999.1", "0x7f000001",
		}},
		{CodeWildcard, []string{"*.example.com", "mail.*.example.com", "*", "a*.com", "ü*.de"}},
		{CodeUnderscore, []string{"_dmarc.example.com", "a_b.example.com", "a.b_.com", "_.com"}},
		{CodeURL, []string{
			"https://example.com", "HTTP://example.com/", "ftp://u:p@example.com", "//example.com", "example.com/",
			"example.com/path", "example.com?x", "example.com#x", "example.com:25", "example.com:", "javascript:alert(1)", "Example.COM/<x>", "_a.com/x", "ücher.de:25",
		}},
		{CodeEmail, []string{"user@example.com", "@example.com", "mailto:user@example.com", "Ann <a@b.com>", "user@", "ü@b.de"}},
		{CodeSpecialUse, []string{
			"example.test", "app.localhost", "Printer.LOCAL", "a.example", "a.invalid", "abc.onion", "a.alt",
			"a.internal", "home.arpa", "a.home.arpa", "7.2.0.192.in-addr.arpa", "x.local.", "bücher.test",
		}},
		{CodeReservedDomain, []string{"mx.example.com", "MX.Example.COM.", "a.mx.example.com", "bü.mx.example.com", "setup.example.net"}},
		{CodeNameTooLong, []string{long(MaxName - reserve + 1), long(MaxName), long(MaxName + 1), long(1000), strings.Repeat("a", 5000)}},
		{CodeLabelTooLong, []string{strings.Repeat("a", 64) + ".com", strings.Repeat("ü", 60) + ".com", strings.Repeat("ü", 300) + ".com", "xn--" + strings.Repeat("a", 60) + ".com"}},
		{CodeIDNMapping, []string{
			"exam\u200bple.com", "exam\u00adple.com", "ｅｘａｍｐｌｅ.com", "example\u3002com", "example\uff0ecom", "example\uff61com",
			"\u212aelvin.com", "\u212bngstrom.com", "\u2126.com", "ﬁ.com", "x².com", "ª.com", "exam\u2060ple.com", "\ufeffexample.com",
			"exam\ufe0fple.com", "İstanbul.com", "ⓐ.com", "Ⅷ.com", "１２７.0.0.1", "＊.example.com", "a＿b.com", "\uf900.com",
			"㎏.com", "\u0958.com", "𝐞xample.com", "µ.com", "ſ.com", "ａ＠b.com",
		}},
		{CodeIDNDisallowed, []string{
			"exam\u202eple.com", "exam\u200eple.com", "💩.la", "a💩.la", "☃.net", "♥.com", "€.com", "a\u0085b.com", "a\u2028b.com", "\u0300a\u0300.com",
			"a\u200db.com", "\u0928\u0940\u200d\u0937.com", "a\u200cb.com", "1אב.com", "אב1a.com", "אבa.com", "a·b.com", "·.com", "l·.com", "\u0375a.com",
			"a\u05f3.com", "a\u30fbb.com", "\u0660\u06f0.com", "a\ufffd.com", "\ue000.com", "\U000e0041.com", "\u0378.com",
			"\u0640\u0628.com", "\u3031.com", "xn--ls8h.la", "xn--a.com", "\U0001f1e9\U0001f1ea.com", "א.1a.com",
		}},
		{CodeInvalidPunycode, []string{
			"xn--.com", "xn---.com", "xn--example-.com", "xn--example.com-.com", "XN--.com", "a.xn--", "xn--\u00fc.com",
			"xn--a-.com", "xn--99999999.com", "xn--xn---epa.com", "xn--mgba3a4f16a-.com", "xn--zzzzzzzzzzzz.com", "xn--b--cher-n2a.com", "xn--0.com",
		}},
		{CodeMixedScript, []string{
			"gοogle.com", "gоogle.com", "pаypal.com", "аpple.com", "αa.gr", "xn--pypal-4ve.com", "аα.com", "a\u0585.com", "ok.gоogle.com",
		}},
	}
	for _, tt := range tests {
		for _, in := range tt.in {
			got, err := Parse(in, testPolicy)
			var e *Error
			if !errors.As(err, &e) || e.Code != tt.code {
				t.Errorf("Parse(%+q) = %+q, %v; want %s", in, got, err, tt.code)
			} else if got != (Name{}) || e.Detail == "" {
				t.Errorf("Parse(%+q) = %+q with %v; want no name and a detail", in, got, err)
			}
		}
	}
}

func TestPolicy(t *testing.T) {
	tests := []struct {
		in   string
		p    Policy
		code string
	}{
		{"a.test", Policy{AllowSpecialUse: true}, ""},
		{"customer.example", Policy{AllowSpecialUse: true}, ""},
		{"test", Policy{AllowSpecialUse: true}, CodeSingleLabel},
		{"mx.example.com", Policy{}, ""},
		{"mx.example.com", Policy{Own: []string{""}}, ""},
		{"example.com", Policy{Own: []string{"mx.example.com"}}, ""},
		{long(MaxName), Policy{}, ""},
		{long(MaxName), Policy{Reserve: 1}, CodeNameTooLong},
		{"a.com", Policy{Reserve: 1000}, CodeNameTooLong},
	}
	for _, tt := range tests {
		_, err := Parse(tt.in, tt.p)
		var e *Error
		if errors.As(err, &e); (e == nil) != (tt.code == "") || e != nil && e.Code != tt.code {
			t.Errorf("Parse(%q, %+v) = %v, want code %q", tt.in, tt.p, err, tt.code)
		}
	}
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"MX.Example.com.": "mx.example.com", "mx.demo.test": "mx.demo.test", "github.io": "github.io", "bücher.de": "xn--bcher-kva.de",
		"localhost": "", "127.0.0.1": "", "mx_1.example.com": "", "mx.example.com:25": "", "": "", "1.2.3": "",
	} {
		if got, err := Host(in); got != want || (err == nil) != (want != "") {
			t.Errorf("Host(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestUnder(t *testing.T) {
	for _, tt := range []struct {
		child, parent string
		want          bool
	}{
		{"example.com", "example.com", true}, {"a.example.com", "example.com", true}, {"123example.com", "example.com", false},
		{"com", "example.com", false}, {"example.com.evil.net", "example.com", false},
	} {
		if got := Under(tt.child, tt.parent); got != tt.want {
			t.Errorf("Under(%q, %q) = %v", tt.child, tt.parent, got)
		}
	}
}

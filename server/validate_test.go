package server

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"

	"github.com/domaind/domaind/dnscheck/name"
)

// wantFault fails unless f is nil for an empty code, or has code and pointer.
func wantFault(t *testing.T, what string, f *fieldError, code, pointer string) {
	t.Helper()
	switch {
	case code == "" && f != nil:
		t.Errorf("%s: refused: %+v", what, *f)
	case code != "" && (f == nil || f.Code != code || f.Pointer != pointer || f.Detail == ""):
		t.Errorf("%s: %+v; want %s at %s", what, f, code, pointer)
	}
}

func TestCanonicalEmail(t *testing.T) {
	p := name.Policy{Own: []string{"mx.example.com"}, Reserve: 200, Suffix: publicsuffix.PublicSuffix}
	tests := []struct{ in, want string }{
		{"a@b.com", "a@b.com"}, {"inbox@customer.com", "inbox@customer.com"}, {"First.Last+tag@Customer.COM", "First.Last+tag@customer.com"},
		{"!#$%&'*+-/=?^_`{|}~@b.com", "!#$%&'*+-/=?^_`{|}~@b.com"}, {strings.Repeat("a", 64) + "@b.com", strings.Repeat("a", 64) + "@b.com"},
		{"a@bücher.de", "a@xn--bcher-kva.de"}, {"1@1.de", "1@1.de"}, {"a@b.com.", "a@b.com"}, {"a@example.com", "a@example.com"},
		{"a@" + longHost(252), "a@" + longHost(252)},
		{in: "a@" + longHost(253)}, {in: strings.Repeat("a", 64) + "@" + longHost(190)},
		{in: ""}, {in: "nope"}, {in: "@"}, {in: "@x.com"}, {in: "a@"}, {in: "a@@b.com"}, {in: "a@b@c.com"}, {in: "a b@c.com"}, {in: " a@c.com"},
		{in: "a@c.com "}, {in: "a@b.com\r\nBcc: x@y.com"}, {in: "a\n@b.com"}, {in: "a@b.com\n"}, {in: "a\x00@b.com"}, {in: "Ann <a@b.com>"}, {in: "<a@b.com>"},
		{in: "a@b.com,c@d.com"}, {in: "a@b.com;c@d.com"}, {in: "a@b.com, "}, {in: strings.Repeat("a", 65) + "@b.com"}, {in: "a..b@c.com"}, {in: ".a@c.com"},
		{in: "a.@c.com"}, {in: "a@c..com"}, {in: "a@.c.com"}, {in: "a@c.com.."}, {in: "a@-c.com"}, {in: "a@[127.0.0.1]"}, {in: "a@127.0.0.1"},
		{in: "a@[IPv6:::1]"}, {in: "mailto:a@b.com"}, {in: `"a b"@c.com`}, {in: `"a"@c.com`}, {in: `a\@c.com`}, {in: "a(x)@c.com"}, {in: "a@c.com(x)"},
		{in: "é@c.com"}, {in: "ａ@c.com"}, {in: "a\u200b@c.com"}, {in: "a＠c.com"}, {in: "a@localhost"}, {in: "a@com"}, {in: "a@co.uk"}, {in: "a@b.test"},
		{in: "a@mx.example.com"}, {in: "a@x.mx.example.com"}, {in: "a@b_c.com"}, {in: "a@*.com"}, {in: "a@gоogle.com"}, {in: "a@ex\u200bample.com"}, {in: "a@b.com:25"},
		{in: "a%b.com"}, {in: "a!b.com"}, {in: "a@b.123"}, {in: "a,b@c.com"}, {in: "a:b@c.com"}, {in: "a<b@c.com"},
	}
	for _, tt := range tests {
		got, f := canonicalEmail(tt.in, p)
		if got != tt.want {
			t.Errorf("canonicalEmail(%q) = %q, %+v; want %q", tt.in, got, f, tt.want)
		}
		code := "invalid-email"
		if tt.want != "" {
			code = ""
		}
		wantFault(t, tt.in, f, code, "/forward_to_email")
	}
	if _, f := canonicalEmail("a@b.test", name.Policy{AllowSpecialUse: true}); f != nil {
		t.Errorf("a special-use name where they are allowed: %+v", *f)
	}
}

// longHost is a host name of n octets.
func longHost(n int) string {
	s := strings.Repeat("abcdefghi.", (n-3)/10) + "com"
	return strings.Repeat("x", n-len(s)) + s
}

func TestValidWebhookURL(t *testing.T) {
	accepted := []string{
		"https://hooks.example.com/in", "https://example.com/hook", "https://hooks.example.com", "https://hooks.example.com?x=1",
		"HTTPS://Hooks.Example.com/", "https://hooks.example.com:443/", "https://hooks.example.com:1024/", "https://hooks.example.com:65535/",
		"https://hooks.example.com/a%20b?c=%2F&d[]=1;e", "https://bücher.de/x", "https://xn--bcher-kva.de/", "https://hooks.example.com./x",
		"https://127.0.0.1.nip.io/", "https://hooks.example.com/@x", "https://hooks.example.com/a:b//c", "https://a.github.io/", "https://github.io/",
		"https://hooks.example.com/" + strings.Repeat("a", 2048-26),
	}
	for _, in := range accepted {
		wantFault(t, in, validWebhookURL(in, nil), "", "")
	}
	refused := []string{
		"", "not a url", "/hook", "//hooks.example.com/", "hooks.example.com/in", "https", "https:", "https:/", "https://", "https:///x", "https://?x",
		"javascript:alert(1)", "gopher://hooks.example.com/_x", "data:text/plain,x", "file:///etc/passwd", "ftp://hooks.example.com/", "ws://hooks.example.com/",
		"https:hooks.example.com", "https:/hooks.example.com", "https://:443/", "http://hooks.example.com/", "http://hooks.example.com:443/", "httpss://a.com/",
		"https://127.8.9.1:8443/x", "https://0.0.0.0/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/",
		"https://10.0.0.1/", "https://172.31.255.254/", "https://192.168.0.1/", "https://169.254.169.254/latest/", "https://[64:ff9b::7f00:1]/",
		"https://224.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://0/", "https://127.1/", "https://0177.0.0.1/", "https://8.8.8.8/", "https://[2001:4860:4860::8888]/",
		"https://127.0.0.1./", "https://[127.0.0.1]/", "https://::1/", "https://[::1/", "https://::1]/", "https://[]/", "https://[::1]x/", "https://x[::1]/", "https://[::1]:/",
		"https://localhost/", "https://localhost:8443/", "https://hooks/", "https://com/", "https://app.localhost/", "https://a.test/", "https://metadata.google.internal/", "https://x.local/", "https://a.onion/",
		"https://１２７.0.0.1/", "https://127。0。0。1/", "https://ⓛocalhost.com/", "https://ex\u00adample.com/", "https://gооgle.com/", "https://xn--.com/",
		"https://user:pw-4711@hooks.example.com/", "https://user@hooks.example.com/", "https://@hooks.example.com/", "https://hooks.example.com:pw@127.0.0.1/",
		"https://127.0.0.1#@hooks.example.com/", "https://hooks.example.com/#", "https://hooks.example.com/#x", `https://127.0.0.1\@hooks.example.com/`, `https://hooks.example.com\x`,
		"https://hooks.example\t.com/", "https://hooks example.com/", " https://hooks.example.com/", "https://hooks.example.com/ ", "https://hooks.example.com/\r\nX: y", "https://hooks.example.com/\x00",
		"https://hooks.example.com/\x7f", "https://hooks.example.com/\xff", "https://hooks.example.com/\u00fc", "https://hooks.example.com/%", "https://hooks.example.com/%zz", "https://hooks.example.com/?%4",
		"https://hooks.example.com:65536/", "https://hooks.example.com:0/", "https://hooks.example.com:80/", "https://hooks.example.com:25/", "https://hooks.example.com:1023/", "https://hooks.example.com:/",
		"https://hooks.example.com:0443/", "https://hooks.example.com:+443/", "https://hooks.example.com:-1/", "https://hooks.example.com:x/", "https://hooks.example.com:443:443/", "https://hooks.example.com:99999999999999999999/",
		"https://hooks%2eexample.com/", "https://%31%32%37.0.0.1/", "https://hooks_1.example.com/", "https://*.example.com/", "https://.example.com/", "https://a..example.com/", "https://a,b.com/", "https://hooks.example.com,evil.com/",
		"https://hooks.example.com/{id}", "https://hooks.example.com/<x>", "https://hooks.example.com/" + strings.Repeat("a", 2048-25), "\ufeffhttps://hooks.example.com/",
	}
	for _, in := range refused {
		f := validWebhookURL(in, nil)
		wantFault(t, in, f, "webhook-url-refused", "/webhook_url")
		if f != nil && strings.Contains(f.Detail, "pw-4711") {
			t.Errorf("%s: the detail repeats a password", in)
		}
	}
}

func TestValidWebhookURLAllow(t *testing.T) {
	allow := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for in, code := range map[string]string{
		"http://127.0.0.1:8080/x": "", "https://127.0.0.1/": "", "http://127.0.0.1": "", "http://127.9.9.9:1/": "", "http://[fd00::1]:80/": "",
		"http://[::ffff:127.0.0.1]/":     "",
		"https://hooks.example.com/":     "",
		"http://10.0.0.1/":               "webhook-url-refused",
		"http://[::1]/":                  "webhook-url-refused",
		"http://[fd00::1%25eth0]/":       "webhook-url-refused",
		"http://127.1/":                  "webhook-url-refused",
		"http://localhost:8080/":         "webhook-url-refused",
		"http://hooks.example.com/":      "webhook-url-refused",
		"https://hooks.example.com:80/":  "webhook-url-refused",
		"http://u@127.0.0.1/":            "webhook-url-refused",
		"http://127.0.0.1/#x":            "webhook-url-refused",
		"http://127.0.0.1:0/":            "webhook-url-refused",
		"ftp://127.0.0.1/":               "webhook-url-refused",
		"http://127.0.0.1@evil.example/": "webhook-url-refused",
	} {
		wantFault(t, in, validWebhookURL(in, allow), code, "/webhook_url")
	}
}

func TestValidID(t *testing.T) {
	for in, code := range map[string]string{
		"u1": "", "user_123": "", "u2'OR'1'='1": "", "%": "", "../x": "", "é": "", "u😀": "", strings.Repeat("é", 128): "", strings.Repeat("u", 128): "", "ユーザー": "", "a\u0301": "",
		"": "invalid-id", strings.Repeat("u", 129): "invalid-id", "a b": "invalid-id", " a": "invalid-id", "a ": "invalid-id", "u1\n": "invalid-id", "a\tb": "invalid-id", "a\x00b": "invalid-id",
		"a\u00a0b": "invalid-id", "a\x7fb": "invalid-id", "a\u0085b": "invalid-id", "a\u200bb": "invalid-id", "a\u2028b": "invalid-id", "a\u3000b": "invalid-id", "a\u202eb": "invalid-id",
		"a\ufeffb": "invalid-id", "a\u00adb": "invalid-id", "a\ufffeb": "invalid-id", "a\ue000b": "invalid-id", "a\xffb": "invalid-id", "\u3164": "invalid-id", "a\u2060b": "invalid-id", "\U000e0041": "invalid-id",
	} {
		wantFault(t, in, validID("/user_id", in), code, "/user_id")
	}
}

func TestValidSecretAndObserved(t *testing.T) {
	for in, code := range map[string]string{
		"optional-secret": "", "12345678": "", strings.Repeat("s", 256): "", "with a space": "", "~!@#$%^&*()": "",
		"1234567": "invalid-secret", "": "invalid-secret", strings.Repeat("s", 257): "invalid-secret", "geheim-ü-geheim": "invalid-secret", "secret\nsecret": "invalid-secret", "secret\x7fsecret": "invalid-secret", "secret\tx": "invalid-secret",
	} {
		wantFault(t, in, validSecret(in), code, "/webhook_secret")
	}
	for in, code := range map[string]string{
		"": "", "v=spf1 -all": "", strings.Repeat("é", 2048): "", `"a" "b"`: "",
		strings.Repeat("x", 2049): "invalid-observed-value", "a\nb": "invalid-observed-value", "\x1b[31m": "invalid-observed-value", "a\u202eb": "invalid-observed-value", "\xff": "invalid-observed-value",
	} {
		wantFault(t, in, validObserved(in), code, "/observed_value")
	}
}

func TestMissingForMode(t *testing.T) {
	for _, tt := range []struct {
		mode          string
		url, email    bool
		code, pointer string
	}{
		{"store", false, false, "", ""}, {"store", true, true, "", ""}, {"webhook", true, false, "", ""}, {"webhook_then_store", true, true, "", ""}, {"forward_email", false, true, "", ""},
		{"webhook", false, true, "missing-for-mode", "/webhook_url"}, {"webhook_then_store", false, false, "missing-for-mode", "/webhook_url"}, {"forward_email", true, false, "missing-for-mode", "/forward_to_email"},
	} {
		wantFault(t, tt.mode, missingForMode(tt.mode, tt.url, tt.email), tt.code, tt.pointer)
	}
}

func TestValidDomain(t *testing.T) {
	n, f := validDomain("/domain", "DOT.ORG.", name.Policy{Suffix: publicsuffix.PublicSuffix})
	if f != nil || n.ASCII != "dot.org" {
		t.Errorf("DOT.ORG. = %+v, %+v", n, f)
	}
	_, f = validDomain("/domain", "co.uk", name.Policy{Suffix: publicsuffix.PublicSuffix})
	wantFault(t, "co.uk", f, "public-suffix", "/domain")
}

func TestParseNumber(t *testing.T) {
	for in, want := range map[string]int64{"1": 1, "50": 50, "100": 100} {
		if n, code, _ := parseNumber(in, 1, 100); n != want || code != "" {
			t.Errorf("parseNumber(%q) = %d, %s", in, n, code)
		}
	}
	for in, want := range map[string]string{
		"0": "out-of-range", "101": "out-of-range", "99999999999999999999": "out-of-range", "": "not-an-integer", "+5": "not-an-integer", "-1": "not-an-integer", "05": "not-an-integer",
		"0x10": "not-an-integer", "5.0": "not-an-integer", "1e1": "not-an-integer", "٥": "not-an-integer", " 5": "not-an-integer", "5 ": "not-an-integer", "1_0": "not-an-integer", "５": "not-an-integer",
	} {
		if _, code, detail := parseNumber(in, 1, 100); code != want || detail == "" {
			t.Errorf("parseNumber(%q): %s %q, want %s", in, code, detail, want)
		}
	}
}

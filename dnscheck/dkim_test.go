package dnscheck

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// testKey is a key pair and its p= as SubjectPublicKeyInfo and as PKCS#1.
type testKey struct {
	private  *rsa.PrivateKey
	p, pkcs1 string
}

func newTestKey(bits int) testKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		panic(err)
	}
	enc := base64.StdEncoding.EncodeToString
	return testKey{k, enc(der), enc(x509.MarshalPKCS1PublicKey(&k.PublicKey))}
}

// testKeys are ours, one that we retired, and a stranger's of 1024 bits.
var testKeys = sync.OnceValue(func() (k struct{ ours, old, small testKey }) {
	k.ours, k.old, k.small = newTestKey(2048), newTestKey(2048), newTestKey(1024)
	return k
})

const (
	dkimName = "sel._domainkey." + testDomain
	// Keys that belong to nobody.
	ed25519P   = "VCxCNouU1b68GyTku/pmHJ+ladq2CjzJNLwEugcOpDA="
	ed25519DER = "MCowBQYDK2VwAyEAVCxCNouU1b68GyTku/pmHJ+ladq2CjzJNLwEugcOpDA="
	rsa512P    = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAJ2/kVXQlOjeR2cO8R/TZmg1CPEWvhyTqJ80T9GeywoWZjrncPKycH5L0VrXt3qsLqXz0lMK6uIlmUoay3HH2TsCAwEAAQ=="
)

func dkimExpectation() Expectation {
	k := testKeys()
	return Expectation{
		ID: 3, Purpose: PurposeDKIM, Name: dkimName, Value: "v=DKIM1; k=rsa; p=" + k.ours.p,
		Retired: []string{"v=DKIM1; k=rsa; p=" + k.old.p},
	}
}

// txt is a zone line with text split at 255 octets; escapes stay as they are.
func txt(name, text string) string {
	line := name + ". 5 TXT"
	for len(text) > 200 {
		line, text = line+` "`+text[:200]+`"`, text[200:]
	}
	return line + ` "` + text + `"`
}

func TestJudgeDKIM(t *testing.T) {
	k := testKeys()
	p, value := k.ours.p, "v=DKIM1; k=rsa; p="+k.ours.p
	at := func(text string) []string { return []string{txt(dkimName, text)} }
	folded := p[:60] + " " + p[60:120] + `\009` + p[120:]
	cases := []judgeCase{
		{name: "plain", lines: at(value), verdict: VerdictMatch},
		{name: "no v", lines: at("k=rsa; p=" + p), verdict: VerdictMatch},
		{name: "no k", lines: at("v=DKIM1; p=" + p), verdict: VerdictMatch},
		{name: "tag order", lines: at("v=DKIM1; p=" + p + "; k=rsa"), verdict: VerdictMatch},
		{name: "spaces", lines: at("v = DKIM1 ; k = rsa ; p = " + p + " ;"), verdict: VerdictMatch},
		{name: "folded key", lines: at("v=DKIM1; p=" + folded), verdict: VerdictMatch},
		{name: "unknown tags", lines: at("v=DKIM1; zz=1; n=note; p=" + p), verdict: VerdictMatch},
		{name: "allowed hashes and services", lines: at("v=DKIM1; h=sha1:sha256; s=email:tlsrpt; p=" + p), verdict: VerdictMatch},
		{name: "t=s", lines: at("v=DKIM1; t=s; p=" + p), verdict: VerdictMatch},
		{name: "by CNAME", lines: []string{dkimName + ". 5 CNAME key.lab.example.", txt("key.lab.example", value)}, verdict: VerdictMatch},
		{name: "testing", lines: at("v=DKIM1; t=s:y; p=" + p), verdict: VerdictMatch, warns: []string{"dkim_testing"}},

		{name: "pkcs1", lines: at("v=DKIM1; p=" + k.ours.pkcs1), verdict: VerdictMismatch, code: "dkim_pkcs1"},
		{name: "v not first", lines: at("k=rsa; v=DKIM1; p=" + p), verdict: VerdictMismatch, code: "dkim_syntax"},
		{name: "v lower", lines: at("v=dkim1; k=rsa; p=" + p), verdict: VerdictMismatch, code: "dkim_syntax", says: []string{"not DKIM1"}},
		{name: "another version", lines: at("v=DKIM2; k=rsa; p=" + p), verdict: VerdictMismatch, code: "dkim_syntax"},
		{name: "p twice", lines: at("p=" + p + "; p=" + p), verdict: VerdictMismatch, code: "dkim_syntax", says: []string{"twice"}},
		{name: "no p", lines: at("v=DKIM1; k=rsa"), verdict: VerdictMismatch, code: "dkim_truncated"},
		{name: "no semicolon", lines: at("v=DKIM1 k=rsa p=" + p), verdict: VerdictMismatch, code: "dkim_syntax"},
		{name: "empty text", lines: at(""), verdict: VerdictMismatch, code: "dkim_syntax"},
		{name: "not base64", lines: at("v=DKIM1; p=%%%"), verdict: VerdictMismatch, code: "dkim_syntax"},
		{name: "no key in base64", lines: at("v=DKIM1; p=aGVsbG8="), verdict: VerdictMismatch, code: "dkim_syntax"},
		{name: "revoked", lines: at("v=DKIM1; p= "), verdict: VerdictMismatch, code: "dkim_revoked"},
		{name: "another key", lines: at("v=DKIM1; p=" + k.small.p), verdict: VerdictMismatch, code: "dkim_mismatch", warns: []string{"dkim_weak"}},
		{name: "old key", lines: at("v=DKIM1; p=" + k.old.p), verdict: VerdictMismatch, code: "dkim_old_key"},
		{name: "weak", lines: at("v=DKIM1; p=" + rsa512P), verdict: VerdictMismatch, code: "dkim_weak", says: []string{"512 bits"}},
		{name: "Ed25519 as DER", lines: at("v=DKIM1; k=rsa; p=" + ed25519DER), verdict: VerdictMismatch, code: "dkim_wrong_type"},
		{name: "Ed25519 called rsa", lines: at("v=DKIM1; p=" + ed25519P), verdict: VerdictMismatch, code: "dkim_wrong_type"},
		{name: "RSA called Ed25519", lines: at("v=DKIM1; k=ed25519; p=" + p), verdict: VerdictMismatch, code: "dkim_wrong_type"},
		{name: "unknown type", lines: at("v=DKIM1; k=dsa; p=" + p), verdict: VerdictMismatch, code: "dkim_wrong_type"},
		{name: "an Ed25519 key", lines: at("v=DKIM1; k=ed25519; p=" + ed25519P), verdict: VerdictMismatch, code: "dkim_mismatch", says: []string{"ed25519"}},
		{name: "lower case", lines: at("v=DKIM1; p=" + strings.ToLower(p)), verdict: VerdictMismatch, code: "dkim_mismatch", says: []string{"lower case"}},
		{name: "hash", lines: at("v=DKIM1; h=sha1; p=" + p), verdict: VerdictMismatch, code: "dkim_hash", says: []string{"h=sha1"}},
		{name: "service", lines: at("v=DKIM1; s=tlsrpt; p=" + p), verdict: VerdictMismatch, code: "dkim_service", says: []string{"name email"}},

		{name: "cut at 255", lines: at(value[:255]), verdict: VerdictMismatch, code: "dkim_truncated", says: []string{"character 255 of 410"}},
		{name: "cut by one", lines: at(value[:409]), verdict: VerdictMismatch, code: "dkim_truncated", says: []string{"409"}},
		{name: "cut in a tag", lines: at("v=DKIM1; k=rs"), verdict: VerdictMismatch, code: "dkim_truncated"},
		{name: "quotes", lines: at(`\"` + value + `\"`), verdict: VerdictMismatch, code: "dkim_quoted", says: []string{`"`}},
		{name: "quotes round strings", lines: at(`\"` + value[:255] + `\" \"` + value[255:] + `\"`), verdict: VerdictMismatch, code: "dkim_quoted"},
		{name: "parentheses", lines: at(`( \"` + value + `\" )`), verdict: VerdictMismatch, code: "dkim_quoted", says: []string{"("}},
		{name: "backslashes", lines: at(`v=DKIM1\\; k=rsa\\; p=` + p), verdict: VerdictMismatch, code: "dkim_quoted", says: []string{`\\`}},
		{name: "smart quotes", lines: at(`\226\128\156` + value + `\226\128\157`), verdict: VerdictMismatch, code: "dkim_quoted", says: []string{"U+201C"}},
		{name: "windows quotes", lines: at(`\147` + value + `\148`), verdict: VerdictMismatch, code: "dkim_quoted", says: []string{`\147`}},
		{name: "byte order mark", lines: at(`\239\187\191` + value), verdict: VerdictMismatch, code: "dkim_quoted", says: []string{"U+FEFF"}},
		{name: "no-break space in the key", lines: at("v=DKIM1; p=" + p[:100] + `\194\160` + p[100:]), verdict: VerdictMismatch, code: "dkim_quoted"},
		{name: "pasted line", lines: at("sel._domainkey 3600 IN TXT " + value), verdict: VerdictMismatch, code: "dkim_quoted", says: []string{"IN TXT"}},
		{name: "pasted line without v", lines: at(`sel._domainkey IN TXT \"k=rsa; p=` + p + `\"`), verdict: VerdictMismatch, code: "dkim_quoted"},

		{name: "two keys", lines: append(at(value), txt(dkimName, "v=DKIM1; p="+k.old.p)), verdict: VerdictConflict, code: "dkim_multiple"},
		{name: "two foreign keys", lines: append(at("p="+k.small.p), txt(dkimName, "p="+k.old.p)), verdict: VerdictMismatch, code: "dkim_multiple"},
		{name: "split records", lines: append(at(value[255:]), txt(dkimName, value[:255])), verdict: VerdictMismatch, code: "dkim_split_records", says: []string{"two strings, not two records"}},
		{name: "strings in the wrong order", lines: []string{dkimName + `. 5 TXT "` + value[255:] + `" "` + value[:255] + `"`}, verdict: VerdictMismatch, code: "dkim_syntax", says: []string{"order"}},
		{name: "wildcard text", lines: []string{`*.shop.lab.example. 5 TXT "v=spf1 -all"`}, verdict: VerdictMismatch, code: "dkim_syntax", warns: []string{"dkim_wildcard"}},
		{name: "hostile", lines: at(`\000\027[31m\226\128\174=;` + strings.Repeat("x", 60)), verdict: VerdictMismatch, code: "dkim_syntax"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.check(t, judgeDKIM(context.Background(), testEnv(newZone(t, c.lines...)), dkimExpectation()))
		})
	}
}

func TestJudgeDKIMMissing(t *testing.T) {
	value := dkimExpectation().Value
	cases := []judgeCase{
		{name: "nothing", verdict: VerdictMissing, code: "dkim_missing", says: []string{"host sel._domainkey", value}},
		{name: "broken CNAME", lines: []string{dkimName + ". 5 CNAME key.lab.example."}, verdict: VerdictMissing, code: "dkim_cname_broken", says: []string{"key.lab.example"}},
		{name: "CNAME without text", lines: []string{dkimName + ". 5 CNAME key.lab.example.", "key.lab.example. 5 A 192.0.2.1"}, verdict: VerdictMissing, code: "dkim_cname_broken"},
		{name: "wildcard CNAME", lines: []string{"*.shop.lab.example. 5 CNAME web.lab.example."}, verdict: VerdictMissing, code: "dkim_missing"},
		{name: "CNAME loop", lines: []string{dkimName + ". 5 CNAME key.lab.example.", "key.lab.example. 5 CNAME " + dkimName + "."}, verdict: VerdictUnknown, code: resolve.CodeCNAMELoop},
		{name: "proxied", lines: []string{dkimName + ". 5 A 198.51.100.20"}, verdict: VerdictMissing, code: "dkim_proxied", says: []string{"198.51.100.20"}},
		{name: "proxied, IPv6", lines: []string{dkimName + ". 5 AAAA 2001:db8::20"}, verdict: VerdictMissing, code: "dkim_proxied"},
		{name: "wildcard address", lines: []string{"*.shop.lab.example. 5 A 198.51.100.20"}, verdict: VerdictMissing, code: "dkim_missing"},
		{name: "doubled", lines: []string{txt(dkimName+"."+testDomain, value)}, verdict: VerdictMissing, code: "dkim_missing", warns: []string{"name_doubled"}, says: []string{"twice", "Enter only sel._domainkey"}},
		{name: "zone appended", lines: []string{txt(dkimName+".lab.example", value)}, verdict: VerdictMissing, code: "dkim_missing", warns: []string{"name_doubled"}},
		{name: "no _domainkey", lines: []string{txt("sel."+testDomain, value)}, verdict: VerdictMissing, code: "dkim_missing", says: []string{"_domainkey is missing"}},
		{name: "no underscore", lines: []string{txt("sel.domainkey."+testDomain, value)}, verdict: VerdictMissing, code: "dkim_missing", says: []string{"_domainkey"}},
		{name: "at the apex", lines: []string{txt(testDomain, value)}, verdict: VerdictMissing, code: "dkim_missing", says: []string{"itself"}},
		{name: "another key doubled", lines: []string{txt(dkimName+"."+testDomain, "p="+testKeys().old.p)}, verdict: VerdictMissing, code: "dkim_missing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			z := newZone(t, c.lines...)
			c.check(t, judgeDKIM(context.Background(), testEnv(z), dkimExpectation()))
			if n := len(z.asked) - 1; n > maxProbes {
				t.Errorf("%d probes: %q", n, z.asked)
			}
		})
	}
}

// Without leave to diagnose, a missing key costs no extra question.
func TestJudgeDKIMQuiet(t *testing.T) {
	z := newZone(t)
	e := testEnv(z)
	e.diagnose = false
	judgeDKIM(context.Background(), e, dkimExpectation())
	if len(z.asked) != 1 {
		t.Errorf("asked %q", z.asked)
	}
}

// onlyAt answers for one name; a question for any other fails.
type onlyAt struct {
	resolve.Resolver
	name string
}

func (o onlyAt) Lookup(ctx context.Context, name string, t resolve.Type) (resolve.Answer, error) {
	if name != o.name {
		return resolve.Answer{}, &resolve.Error{Code: resolve.CodeServFail, Name: name, Type: t}
	}
	return o.Resolver.Lookup(ctx, name, t)
}

// Whether an address is a proxy's or a wildcard's, only an answer can tell.
func TestJudgeDKIMProxiedNeedsProof(t *testing.T) {
	e := testEnv(newZone(t, dkimName+". 5 A 198.51.100.20"))
	if r := judgeDKIM(context.Background(), e, dkimExpectation()); r.Code != "dkim_proxied" {
		t.Errorf("proved: %s", r.Code)
	}
	e.resolver = onlyAt{e.resolver, dkimName}
	if r := judgeDKIM(context.Background(), e, dkimExpectation()); r.Code != "dkim_missing" {
		t.Errorf("not proved: %s", r.Code)
	}
}

// The verdict depends neither on how a text is split into strings, nor on the
// order of tags behind v=.
func TestJudgeDKIMInvariant(t *testing.T) {
	k := testKeys()
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom([]string{k.ours.p, k.old.p, k.ours.p[:99], ed25519DER, ""}).Draw(t, "p")
		tags := []string{"p=" + p, "k=rsa", "t=y", "h=sha256", "zz=1"}
		plain := fixedText("v=DKIM1; " + strings.Join(tags, "; "))
		mixed := fixedText("v=DKIM1; " + strings.Join(rapid.Permutation(tags).Draw(t, "order"), "; "))
		var strs []string
		for rest := mixed.Join(); rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			strs, rest = append(strs, rest[:n]), rest[n:]
		}
		mixed.Strings = strs
		want, got := judgeText(plain), judgeText(mixed)
		if want.Verdict != got.Verdict || want.Code != got.Code || fmt.Sprint(want.Warnings) != fmt.Sprint(got.Warnings) {
			t.Errorf("plain %s %s %v, mixed %s %s %v", want.Verdict, want.Code, want.Warnings, got.Verdict, got.Code, got.Warnings)
		}
	})
}

func fixedText(s string) resolve.Text { return resolve.Text{Strings: []string{s}} }

func judgeText(t resolve.Text) Result {
	e := testEnv(nil)
	e.resolver = &fixed{answer: resolve.Answer{Name: dkimName, TXT: []resolve.Text{t}}}
	return judgeDKIM(context.Background(), e, dkimExpectation())
}

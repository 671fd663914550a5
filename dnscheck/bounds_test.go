package dnscheck_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/resolve"
)

// long is a TXT record of any length.
func long(text string) resolve.Answer {
	var t resolve.Text
	for ; len(text) > 255; text = text[255:] {
		t.Strings = append(t.Strings, text[:255])
	}
	t.Strings = append(t.Strings, text)
	return resolve.Answer{TTL: time.Minute, TXT: []resolve.Text{t}}
}

// A tree of a thousand nested includes, each in a record of the full size that
// names us where it has no effect, used to cost minutes.
func TestHostileIncludesCostLittle(t *testing.T) {
	v := published()
	var junk strings.Builder
	for i := range 3500 {
		fmt.Fprintf(&junk, " ip4:10.%d.%d.1", i/256, i%256)
	}
	for level := range 4 {
		record := "v=spf1 ip4:198.51.100.1 -all"
		for i := range 10 {
			record += fmt.Sprintf(" include:%d.%d.evil.example", i, level+1)
		}
		for i := range 10 {
			v.set(fmt.Sprintf("%d.%d.evil.example TXT", i, level), long(record+junk.String()))
		}
	}
	v.set(domain+" TXT", long("v=spf1 -all include:0.0.evil.example"+junk.String()))
	x := target()
	x.Records[1].Value = "v=spf1 ip4:198.51.100.1 ~all"
	cfg := checker(v)
	cfg.SendingIPs = addrs("198.51.100.7", "198.51.100.8")
	start := time.Now()
	r := dnscheck.NewChecker(cfg).Check(t.Context(), x, dnscheck.Options{OnDemand: true})
	if got, want := verdicts(r), "match mismatch(spf_not_authorised) match match"; got != want {
		t.Errorf("verdicts %q, want %q", got, want)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestNothingIsAskedWithoutTime(t *testing.T) {
	v := published()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := dnscheck.NewChecker(checker(v)).Check(ctx, target(), dnscheck.Options{})
	want := strings.TrimSpace(strings.Repeat("unknown(dns_timeout) ", 4))
	if got := verdicts(r); got != want || v.total() != 0 {
		t.Errorf("verdicts %q after %d questions", got, v.total())
	}
}

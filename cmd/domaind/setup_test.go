package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/gen/client"
)

const setupDomain = "customer.com"

// TestSetupPage opens the setup page in Chromium and does what a DNS admin
// does: looks, copies, publishes mistakes, then the right records, and sees the
// page turn green. Its screenshots stay in bin/setup.
func TestSetupPage(t *testing.T) {
	chromium := needBrowser(t)
	dnsServer, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dnsServer.Close)
	p := &setupPage{t: t, dns: dnsServer}
	p.set("mx.example.com. 60 IN A 192.0.2.10", setupDomain+". 60 IN NS amy.ns.cloudflare.com.", setupDomain+". 60 IN NS bob.ns.cloudflare.com.")
	p.service = serve(t, "DOMAIND_API_KEY="+labKey, "DOMAIND_MX_HOST=mx.example.com", "DOMAIND_CHECK_MIN=1s", "DOMAIND_RATE_LIMIT=0",
		"DOMAIND_DNS_SERVERS="+dnsServer.Addr().String(), "DOMAIND_DNS_DIRECT=false", "DOMAIND_SMTP_LISTEN=off")
	p.domain = must[client.DomainDetails](t)(p.create(t.Context(), setupDomain))
	link, err := p.CreateSetupLinkWithResponse(t.Context(), setupDomain, client.CreateSetupLinkRequest{UserID: labUser})
	if err != nil || link.JSON201 == nil {
		t.Fatalf("setup link: %v %s", err, link.Body)
	}
	p.drive(chromium, link.JSON201.URL)
}

// needBrowser returns Chromium; the test is skipped where it, Node.js or the
// two packages in NODE_PATH are missing, and fails where they must not be.
func needBrowser(t *testing.T) string {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err == nil {
		err = exec.Command("node", "-e", "require('playwright-core'); require('@axe-core/playwright')").Run()
	}
	if err == nil {
		return chromium
	}
	const missing = "the setup page was not tried in a browser: it takes chromium, node, and playwright-core and @axe-core/playwright in NODE_PATH"
	if os.Getenv("DOMAIND_REQUIRE_SERVERS") == "1" {
		t.Fatalf("%s: %v", missing, err)
	}
	t.Skipf("%s: %v", missing, err)
	return ""
}

// setupPage is the other side of testdata/setup.cjs.
type setupPage struct {
	*service
	t      *testing.T
	dns    *dnstest.Server
	domain client.DomainDetails
}

func (p *setupPage) drive(chromium, url string) {
	shots, err := filepath.Abs("../../bin/setup")
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.MkdirAll(shots, 0o755); err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(p.t.Context(), "node", "testdata/setup.cjs")
	cmd.Env = append(os.Environ(), "SETUP_URL="+url, "SETUP_SHOTS="+shots, "SETUP_CHROMIUM="+chromium)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.obey(out, in)
	if err := cmd.Wait(); err != nil {
		p.t.Fatalf("%v\n%s", err, stderr.String())
	}
}

// obey does what the script asks for.
func (p *setupPage) obey(out io.Reader, in io.Writer) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		what, asked := strings.CutPrefix(lines.Text(), "do ")
		switch spf, all := strings.CutPrefix(what, "publish all "); {
		case !asked:
			continue
		case what == "publish mistakes":
			p.publishMistakes()
		case all:
			p.publishAll(spf)
		case what == "revoke":
			p.revoke()
		default:
			p.t.Errorf("the script wants %q", what)
		}
		_, _ = fmt.Fprintln(in, "done") // a script that is gone says why
	}
}

func (p *setupPage) set(lines ...string) {
	p.t.Helper()
	if err := p.dns.Set(lines...); err != nil {
		p.t.Fatal(err)
	}
}

// publishMistakes publishes what people get wrong, with hostile text in it.
func (p *setupPage) publishMistakes() {
	for _, r := range p.domain.DNS {
		switch r.Purpose {
		case client.DNSRecordPurposeMX:
			p.set(r.Name + ". 60 IN MX 10 " + r.ExpectedValue + ".")
		case client.DNSRecordPurposeSPF:
			p.set(r.Name + `. 60 IN TXT "v=spf1 include:_spf.other.example -all"`)
			p.set(`_spf.other.example. 60 IN TXT "v=spf1 ip4:198.51.100.7 -all"`)
		case client.DNSRecordPurposeDKIM:
			p.set(r.Name + `. 60 IN TXT "v=DKIM1; k=rsa; n=<script>window.pwned=1</script>; p=AAAA"`)
		case client.DNSRecordPurposeDMARC:
			p.set(r.Name + `. 60 IN TXT "v=DMARC1; p=<img src=x onerror=window.pwned=1>\226\128\174;"`)
		}
	}
}

func (p *setupPage) publishAll(spf string) {
	for _, r := range p.domain.DNS {
		value := r.ExpectedValue
		switch r.Purpose {
		case client.DNSRecordPurposeMX:
			continue
		case client.DNSRecordPurposeSPF:
			value = spf
		}
		p.set(r.Name + ". 60 IN TXT " + characterStrings(value))
	}
}

// characterStrings quotes a text as master files want it.
func characterStrings(s string) string {
	var parts []string
	for len(s) > 250 {
		parts, s = append(parts, strconv.Quote(s[:250])), s[250:]
	}
	return strings.Join(append(parts, strconv.Quote(s)), " ")
}

func (p *setupPage) revoke() {
	r, err := p.RevokeSetupLinksWithResponse(p.t.Context(), setupDomain, &client.RevokeSetupLinksParams{UserID: labUser})
	if err != nil || r.JSON200 == nil || r.JSON200.Revoked != 1 {
		p.t.Errorf("revoke: %v %s", err, r.Body)
	}
}

// TestSetupZone creates a domain below its zone: the page names the provider by
// the NS records of the zone, and the hosts as they are entered there.
func TestSetupZone(t *testing.T) {
	dnsServer, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dnsServer.Close)
	p := &setupPage{t: t, dns: dnsServer}
	p.set(setupDomain+". 60 IN NS ns1.digitalocean.com.", "mx.example.com. 60 IN A 192.0.2.10")
	p.service = serve(t, "DOMAIND_API_KEY="+labKey, "DOMAIND_MX_HOST=mx.example.com", "DOMAIND_PUBLIC_URL=https://mail.example.net/app/",
		"DOMAIND_DNS_SERVERS="+dnsServer.Addr().String(), "DOMAIND_DNS_DIRECT=false")
	domain := "shop." + setupDomain
	_ = must[client.DomainDetails](t)(p.create(t.Context(), domain))
	link, err := p.CreateSetupLinkWithResponse(t.Context(), domain, client.CreateSetupLinkRequest{UserID: labUser})
	if err != nil || link.JSON201 == nil {
		t.Fatalf("setup link: %v %s", err, link.Body)
	}
	path, ok := strings.CutPrefix(link.JSON201.URL, "https://mail.example.net/app")
	if !ok {
		t.Fatalf("url %s", link.JSON201.URL)
	}
	reply, err := http.Get(p.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	page, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Your DNS is at DigitalOcean", ">shop<", ">_dmarc.shop<", ">_dmarc.shop.customer.com<"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q: %s", want, page)
		}
	}
}

package main_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
	"github.com/domaind/domaind/gen/client"
)

const (
	// python is Debian's own, which has Debian's modules.
	python     = "/usr/bin/python3"
	strangerIP = "198.51.100.1"
)

// published is a fresh domain whose records stand in DNS exactly as GET /zone
// gave them, and what an operator exports for the signer.
type published struct {
	outsider
	domain, selector string
	settings         []string // of the program
	pem              string   // file
}

// TestAccepted has other projects' programs judge what the service publishes
// for a fresh domain, with the private key that it exports.
func TestAccepted(t *testing.T) {
	l := lab.Start(t)
	o := newOutsider(t, l)
	database := "DOMAIND_DATABASE=" + filepath.Join(t.TempDir(), "domaind.db")
	s := serveLab(t, l, "DOMAIND_CHECK_MIN=1s", database)
	p := published{outsider: o, domain: randomLabel() + "." + lab.Zone, settings: []string{database}}
	d := must[client.DomainDetails](t)(s.create(t.Context(), p.domain))
	publishZone(t, l, s.zone(t, p.domain))
	// The tables have the domains that may send: those that are active.
	s.checkUntil(t, p.domain, activeWithin, "active", func(d client.DomainDetails) bool {
		return d.Domain.Status == client.DomainStatusActive
	})
	record := must[client.DNSRecord](t)(record(d, "dkim", ""))
	p.selector, _, _ = strings.Cut(record.Name, ".")
	p.pem = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(p.pem, p.domaind(t, "dkim", "export", "--format", "pem", "--user", labUser, p.domain), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("opendkim-testkey", p.testKey)
	t.Run("opendkim", p.openDKIM)
	t.Run("dkimpy", p.dkimpy)
	t.Run("Mail::SPF", p.mailSPF)
	t.Run("libspf2", p.libSPF2)
	t.Run("opendmarc-check", p.openDMARC)
}

// domaind runs a command of the program and returns its standard output.
func (p published) domaind(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, p.settings...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("domaind %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// testKey compares the exported key with the published one; a stranger's key
// must not do.
func (p published) testKey(t *testing.T) {
	needTool(t, "opendkim-testkey", "opendkim-tools")
	conf := p.openDKIMConf(t, "")
	if out, err := p.run(t, "opendkim-testkey", "-x", conf, "-d", p.domain, "-s", p.selector, "-k", p.pem); err != nil {
		t.Errorf("opendkim-testkey: %v\n%s", err, out)
	}
	stranger := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(stranger, newPEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := p.run(t, "opendkim-testkey", "-x", conf, "-d", p.domain, "-s", p.selector, "-k", stranger)
	if err == nil || !strings.Contains(out, "keys do not match") {
		t.Errorf("opendkim-testkey of a stranger's key: %v\n%s", err, out)
	}
}

func newPEM(t *testing.T) []byte {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// openDKIMConf writes an opendkim.conf. OpenDKIM asks through libunbound,
// which has a configuration of its own for where to ask.
func (p published) openDKIMConf(t *testing.T, settings string) string {
	t.Helper()
	dir := t.TempDir()
	conf, unbound := filepath.Join(dir, "opendkim.conf"), filepath.Join(dir, "unbound.conf")
	for file, text := range map[string]string{
		unbound: "server:\n  do-not-query-localhost: no\nforward-zone:\n  name: \".\"\n  forward-addr: " + p.address + "\n",
		conf:    "ResolverConfiguration " + unbound + "\n" + settings,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return conf
}

// openDKIM has OpenDKIM sign a message with nothing but the exported tables,
// and another implementation verify it.
func (p published) openDKIM(t *testing.T) {
	needTool(t, "opendkim", "opendkim")
	needModule(t, "python3-dkim", python, "-c", "import dkim")
	dir := p.export(t, "opendkim")
	// The export's directories are below one that all may write to, as
	// temporary ones are; OpenDKIM asks for better.
	conf := p.openDKIMConf(t, fmt.Sprintf(`Mode s
RequireSafeKeys no
Canonicalization relaxed/relaxed
KeyTable %[1]s/KeyTable
SigningTable refile:%[1]s/SigningTable
`, dir))
	if out, err := p.run(t, "opendkim-testkey", "-x", conf); err != nil {
		t.Errorf("opendkim-testkey with the KeyTable: %v\n%s", err, out)
	}
	message := p.message("hello")
	file := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(file, []byte(message), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := p.run(t, "opendkim", "-x", conf, "-vv", "-t", file)
	inserted := signature.FindStringSubmatch(out)
	if err != nil || inserted == nil {
		t.Fatalf("opendkim does not sign: %v\n%s", err, out)
	}
	signed := "DKIM-Signature: " + strings.ReplaceAll(inserted[1], "\n", "\r\n") + "\r\n" + message
	if got := p.verify(t, signed); got != "True" {
		t.Errorf("dkimpy of what opendkim signed: %s\n%s", got, signed)
	}
}

// signature is what opendkim would have its MTA insert.
var signature = regexp.MustCompile(`(?s)INSHEADER: idx=\d+ hname='DKIM-Signature' hvalue='([^']+)'`)

// export writes all keys and their tables, and returns the directory.
func (p published) export(t *testing.T, format string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), format)
	p.domaind(t, "dkim", "export", "--format", format, "--out", dir)
	return dir
}

func (p published) message(body string) string {
	return "From: <info@" + p.domain + ">\r\nTo: <a@example.net>\r\nSubject: hello\r\n" +
		"Date: Mon, 02 Jan 2006 15:04:05 +0000\r\n\r\n" + body + "\r\n"
}

// verify returns what dkimpy says about a message.
func (p published) verify(t *testing.T, message string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(file, []byte(message), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := p.run(t, python, "-c", `import dkim, sys; print(dkim.verify(open(sys.argv[1], "rb").read()))`, file)
	if err != nil {
		t.Fatalf("dkimpy: %v\n%s", err, out)
	}
	return strings.TrimSpace(out)
}

// dkimpy signs with each form of the exported key, and verifies through DNS; a
// changed message must not verify.
func (p published) dkimpy(t *testing.T) {
	needModule(t, "python3-dkim", python, "-c", "import dkim")
	const sign = `import dkim, sys; print(dkim.sign(*(a.encode() for a in sys.argv[1:4]), open(sys.argv[4], "rb").read()).decode(), end="")`
	files := map[string]string{
		"pem":      p.pem,
		"opendkim": lastField(t, filepath.Join(p.export(t, "opendkim"), "KeyTable"), " :"),
		"rspamd":   lastField(t, filepath.Join(p.export(t, "rspamd"), "paths.map"), " "),
	}
	for format, key := range files {
		header, err := p.run(t, python, "-c", sign, p.message("hello"), p.selector, p.domain, key)
		if err != nil {
			t.Errorf("dkimpy signs with %s: %v\n%s", format, err, header)
			continue
		}
		if got := p.verify(t, header+p.message("hello")); got != "True" {
			t.Errorf("dkimpy says %s about what it signed with %s", got, format)
		}
		if got := p.verify(t, header+p.message("hullo")); got != "False" {
			t.Errorf("dkimpy says %s about a changed message", got)
		}
	}
}

// lastField returns the last field of the only line of a table.
func lastField(t *testing.T, file, separators string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line, rest, _ := strings.Cut(string(text), "\n")
	if line == "" || rest != "" {
		t.Fatalf("%s has not one line: %q", file, text)
	}
	return line[strings.LastIndexAny(line, separators)+1:]
}

// mailSPF asks Mail::SPF about our address and about a stranger's.
func (p published) mailSPF(t *testing.T) {
	const program = `my $domain = shift;
for my $ip (@ARGV) {
	my $request = Mail::SPF::Request->new(scope => "mfrom", identity => "info\@$domain", ip_address => $ip);
	print Mail::SPF::Server->new->process($request)->code, " ";
}`
	needModule(t, "libmail-spf-perl", "perl", "-MMail::SPF", "-e", "1")
	out, err := p.run(t, "perl", "-MMail::SPF", "-e", program, p.domain, mxIP, strangerIP)
	if err != nil || strings.TrimSpace(out) != "pass softfail" {
		t.Errorf("Mail::SPF says %v %s; want pass, and softfail for a stranger", err, out)
	}
}

// libSPF2 asks the other spfquery of Debian.
func (p published) libSPF2(t *testing.T) {
	needTool(t, "spfquery.libspf2", "spfquery")
	for ip, want := range map[string]string{mxIP: "pass", strangerIP: "softfail"} {
		// Its exit code is the result, and not 0 for a pass.
		out, _ := p.run(t, "spfquery.libspf2", "-ip="+ip, "-sender=info@"+p.domain)
		if got, _, _ := strings.Cut(out, "\n"); got != want {
			t.Errorf("spfquery says for %s: %s; want %s", ip, out, want)
		}
	}
}

// openDMARC has OpenDMARC read the policy.
func (p published) openDMARC(t *testing.T) {
	needTool(t, "opendmarc-check", "opendmarc")
	out, err := p.run(t, "opendmarc-check", p.domain)
	if err != nil || !strings.Contains(out, "DMARC record for "+p.domain) || !strings.Contains(out, "Domain policy: none") {
		t.Errorf("opendmarc-check: %v\n%s", err, out)
	}
}

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// seedKey and seedMX are what the documented commands are to be run against.
const (
	seedKey = "YOUR_API_KEY"
	seedMX  = "mx.example.com"
)

// TestSeedCommands runs the documented commands word for word; only the port
// and the record's id are adapted. Delete goes last.
func TestSeedCommands(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("DOMAIND_REQUIRE_SERVERS") == "1" {
			t.Fatal("curl is missing: apt-get install curl")
		}
		t.Skip("SKIPPED: curl is missing: apt-get install curl")
	}
	s := serve(t, "DOMAIND_API_KEY="+seedKey, "DOMAIND_MX_HOST="+seedMX, "DOMAIND_DNS_SERVERS=127.0.0.1:1")
	commands := seedCommands(t)

	created := commands.run(t, s, "/v2/domain\"", "201")
	wantAt(t, created, "message", "Domain created")
	wantDetails(t, created["domain"], "store")
	details := commands.run(t, s, "/info?", "200")
	wantDetails(t, details, "store")
	wantAt(t, details, "domain.organization_id", "org_456")

	routed := commands.run(t, s, "/route\"", "200")
	wantDetails(t, routed, "webhook_then_store")
	wantAt(t, routed, "route.webhook_url", "https://example.com/hook")

	status := commands.run(t, s, "/dns?", "200")
	wantAt(t, status, "domain.domain", "customer.com")
	spf := recordAt(t, status, "spf")
	commands.replace = strings.NewReplacer(`"id":123`, `"id":`+spf["id"].(json.Number).String())
	marked := commands.run(t, s, "/dns/mark\"", "200")
	wantDetails(t, marked, "webhook_then_store")
	if got := recordAt(t, marked, "spf")["status"]; got != "verified" {
		t.Errorf("the marked record is %v", got)
	}

	deleted := commands.run(t, s, "/domains/delete\"", "200")
	wantAt(t, deleted, "ok", true)
	wantAt(t, deleted, "deleted", "customer.com")
}

// wantDetails checks what every answer about the domain documents.
func wantDetails(t *testing.T, details any, mode string) {
	t.Helper()
	for path, want := range map[string]any{
		"domain.domain": "customer.com", "domain.status": "pending",
		"route.domain": "customer.com", "route.forward_mode": mode,
		"mx.host": seedMX, "mx.priority": json.Number("10"),
	} {
		wantAt(t, details, path, want)
	}
	for purpose, want := range map[string][3]string{
		"mx":    {"MX", "@", seedMX},
		"spf":   {"TXT", "@", "v=spf1 mx ~all"},
		"dmarc": {"TXT", "_dmarc", "v=DMARC1; p=none;"},
	} {
		r := recordAt(t, details, purpose)
		got := [3]string{fmt.Sprint(r["record_type"]), fmt.Sprint(r["host"]), fmt.Sprint(r["expected_value"])}
		if got != want {
			t.Errorf("the %s record is %q, want %q", purpose, got, want)
		}
	}
	dkim := recordAt(t, details, "dkim")
	host, value := fmt.Sprint(dkim["host"]), fmt.Sprint(dkim["expected_value"])
	if !strings.HasSuffix(host, "._domainkey") || !strings.HasPrefix(value, "v=DKIM1; k=rsa; p=") {
		t.Errorf("the dkim record is %s %s", host, value)
	}
}

// seed holds the documented commands.
type seed struct {
	commands []string
	replace  *strings.Replacer
}

func seedCommands(t *testing.T) *seed {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "seed-curl.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return &seed{commands: strings.Split(string(text), "\n\n"), replace: strings.NewReplacer()}
}

// run runs the one command that holds the mark in a shell, and returns the
// answer's body, whose status must be as wanted.
func (c *seed) run(t *testing.T, s *service, mark, status string) map[string]any {
	t.Helper()
	var command string
	for _, candidate := range c.commands {
		if strings.Contains(candidate, mark) {
			command = candidate
		}
	}
	if command == "" {
		t.Fatalf("no command holds %s", mark)
	}
	command = strings.ReplaceAll(c.replace.Replace(command), "http://127.0.0.1:3000", s.url)
	const quiet = "curl() { command curl -sS -w '\\n%{http_code}' \"$@\"; }\n"
	out, err := exec.Command("sh", "-c", quiet+command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	text := strings.TrimSpace(string(out))
	end := strings.LastIndex(text, "\n")
	body, got := text[:max(end, 0)], text[end+1:]
	if got != status {
		t.Fatalf("%s: status %s, want %s: %s", command, got, status, body)
	}
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	var answer map[string]any
	if err := decoder.Decode(&answer); err != nil {
		t.Fatalf("%s: %v: %s", command, err, body)
	}
	return answer
}

// wantAt checks the value at a path of member names.
func wantAt(t *testing.T, value any, path string, want any) {
	t.Helper()
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	if value != want {
		t.Errorf("%s is %v, want %v", path, value, want)
	}
}

// recordAt returns the record for a purpose out of an answer's dns list.
func recordAt(t *testing.T, details any, purpose string) map[string]any {
	t.Helper()
	object, _ := details.(map[string]any)
	list, _ := object["dns"].([]any)
	for _, item := range list {
		if r, _ := item.(map[string]any); r["purpose"] == purpose {
			return r
		}
	}
	t.Fatalf("no %s record among %v", purpose, list)
	return nil
}

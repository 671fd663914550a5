package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/server"
)

// link makes a setup link and returns its path.
func (h *harness) link(domain, user string) string {
	h.t.Helper()
	r := must(h.client(adminKey).CreateSetupLinkWithResponse(h.t.Context(), domain, client.CreateSetupLinkRequest{UserID: user}))
	if r.JSON201 == nil {
		h.t.Fatalf("setup link: %s %s", r.Status(), r.Body)
	}
	path, ok := strings.CutPrefix(r.JSON201.URL, "https://api.example.com")
	if !ok || !regexp.MustCompile(`^/setup/[\w-]{43}$`).MatchString(path) {
		h.t.Fatalf("url %s", r.JSON201.URL)
	}
	return path
}

// open makes a call as a browser does, without a key.
func (h *harness) open(method, path string, headers ...string) (*http.Response, string) {
	h.t.Helper()
	return h.do(method, path, "", append([]string{"X-Api-Key", "", "Accept", "text/html,*/*"}, headers...)...)
}

func TestSetupPageShowsTheRecords(t *testing.T) {
	h := start(t)
	d := h.create("customer.com", "u1")
	path := h.link("customer.com", "u1")
	resp, page := h.open(http.MethodGet, path)
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("%s %s", resp.Status, page)
	}
	for key, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow", "X-Frame-Options": "DENY",
	} {
		if got := resp.Header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, r := range d.DNS {
		for _, want := range []string{">" + r.Name + "<", ">" + r.Host + "<", strings.ReplaceAll(r.ExpectedValue, "+", "&#43;")} {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
	}
	if n := strings.Count(page, `<article class="card wait" data-part="record-`); n != 4 {
		t.Errorf("%d cards wait:\n%s", n, page)
	}
	if regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//|<script>|style="|onclick`).MatchString(page) {
		t.Error("the page loads from elsewhere, or has inline script or style")
	}
	for _, ref := range regexp.MustCompile(`(?:src|href)="(assets/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		if resp, _ := h.open(http.MethodGet, "/setup/"+ref[1]); resp.StatusCode != http.StatusOK || !strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %s %v", ref[1], resp.Status, resp.Header)
		}
	}
	resp, zone := h.open(http.MethodGet, path+"/zone")
	if resp.Header.Get("Content-Disposition") != "attachment; filename=customer.com.zone" || strings.Count(zone, " IN ") != 4 {
		t.Errorf("zone: %v %s", resp.Header, zone)
	}
}

// TestSetupLinksEnd opens links that are not valid, or not any more.
func TestSetupLinksEnd(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	h.create("gone.com", "u1")
	revoked, deleted := h.link("customer.com", "u1"), h.link("gone.com", "u1")
	h.do(http.MethodDelete, "/v2/domains/customer.com/setup-link?user_id=u1", "")
	h.do(http.MethodPost, "/v2/domains/delete", `{"domain":"gone.com","user_id":"u1"}`)
	h.create("gone.com", "u1") // the same claim again, and not the same link
	for name, tt := range map[string]struct {
		path   string
		status int
		say    string
	}{
		"revoked": {revoked, http.StatusGone, "no longer valid"},
		"deleted": {deleted, http.StatusGone, "no longer valid"},
		"guessed": {"/setup/" + strings.Repeat("A", 43), http.StatusNotFound, "no such link"},
		"cut":     {revoked[:40], http.StatusNotFound, "no such link"},
	} {
		for _, call := range []struct{ method, below string }{{"GET", ""}, {"GET", "/state"}, {"GET", "/zone"}, {"POST", "/check"}} {
			resp, body := h.open(call.method, tt.path+call.below, "Sec-Fetch-Site", "same-origin")
			if resp.StatusCode != tt.status || call.below != "/state" && !strings.Contains(body, tt.say) {
				t.Errorf("%s %s: %s %s", name, call.below, resp.Status, body)
			}
			if strings.Contains(body, "customer.com") || strings.Contains(body, "gone.com") {
				t.Errorf("%s %s tells the domain: %s", name, call.below, body)
			}
		}
	}
	if fresh, _ := h.open(http.MethodGet, h.link("gone.com", "u1")); fresh.StatusCode != http.StatusOK {
		t.Errorf("a new link: %s", fresh.Status)
	}
}

func TestSetupTTL(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	for ttl, want := range map[string]int{
		"1": 201, "720": 201, "0": 422, "721": 422, "-1": 422, "1.5": 422, `"72"`: 422, "null": 422, "1e999": 422,
	} {
		resp, body := h.do(http.MethodPost, "/v2/domains/customer.com/setup-link", `{"user_id":"u1","ttl_hours":`+ttl+`}`)
		if resp.StatusCode != want {
			t.Errorf("ttl_hours %s: %s %s", ttl, resp.Status, body)
		}
	}
}

// TestSetupGuessing guesses until it is slowed down; a good link goes on.
func TestSetupGuessing(t *testing.T) {
	h := start(t, func(c *server.Config) { c.RateLimit = 600 })
	h.create("customer.com", "u1")
	good := h.link("customer.com", "u1")
	for range 20 {
		if resp, _ := h.open(http.MethodGet, "/setup/"+strings.Repeat("B", 43)); resp.StatusCode != http.StatusNotFound {
			t.Fatalf("a guess: %s", resp.Status)
		}
	}
	resp, body := h.open(http.MethodGet, "/setup/"+strings.Repeat("B", 43))
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "One moment") {
		t.Errorf("many guesses: %s %s", resp.Status, body)
	}
	if resp, _ := h.open(http.MethodGet, good); resp.StatusCode != http.StatusOK {
		t.Errorf("a good link meanwhile: %s", resp.Status)
	}
}

// TestSetupCheck checks as a form and as a script do.
func TestSetupCheck(t *testing.T) {
	h := start(t, func(c *server.Config) { c.RateLimit = 600 })
	d := h.create("customer.com", "u1")
	path := h.link("customer.com", "u1")
	ok(t, h.dns.Set("customer.com. 60 IN MX 10 mx.example.com.",
		`customer.com. 60 IN TXT "v=spf1 include:_spf.other.example -all"`, `_spf.other.example. 60 IN TXT "v=spf1 ip4:198.51.100.7 -all"`,
		`_dmarc.customer.com. 60 IN TXT "v=DMARC1; p=<script>alert(1)</script>"`))
	for name, headers := range map[string][]string{
		"another site":            {"Sec-Fetch-Site", "cross-site"},
		"another site, as of old": {"Origin", "https://evil.example"},
	} {
		if resp, _ := h.open(http.MethodPost, path+"/check", headers...); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	noFollow := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+path+"/check", http.NoBody))
	r.Header.Set("Origin", "null") // of a page without a referrer
	resp := must(noFollow.Do(r))
	ok(t, resp.Body.Close())
	if back := must(resp.Request.URL.Parse(resp.Header.Get("Location"))); resp.StatusCode != http.StatusSeeOther || back.Path != path {
		t.Errorf("form: %s to %s", resp.Status, back)
	}
	resp, body := h.open(http.MethodPost, path+"/check", "Accept", "application/json", "Sec-Fetch-Site", "same-origin")
	var state struct {
		Status          string
		Verified, Total int
		Records         []struct{ Type, Status, Code string }
		Parts           map[string]string
	}
	ok(t, json.Unmarshal([]byte(body), &state))
	if resp.StatusCode != http.StatusOK || state.Status != "pending" || state.Verified != 1 || state.Total != 4 || len(state.Parts) != 5 || state.Records[0].Status != "verified" {
		t.Errorf("state: %s %s", resp.Status, body)
	}
	_, page := h.open(http.MethodGet, path)
	for _, want := range []string{
		"merged with yours", "v=spf1 include:_spf.other.example", "mx -all", "&lt;script&gt;alert(1)&lt;/script&gt;", "What to do:", "Needs a change", "Not found yet",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "<script>alert") || strings.Count(page, d.DNS[2].ExpectedValue[30:60]) > 4 {
		t.Error("the page has hostile text, or repeats a long value in its hint")
	}
	for i := 0; resp.StatusCode != http.StatusTooManyRequests; i++ {
		if i > 10 {
			t.Fatal("checks are not limited")
		}
		resp, body = h.open(http.MethodPost, path+"/check")
	}
	if !strings.Contains(body, `href="..`+strings.TrimPrefix(path, "/setup")+`"`) {
		t.Errorf("no way back: %s", body)
	}
}

// TestSetupAccepted tells nobody to publish what was accepted by hand, and warns
// that short hosts count from the domain where its zone is not known.
func TestSetupAccepted(t *testing.T) {
	h := start(t)
	d := h.create("mail.customer.com", "u1")
	c := h.client(adminKey)
	checked := must(c.VerifyDNSWithResponse(t.Context(), "mail.customer.com", client.VerifyDNSRequest{UserID: "u1"}))
	path, aside := h.link("mail.customer.com", "u1"), "The short hosts below count from <code>mail.customer.com</code>"
	if _, page := h.open(http.MethodGet, path); !strings.Contains(page, aside) {
		t.Errorf("the page lacks %q", aside)
	}
	for _, r := range d.DNS {
		marked := must(c.MarkDNSWithResponse(t.Context(), "mail.customer.com", client.MarkDNSRequest{
			UserID: "u1", ID: r.ID, Status: client.RecordStatusVerified,
		}))
		if checked.JSON200 == nil || marked.JSON200 == nil {
			t.Fatalf("%s %s", checked.Status(), marked.Status())
		}
	}
	_, page := h.open(http.MethodGet, path)
	for want, n := range map[string]int{
		"Accepted by the operator": 4, "There is nothing to do, although DNS said": 4, "Publish": 0, aside: 0,
	} {
		if got := strings.Count(page, want); got != n {
			t.Errorf("%q: %d times, want %d", want, got, n)
		}
	}
}

// TestSetupProvider names the provider, and the hosts as its zone has them.
func TestSetupProvider(t *testing.T) {
	zone := server.Zone{Name: "customer.com", Servers: []string{"amy.ns.cloudflare.com", "bob.ns.cloudflare.com"}}
	asked := 0
	h := start(t, func(c *server.Config) {
		c.NameServers = func(context.Context, string) (server.Zone, error) { asked++; return zone, nil }
	})
	h.create("mail.customer.com", "u1")
	path := h.link("mail.customer.com", "u1")
	for range 2 {
		_, page := h.open(http.MethodGet, path)
		if strings.Contains(page, "count from") {
			t.Error("the zone is taken to be unknown")
		}
		for _, want := range []string{"Your DNS is at Cloudflare", ">_dmarc.mail<", ">mail<", ">_dmarc.mail.customer.com<", "<code>customer.com</code>"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %q", want)
			}
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	zone.Servers = []string{"ns1.<b>.example"}
	h.create("other.com", "u1")
	if _, page := h.open(http.MethodGet, h.link("other.com", "u1")); !strings.Contains(page, "served by <bdi>ns1.&lt;b&gt;.example</bdi>") {
		t.Error("an unknown provider's servers are not named")
	}
}

// TestSetupTokenIsInNoLog opens, checks, and fails.
func TestSetupTokenIsInNoLog(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	path := h.link("customer.com", "u1")
	h.open(http.MethodGet, path)
	h.open(http.MethodPost, path+"/check")
	h.open(http.MethodDelete, path)
	ok(t, h.store.Close())
	if resp, body := h.open(http.MethodGet, path); resp.StatusCode < 500 || !strings.Contains(body, "Something went wrong") {
		t.Errorf("%s %s", resp.Status, body)
	}
	_, metrics := h.do(http.MethodGet, "/metrics", "")
	for where, text := range map[string]string{"log": h.logs.String(), "metrics": metrics} {
		if strings.Contains(text, strings.TrimPrefix(path, "/setup/")) || !strings.Contains(text, "/setup/:token") {
			t.Errorf("the %s has the token, or lacks the route: %s", where, text)
		}
	}
}

// TestSetupLinkIsOneUsers opens a name that two users claim.
func TestSetupLinkIsOneUsers(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	other := h.create("customer.com", "u2")
	_, page := h.open(http.MethodGet, h.link("customer.com", "u1"))
	if dkim := other.DNS[2]; strings.Contains(page, dkim.Name) {
		t.Error("the page shows another user's record")
	}
}

package main_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsStayInside leads a domain through its life with secrets that are
// known, and searches for them all that leaves the program or lies on disk.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	h := &hideout{t: t, dir: t.TempDir(), known: map[string][]byte{}}
	const bootstrap, first, second = "bootstrap-key-canary-01", "first-webhook-canary-02", "second-webhook-canary-03"
	const events = "whsec_ZXZlbnRzLWNhbmFyeS0wNC1hbmQtc29tZS1tb3Jl"
	database := filepath.Join(h.dir, "domaind.db")
	h.env = []string{"DOMAIND_DATABASE=" + database}
	h.service = serve(t, "DOMAIND_API_KEY="+bootstrap, "DOMAIND_MX_HOST=mx.example.com", "DOMAIND_DNS_SERVERS=127.0.0.1:1",
		"DOMAIND_DATABASE="+database, "DOMAIND_LOG_LEVEL=debug", "DOMAIND_DKIM_POOL=1",
		"DOMAIND_EVENTS_WEBHOOK_URL=https://events.invalid/", "DOMAIND_EVENTS_WEBHOOK_SECRET="+events)
	h.key = strings.TrimSpace(string(h.run("key", "create", "--scope", "admin", "--name", "canary")))
	h.know("bootstrap key", []byte(bootstrap))
	h.know("API key", []byte(h.key))
	h.know("secret of the events", []byte(events))
	h.know("first webhook secret", []byte(first))
	h.know("replaced webhook secret", []byte(second))
	h.knowMasterKey("master key")

	h.live(first, second)
	h.knowPrivateKey("DKIM private key", h.run("dkim", "export", "--format", "pem", "--user", "u1", "customer.com"))
	h.search("key list", h.run("key", "list"))
	h.run("backup", filepath.Join(h.dir, "before.backup"))
	h.search("rekey", h.run("key", "rekey"))
	h.knowMasterKey("new master key")
	h.call(http.MethodGet, "/v2/domains/customer.com/info?user_id=u1", "")
	h.call(http.MethodPost, "/v2/domains/delete", `{"domain":"customer.com","user_id":"u1"}`)
	h.search("key revoke", h.run("key", "revoke", h.key))
	h.call(http.MethodGet, "/v2/domains?user_id=u1", "")
	h.run("backup", filepath.Join(h.dir, "after.backup"))

	h.searchAll()
}

// hideout holds what is secret, and what was seen from outside.
type hideout struct {
	*service
	t     *testing.T
	dir   string
	env   []string
	key   string
	known map[string][]byte
	seen  []sighting
}

type sighting struct {
	where string
	text  []byte
}

func (h *hideout) know(what string, secret []byte) {
	if len(secret) < 12 {
		h.t.Fatalf("the %s is too short to be searched for", what)
	}
	h.known[what] = secret
}

// knowMasterKey takes the key that seals, in the forms that it may take.
func (h *hideout) knowMasterKey(what string) {
	b, err := os.ReadFile(filepath.Join(h.dir, "master.key"))
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "#") {
			raw, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				h.t.Fatal(err)
			}
			h.know(what, []byte(text))
			h.know(what+", raw", raw)
			h.know(what+", hex", []byte(hex.EncodeToString(raw)))
			return
		}
	}
	h.t.Fatal("the master key file is empty")
}

// knowPrivateKey takes a key in PEM, whose primes stand in every encoding that
// is not text.
func (h *hideout) knowPrivateKey(what string, text []byte) {
	block, _ := pem.Decode(text)
	if block == nil {
		h.t.Fatalf("not PEM: %q", text)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		h.t.Fatal(err)
	}
	for i, p := range key.(*rsa.PrivateKey).Primes {
		h.know(fmt.Sprintf("%s, prime %d", what, i), p.Bytes())
	}
	inside := base64.StdEncoding.EncodeToString(block.Bytes)
	h.know(what+", base64", []byte(inside[len(inside)/2:len(inside)/2+64]))
	h.know(what+", PEM", bytes.Split(text, []byte("\n"))[4])
}

func (h *hideout) run(args ...string) []byte {
	h.t.Helper()
	cmd := exec.CommandContext(h.t.Context(), binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, h.env...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("domaind %s: %v: %s", args[0], err, &complaints)
	}
	h.search("what domaind "+args[0]+" complains of", complaints.Bytes())
	return out
}

// search keeps a text for searchAll: not all secrets are known yet.
func (h *hideout) search(where string, text []byte) {
	h.seen = append(h.seen, sighting{where, bytes.Clone(text)})
}

// call makes a request and keeps the answer, its headers too, for the search.
func (h *hideout) call(method, path, body string) (int, []byte) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("x-api-key", h.key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	where := fmt.Sprintf("the answer %d to %s %s", reply.StatusCode, method, path)
	if !tells(path) {
		h.search(where, text)
	}
	h.search(where+", its headers", fmt.Append(nil, reply.Header))
	return reply.StatusCode, text
}

// tells reports whether a call may answer with a secret: one that it generated,
// or the token that it was called by, for the links of the page.
func tells(path string) bool {
	return strings.HasSuffix(path, "generated.com/route") || strings.HasSuffix(path, "/setup-link") ||
		strings.HasPrefix(path, "/setup/")
}

// must makes a request that has to succeed.
func (h *hideout) must(method, path, body string) []byte {
	h.t.Helper()
	status, text := h.call(method, path, body)
	if status >= http.StatusMultipleChoices {
		h.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

// live makes the calls of a domain's life, and some that fail.
func (h *hideout) live(first, second string) {
	h.t.Helper()
	route := func(secret string) string {
		return `{"user_id":"u1","forward_mode":"webhook","webhook_url":"https://example.com/hook"` + secret + `}`
	}
	h.must(http.MethodPost, "/v2/domain", `{"domain":"customer.com","user_id":"u1"}`)
	h.must(http.MethodPost, "/v2/domain", `{"domain":"generated.com","user_id":"u1"}`)
	for _, secret := range []string{first, second} {
		h.must(http.MethodPut, "/v2/domains/customer.com/route", route(`,"webhook_secret":"`+secret+`"`))
	}
	h.call(http.MethodPut, "/v2/domains/customer.com/route", route(`,"webhook_secret":"`+first+`\u00e9"`))
	h.call(http.MethodPut, "/v2/domains/customer.com/route", route(`,"webhook_secret":["`+first+`"]`))
	var answer struct {
		Route struct {
			Secret string `json:"webhook_secret"`
		}
	}
	if err := json.Unmarshal(h.must(http.MethodPut, "/v2/domains/generated.com/route", route("")), &answer); err != nil {
		h.t.Fatal(err)
	}
	h.know("generated webhook secret", []byte(answer.Route.Secret))

	var link struct{ URL string }
	if err := json.Unmarshal(h.must(http.MethodPost, "/v2/domains/customer.com/setup-link", `{"user_id":"u1"}`), &link); err != nil {
		h.t.Fatal(err)
	}
	page := strings.TrimPrefix(link.URL, h.url)
	h.know("token of the setup link", []byte(page[strings.LastIndex(page, "/")+1:]))
	h.must(http.MethodGet, page, "")
	h.call(http.MethodGet, page+"x", "")

	var details struct{ DNS []struct{ ID int64 } }
	if err := json.Unmarshal(h.must(http.MethodGet, "/v2/domains/customer.com/dns?user_id=u1", ""), &details); err != nil {
		h.t.Fatal(err)
	}
	for _, r := range details.DNS {
		h.must(http.MethodPost, "/v2/domains/customer.com/dns/mark", fmt.Sprintf(`{"user_id":"u1","id":%d,"status":"verified"}`, r.ID))
	}
	h.must(http.MethodPost, "/v2/domains/customer.com/dkim/rotate", `{"user_id":"u1"}`)
	for _, path := range []string{
		"/v2/domains/customer.com/info?user_id=u1", "/v2/domains/generated.com/info?user_id=u1", "/v2/domains?user_id=u1",
		"/v2/domains/customer.com/zone?user_id=u1", "/v2/domains/customer.com/events?user_id=u1",
		"/v2/domains/customer.com/messages?user_id=u1", "/metrics", "/readyz",
	} {
		h.must(http.MethodGet, path, "")
	}
	h.call(http.MethodGet, "/v2/domains?user_id=u1&x-api-key="+h.key, "")
	h.call(http.MethodPost, "/v2/domain", `{"domain":"x.com","user_id":"u1","`+h.key+`":1}`)
	h.call(http.MethodGet, "/v2/domains/"+h.key+"/info?user_id="+h.key, "")
}

// searchAll reads the log and every file, and looks for every secret in
// everything. What must be there shows that the search can find something.
func (h *hideout) searchAll() {
	h.t.Helper()
	eventually(h.t, startWithin, "the last call is in the log", func() bool {
		return bytes.Contains(h.log.Whole(), []byte(`"code":"invalid-api-key"`))
	})
	h.search("the log", h.log.Whole())
	open := map[string]bool{"the log": false, "domaind.db": false, "before.backup": false, "after.backup": false}
	keyFile := false
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if d.Name() == "master.key" {
			keyFile = bytes.Contains(b, h.known["new master key"])
			return err
		}
		h.search(d.Name(), b)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, s := range h.seen {
		for where := range open { // what SQLite writes first is in a file beside it
			open[where] = open[where] || strings.HasPrefix(s.where, where) && bytes.Contains(s.text, []byte("customer.com"))
		}
		for what, secret := range h.known {
			if bytes.Contains(s.text, secret) {
				h.t.Errorf("%s holds the %s", s.where, what)
			}
		}
	}
	for where, found := range open {
		if !found {
			h.t.Errorf("nothing was found in %s: the search is blind", where)
		}
	}
	if !keyFile {
		h.t.Error("the master key was not found in its own file: the search is blind")
	}
}

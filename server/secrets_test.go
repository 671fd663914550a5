package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/server"
	"github.com/domaind/domaind/store"
)

// TestLogsAndMetricsTellNoSecrets makes calls that are full of secrets and
// looks for them where they must not be.
func TestLogsAndMetricsTellNoSecrets(t *testing.T) {
	h := start(t)
	h.create("customer.com", "user-4711")
	_, secret, err := h.store.CreateKey(t.Context(), store.NewKey{Scope: store.ScopeAdmin})
	ok(t, err)
	h.do(http.MethodPut, "/v2/domains/customer.com/route",
		`{"user_id":"user-4711","forward_mode":"webhook","webhook_url":"https://example.com/url-4711","webhook_secret":"whs-4711-4711"}`, "x-api-key", secret)
	h.do(http.MethodGet, "/v2/domains/customer.com/info?user_id=user-4711", "")
	h.do(http.MethodGet, "/v2/domains?user_id=u1&x-api-key="+secret, "")
	h.do(http.MethodGet, "/v2/domains?user_id=u1", "", "x-api-key", "wrong-key-4711")
	h.do(http.MethodGet, "/v2/domains/"+secret+"/info?user_id=u1", "", "x-api-key", secret)
	h.do(http.MethodGet, "/v2/domains/wrong-key-4711/info", "")
	_, metrics := h.do(http.MethodGet, "/metrics", "")
	for where, text := range map[string]string{"log": h.logs.String(), "metrics": metrics} {
		for _, s := range []string{adminKey, secret, "whs-4711", "url-4711", "user-4711", "wrong-key-4711"} {
			if strings.Contains(text, s) {
				t.Errorf("the %s has %s", where, s)
			}
		}
	}
	for _, want := range []string{`"route":"/v2/domains/:domain/info"`, `"domain":"customer.com"`, `"key":"bootstrap"`, `"code":"invalid-api-key"`} {
		if !strings.Contains(h.logs.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if want := `domaind_http_request_duration_seconds_count{method="GET",route="/v2/domains/:domain/info",status="200"} 1`; !strings.Contains(metrics, want) {
		t.Errorf("the metrics lack %s", want)
	}
}

// TestAnswersNeverShowTheKey sends the key where names are repeated.
func TestAnswersNeverShowTheKey(t *testing.T) {
	const key = "letters-only-admin-key"
	h := start(t, func(c *server.Config) { c.BootstrapKey = key })
	for _, tt := range []struct{ query, body, pointer string }{
		{body: `{"` + key + `":1,"` + key + `":2}`, pointer: ""},
		{body: `{"x":{"` + key + `":[1.5]}}`, pointer: "/x"},
		{body: `{"domain":"a.com","user_id":"u1","` + key + `":1}`, pointer: ""},
		{query: "?" + key + "=1", body: `{}`, pointer: "/query"},
		{query: "?other-name=1", body: `{}`, pointer: "/query/other-name"},
	} {
		resp, text := h.do(http.MethodPost, "/v2/domain"+tt.query, tt.body, "x-api-key", key)
		if resp.StatusCode < 400 || strings.Contains(text, key) || !strings.Contains(text, `"pointer":"`+tt.pointer+`"`) {
			t.Errorf("%s %s: %s; want the pointer %q", tt.query, tt.body, text, tt.pointer)
		}
	}
}

// TestFailureIsFixedTextAndLoggedOnce closes the database under the server.
func TestFailureIsFixedTextAndLoggedOnce(t *testing.T) {
	h := start(t)
	h.create("customer.com", "u1")
	ok(t, h.store.Close())
	r := must(h.client(adminKey).GetDomainWithResponse(t.Context(), "customer.com", &client.GetDomainParams{UserID: "u1"}))
	if r.StatusCode() < 500 {
		t.Fatalf("status %d", r.StatusCode())
	}
	for _, s := range []string{"sql", "database", "closed", "store:"} {
		if strings.Contains(strings.ToLower(string(r.Body)), s) {
			t.Errorf("the body tells %q: %s", s, r.Body)
		}
	}
	if n := strings.Count(h.logs.String(), `"request failed"`); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

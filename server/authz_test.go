package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/gen/api"
	"github.com/domaind/domaind/store"
)

// principal is somebody who calls, and what he may do.
type principal struct {
	name  string
	key   store.NewKey
	state string // revoked, expired, unknown, none; "" is a valid key
}

var principals = []principal{
	{name: "nobody", state: "none"},
	{name: "stranger", state: "unknown"},
	{name: "revoked", key: store.NewKey{Scope: store.ScopeAdmin}, state: "revoked"},
	{name: "expired", key: store.NewKey{Scope: store.ScopeAdmin}, state: "expired"},
	{name: "reader", key: store.NewKey{Scope: store.ScopeRead}},
	{name: "writer", key: store.NewKey{Scope: store.ScopeWrite}},
	{name: "admin", key: store.NewKey{Scope: store.ScopeAdmin}},
	{name: "user 1", key: store.NewKey{Scope: store.ScopeAdmin, UserID: "u1"}},
	{name: "user 2", key: store.NewKey{Scope: store.ScopeAdmin, UserID: "u2"}},
	{name: "organization 1", key: store.NewKey{Scope: store.ScopeAdmin, OrganizationID: "o1"}},
	{name: "organization 2", key: store.NewKey{Scope: store.ScopeAdmin, OrganizationID: "o2"}},
}

// targets are the domains that a call of user u1 names: his own in o1, his own
// in o2, somebody else's in o1, one that he deleted, one that never was.
var targets = []string{"own", "sibling", "foreign", "deleted", "random"}

// calls has a good request of user u1 for every operation that wants a key.
// DOMAIN, RECORD, MESSAGE and DELIVERY stand for the target's.
var calls = map[string]struct{ method, path, body string }{
	"createDomain":     {"POST", "/v2/domain", `{"domain":"DOMAIN","user_id":"u1"}`},
	"listDomains":      {"GET", "/v2/domains?user_id=u1", ""},
	"deleteDomain":     {"POST", "/v2/domains/delete", `{"domain":"DOMAIN","user_id":"u1"}`},
	"getDomain":        {"GET", "/v2/domains/DOMAIN/info?user_id=u1", ""},
	"getDns":           {"GET", "/v2/domains/DOMAIN/dns?user_id=u1", ""},
	"getZone":          {"GET", "/v2/domains/DOMAIN/zone?user_id=u1", ""},
	"listEvents":       {"GET", "/v2/domains/DOMAIN/events?user_id=u1", ""},
	"putRoute":         {"PUT", "/v2/domains/DOMAIN/route", `{"user_id":"u1","forward_mode":"store"}`},
	"verifyDns":        {"POST", "/v2/domains/DOMAIN/dns/verify", `{"user_id":"u1"}`},
	"markDns":          {"POST", "/v2/domains/DOMAIN/dns/mark", `{"user_id":"u1","id":RECORD,"status":"verified"}`},
	"rotateDkim":       {"POST", "/v2/domains/DOMAIN/dkim/rotate", `{"user_id":"u1"}`},
	"createSetupLink":  {"POST", "/v2/domains/DOMAIN/setup-link", `{"user_id":"u1"}`},
	"revokeSetupLinks": {"DELETE", "/v2/domains/DOMAIN/setup-link?user_id=u1", ""},
	"testRoute":        {"POST", "/v2/domains/DOMAIN/route/test", `{"user_id":"u1"}`},

	"listMessages":         {"GET", "/v2/domains/DOMAIN/messages?user_id=u1", ""},
	"getMessage":           {"GET", "/v2/domains/DOMAIN/messages/MESSAGE?user_id=u1", ""},
	"deleteMessage":        {"DELETE", "/v2/domains/DOMAIN/messages/MESSAGE?user_id=u1", ""},
	"getMessageRaw":        {"GET", "/v2/domains/DOMAIN/messages/MESSAGE/raw?user_id=u1", ""},
	"getMessageAttachment": {"GET", "/v2/domains/DOMAIN/messages/MESSAGE/attachments/0?user_id=u1", ""},
	"listDeliveries":       {"GET", "/v2/domains/DOMAIN/deliveries?user_id=u1", ""},
	"retryDelivery":        {"POST", "/v2/domains/DOMAIN/deliveries/DELIVERY/retry", `{"user_id":"u1"}`},
	"retryDeliveries":      {"POST", "/v2/domains/DOMAIN/deliveries/retry", `{"user_id":"u1"}`},
}

// TestAuthorization calls every operation of openapi.yaml as every principal
// for every target. An operation without a row in calls fails it.
func TestAuthorization(t *testing.T) {
	h := start(t)
	endpoint := h.hook().url
	doc, err := api.GetSpec()
	ok(t, err)
	secrets := map[string]string{}
	for _, p := range principals {
		secrets[p.name] = h.secret(p)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.Security != nil && len(*op.Security) == 0 {
				continue
			}
			if _, ok := calls[op.OperationID]; !ok {
				t.Errorf("%s has no row in calls", op.OperationID)
				continue
			}
			scope, _ := op.Extensions["x-required-scope"].(string)
			t.Run(op.OperationID, func(t *testing.T) {
				h.t = t
				for _, p := range principals {
					for _, target := range targets {
						h.authorize(attempt{op.OperationID, store.Scope(scope), p, secrets[p.name], h.target(target, endpoint)})
					}
				}
			})
		}
	}
}

// secret makes the principal's key.
func (h *harness) secret(p principal) string {
	switch p.state {
	case "none":
		return ""
	case "unknown":
		return "dmd_00000000000000000000000000000000AAAAAA"
	case "expired":
		p.key.ExpiresAt = time.Now().Add(-time.Second)
	}
	k, secret, err := h.store.CreateKey(h.t.Context(), p.key)
	ok(h.t, err)
	if p.state == "revoked" {
		ok(h.t, h.store.RevokeKey(h.t.Context(), k.ID))
	}
	return secret
}

// attempt is one call of the matrix.
type attempt struct {
	operation string
	scope     store.Scope
	principal
	secret string
	at     target
}

// target is a domain with what belongs to it.
type target struct {
	kind, name string
	record     int64
	mailed
}

// authorize makes one call and holds the status against the rules.
func (h *harness) authorize(a attempt) {
	h.t.Helper()
	call := calls[a.operation]
	fill := strings.NewReplacer("DOMAIN", a.at.name, "RECORD", fmt.Sprint(a.at.record), "MESSAGE", a.at.message, "DELIVERY", a.at.delivery)
	resp, body := h.do(call.method, fill.Replace(call.path), fill.Replace(call.body), "x-api-key", a.secret)
	want := a.want(a.operation, a.scope, a.at.kind)
	if got := resp.StatusCode; got != want && !(want == http.StatusOK && (got == http.StatusCreated || got == http.StatusAccepted)) {
		h.t.Errorf("%s as %s for %s: status %d, want %d: %s", a.operation, a.principal.name, a.at.kind, got, want, body)
	}
	hidden := a.at.kind == "foreign" || a.key.OrganizationID == "o2" && a.at.kind == "own" || a.key.OrganizationID == "o1" && a.at.kind == "sibling"
	if hidden && a.operation != "createDomain" && strings.Contains(body, a.at.name) {
		h.t.Errorf("%s as %s for %s tells of a hidden domain: %s", a.operation, a.principal.name, a.at.kind, body)
	}
}

// target makes the domain of a kind, with a message and a webhook.
func (h *harness) target(kind, endpoint string) target {
	h.t.Helper()
	out := target{kind: kind, name: random() + ".com", record: 1, mailed: mailed{h.store.NewMessageID(), h.store.NewMessageID()}}
	t, org := store.Tenant{UserID: "u1", Actor: "test"}, "o1"
	switch kind {
	case "random":
		return out
	case "sibling":
		org = "o2"
	case "foreign":
		t.UserID = "u2"
	}
	ctx := h.t.Context()
	d, _, err := h.store.CreateDomain(ctx, t, store.NewDomain{Name: out.name, Unicode: out.name, OrganizationID: org})
	ok(h.t, err)
	_, err = h.store.PutRoute(ctx, t, out.name, store.PutRoute{Mode: store.ForwardModeWebhook, WebhookURL: endpoint})
	ok(h.t, err)
	out.record, out.mailed = d.Records[0].ID, h.mail(t.UserID, out.name, letter)
	if kind == "deleted" {
		ok(h.t, h.store.DeleteDomain(ctx, t, out.name))
	}
	return out
}

// want is the status by the rules of the contract.
func (p principal) want(operation string, scope store.Scope, target string) int {
	rank := map[store.Scope]int{store.ScopeRead: 1, store.ScopeWrite: 2, store.ScopeAdmin: 3}
	visible := target == "own" && p.key.OrganizationID != "o2" || target == "sibling" && p.key.OrganizationID != "o1"
	switch {
	case p.state != "":
		return http.StatusUnauthorized
	case rank[p.key.Scope] < rank[scope], p.key.UserID == "u2":
		return http.StatusForbidden
	case operation == "listDomains":
		return http.StatusOK
	case operation == "createDomain":
		if !visible && (target == "own" || target == "sibling") {
			return http.StatusConflict
		}
		return http.StatusOK
	case visible:
		return http.StatusOK
	default:
		return http.StatusNotFound
	}
}

package server_test

import (
	"encoding/json"
	"net/http"
	"testing"
)

// TestHalfClose: a client that closes its sending side after the body gets its
// answer; the race with net/http's watch over the connection takes some tries.
func TestHalfClose(t *testing.T) {
	h := start(t)
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, "/v2/domain", `{"domain":"{rand}.com","user_id":"u1"}`, http.StatusCreated},
		{http.MethodGet, "/v2/domains/{domain}/info?user_id=u1", "", http.StatusOK},
		{http.MethodPut, "/v2/domains/{domain}/route", `{"user_id":"u1","forward_mode":"store"}`, http.StatusOK},
		{http.MethodPost, "/v2/domains/{domain}/dns/verify", `{"user_id":"u1"}`, http.StatusOK},
		{http.MethodPost, "/v2/domains/{domain}/dkim/rotate", `{"user_id":"u1"}`, http.StatusAccepted},
		{http.MethodPost, "/v2/domains/{domain}/dns/mark", `{"user_id":"u1","id":"{record_id}","status":"verified"}`, http.StatusOK},
		{http.MethodPost, "/v2/domains/delete", `{"domain":"{domain}","user_id":"u1"}`, http.StatusOK},
	} {
		for range 5 {
			r := rawRequest{Method: tt.method, Path: tt.path, HalfClose: true}
			if tt.body != "" {
				r.BodyJSON = json.RawMessage(tt.body)
			}
			if got := r.send(t, h, h.placeholders([]string{"domain"})); got.status != tt.status {
				t.Fatalf("%s %s: %d %s", tt.method, tt.path, got.status, got.body)
			}
		}
	}
}

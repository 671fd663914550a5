package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
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

// TestExpectTooLarge: a client that asks first is not told to send a body that
// is refused for its length.
func TestExpectTooLarge(t *testing.T) {
	h := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	ok(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprintf(conn, "POST /v2/domain HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n"+
		"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 70000\r\n\r\n", adminKey)
	ok(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	ok(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("first came %s", resp.Status)
	}
}

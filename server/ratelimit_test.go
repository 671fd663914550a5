package server_test

import (
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/domaind/domaind/server"
)

// clock is a clock that stands until it is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func limited(t *testing.T, perMinute int) (*harness, *clock) {
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	return start(t, func(cfg *server.Config) { cfg.RateLimit, cfg.Now = perMinute, c.Now }), c
}

func TestRequestsOfAKeyAreLimited(t *testing.T) {
	h, clock := limited(t, 6)
	get := func() *http.Response {
		resp, _ := h.do(http.MethodGet, "/v2/domains?user_id=u1", "")
		return resp
	}
	for i := range 6 {
		if resp := get(); resp.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %d", i, resp.StatusCode)
		}
	}
	resp := get()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "10" {
		t.Errorf("%d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if got := resp.Header.Get("RateLimit"); got != `"requests";r=0;t=60` || resp.Header.Get("RateLimit-Policy") != `"requests";q=6;w=60` {
		t.Errorf("headers %v", resp.Header)
	}
	clock.add(10 * time.Second)
	if resp := get(); resp.StatusCode != http.StatusOK || resp.Header.Get("RateLimit") != `"requests";r=0;t=60` {
		t.Errorf("after the wait: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestCheckNowIsLimitedByUser(t *testing.T) {
	h, _ := limited(t, 10_000)
	h.create("customer.com", "u1")
	h.create("customer.com", "u2")
	verify := func(user string) int {
		resp, _ := h.do(http.MethodPost, "/v2/domains/customer.com/dns/verify", `{"user_id":"`+user+`"}`)
		return resp.StatusCode
	}
	for range 60 {
		if status := verify("u1"); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	if a, b := verify("u1"), verify("u2"); a != http.StatusTooManyRequests || b != http.StatusOK {
		t.Errorf("the user's 61st call: %d, another user's first: %d", a, b)
	}
}

func TestWrongKeysAreLimitedByAddress(t *testing.T) {
	h, _ := limited(t, 10_000)
	call := func(key string) int {
		resp, _ := h.do(http.MethodGet, "/v2/domains?user_id=u1", "", "x-api-key", key)
		return resp.StatusCode
	}
	for range 60 {
		if status := call("wrong"); status != http.StatusUnauthorized {
			t.Fatalf("status %d", status)
		}
	}
	if a, b := call("wrong"), call(adminKey); a != http.StatusTooManyRequests || b != http.StatusOK {
		t.Errorf("the 61st wrong key: %d, a good key from there: %d", a, b)
	}
}

// TestForwardedAddress wants a client's address from a proxy that is trusted,
// and from nobody else.
func TestForwardedAddress(t *testing.T) {
	for _, tt := range []struct {
		name, forwarded string
		proxies         []netip.Prefix
		limited         bool // with the clients before it, which came by 192.0.2.0/24
	}{
		{name: "no proxy", forwarded: "198.51.100.9", limited: true},
		{name: "not this one", proxies: prefixes("10.0.0.0/8"), forwarded: "198.51.100.9", limited: true},
		{name: "another client", proxies: prefixes("127.0.0.0/8"), forwarded: "198.51.100.9"},
		{name: "the same client", proxies: prefixes("127.0.0.0/8"), forwarded: "192.0.2.1", limited: true},
		{name: "what the client claims", proxies: prefixes("127.0.0.0/8"), forwarded: "198.51.100.9, 192.0.2.1", limited: true},
		{name: "two proxies", proxies: prefixes("127.0.0.0/8", "10.0.0.0/8"), forwarded: "192.0.2.1, 10.1.1.1", limited: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
			h := start(t, func(cfg *server.Config) {
				cfg.RateLimit, cfg.Now, cfg.TrustedProxies = 10_000, c.Now, tt.proxies
			})
			call := func(forwarded string) int {
				resp, _ := h.do(http.MethodGet, "/v2/domains?user_id=u1", "", "x-api-key", "wrong", "X-Forwarded-For", forwarded)
				return resp.StatusCode
			}
			for range 60 {
				call("192.0.2.1")
			}
			want := http.StatusUnauthorized
			if tt.limited {
				want = http.StatusTooManyRequests
			}
			if got := call(tt.forwarded); got != want {
				t.Errorf("status %d, want %d", got, want)
			}
		})
	}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

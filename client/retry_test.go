package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// scripted answers each request with the next status of a list, and keeps what
// it was sent.
type scripted struct {
	statuses   []int
	retryAfter string
	bodies     []string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.bodies = append(s.bodies, r.Method+" "+r.URL.Path+" "+string(body)+" "+r.Header.Get("x-api-key"))
	status := s.statuses[0]
	s.statuses = s.statuses[1:]
	if status/100 == 2 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"ok":true}`)
		return
	}
	if s.retryAfter != "" {
		w.Header().Set("Retry-After", s.retryAfter)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"code":"some-code","status":599,"detail":"Some detail."}`)
}

func TestRetries(t *testing.T) {
	create := func(ctx context.Context, c *Client) error {
		_, _, err := c.Create(ctx, "shop.com", "")
		return err
	}
	read := func(ctx context.Context, c *Client) error { _, err := c.Get(ctx, "shop.com"); return err }
	remove := func(ctx context.Context, c *Client) error { return c.Delete(ctx, "shop.com") }
	for name, x := range map[string]struct {
		call       func(context.Context, *Client) error
		statuses   []int
		retryAfter string
		sent       int
		waited     []time.Duration // nil: not compared
		status     int             // of the problem, 0 for success
	}{
		"a create that is too fast":         {create, []int{429, 201}, "7", 2, []time.Duration{7 * time.Second}, 0},
		"a create of an unwell service":     {create, []int{503, 503, 200}, "5", 3, []time.Duration{5 * time.Second, 5 * time.Second}, 0},
		"a read without a word on the wait": {read, []int{503, 200}, "", 2, nil, 0},
		"a deletion that is too fast":       {remove, []int{429, 200}, "1", 2, []time.Duration{time.Second}, 0},
		"a deletion that may have happened": {remove, []int{503}, "1", 1, []time.Duration{}, 503},
		"a refusal":                         {create, []int{422}, "", 1, []time.Duration{}, 422},
		"a failure":                         {read, []int{500}, "", 1, []time.Duration{}, 500},
		"a redirect":                        {read, []int{302}, "", 1, []time.Duration{}, 302},
		"a wait that is too long":           {read, []int{429}, "61", 1, []time.Duration{}, 429},
		"a service that stays unwell":       {read, []int{503, 503, 503}, "2", 3, []time.Duration{2 * time.Second, 2 * time.Second}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			script := &scripted{statuses: x.statuses, retryAfter: x.retryAfter}
			web := httptest.NewServer(script)
			defer web.Close()
			waited := []time.Duration{}
			c, err := New(web.URL, WithKey("the-key"), WithUser("u"), WithRetries(2), func(s *settings) {
				s.doer.wait = func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil }
			})
			if err != nil {
				t.Fatal(err)
			}
			err = x.call(t.Context(), c)
			problem, refused := errors.AsType[*Problem](err)
			switch {
			case x.status == 0 && err != nil, x.status != 0 && (!refused || problem.Status != x.status || problem.Code != "some-code"):
				t.Errorf("error %v, want status %d", err, x.status)
			}
			if len(script.bodies) != x.sent || len(slices.Compact(slices.Clone(script.bodies))) != 1 {
				t.Errorf("sent %q, want the same %d times", script.bodies, x.sent)
			}
			if !strings.HasSuffix(script.bodies[0], " the-key") {
				t.Errorf("sent without the key: %q", script.bodies[0])
			}
			if x.waited != nil && !slices.Equal(waited, x.waited) {
				t.Errorf("waited %v, want %v", waited, x.waited)
			}
		})
	}
}

// TestPause grows, and never exceeds what it promises.
func TestPause(t *testing.T) {
	for try := range 20 {
		full := firstWait << min(try, 5)
		if got := pauseAfter(&Problem{}, try); got < full/2 || got > full || got > maxWait {
			t.Errorf("pause %d is %v", try, got)
		}
	}
}

// TestNoWaitBeyondTheDeadline returns at once what it could only return late.
func TestNoWaitBeyondTheDeadline(t *testing.T) {
	web := httptest.NewServer(&scripted{statuses: []int{429}, retryAfter: "50"})
	defer web.Close()
	c, err := New(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = c.Get(ctx, "shop.com")
	problem, refused := errors.AsType[*Problem](err)
	if !refused || problem.RetryAfter != 50*time.Second || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

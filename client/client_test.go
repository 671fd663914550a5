package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/client"
	gen "github.com/domaind/domaind/gen/client"
)

func newClient(t *testing.T, options ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(serverURL, append([]client.Option{
		client.WithKey(apiKey), client.WithUser(user), client.WithPoll(50 * time.Millisecond),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewRefuses(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:3000", "ftp://127.0.0.1", "http://", "http://[::1", "localhost"} {
		if _, err := client.New(url); err == nil {
			t.Errorf("%q was taken for a server", url)
		}
	}
	if _, err := client.New(serverURL, client.WithPoll(0)); err == nil {
		t.Error("no time between two looks was taken")
	}
}

func TestProblems(t *testing.T) {
	c := newClient(t)
	for name, x := range map[string]struct {
		err    error
		status int
		line   string
	}{
		"not found": {second(c.Get(t.Context(), "nosuch.com")), http.StatusNotFound, "not-found: There is no such"},
		"no key":    {second(newClient(t, client.WithKey("")).Get(t.Context(), "x.com")), http.StatusUnauthorized, "invalid-api-key: "},
		"refused":   {third(c.Create(t.Context(), "co.uk", "")), http.StatusUnprocessableEntity, "[/domain public-suffix: "},
		"no user":   {second(c.As("").Get(t.Context(), "x.com")), http.StatusBadRequest, "[/query/user_id "},
		"any call":  {second(c.API.GetDNSWithResponse(t.Context(), "nosuch.com", &gen.GetDNSParams{UserID: user})), http.StatusNotFound, "not-found: "},
	} {
		problem, ok := errors.AsType[*client.Problem](x.err)
		if !ok || problem.Status != x.status || !strings.Contains(problem.Error(), x.line) {
			t.Errorf("%s: %v", name, x.err)
		}
	}
}

func second[T any](_ T, err error) error        { return err }
func third[T, U any](_ T, _ U, err error) error { return err }

// TestForeignAnswers speaks to something that is not the service.
func TestForeignAnswers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	defer elsewhere.Close()
	for name, x := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a proxy's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>")
		}, "the service answered 502 Bad Gateway, without saying why"},
		"a portal's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>")
		}, `the answer is 200 OK of type "text/html"`},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}, "the service answered 302 Found"},
		"a broken problem": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, `{"code":`)
		}, "the service answered 418"},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(x.answer)
			defer web.Close()
			c, err := client.New(web.URL, client.WithKey(apiKey), client.WithUser(user))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Get(t.Context(), "shop.com"); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("got %v, want %s", err, x.want)
			}
		})
	}
}

// TestPages reads more than one page, stops in the middle, and comes again.
func TestPages(t *testing.T) {
	c := newClient(t).As("user_many")
	var want []string
	for i := range 103 {
		name := fmt.Sprintf("many%03d.com", i)
		if _, _, err := c.Create(t.Context(), name, "org_many"); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	all := c.Domains(t.Context(), client.DomainFilter{Organization: "org_many", Status: gen.DomainStatusPending})
	for range 2 {
		var got []string
		for d, err := range all {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, d.Domain)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %d domains: %q", len(got), got)
		}
	}
	for range all {
		break
	}
	for d, err := range c.Domains(t.Context(), client.DomainFilter{Organization: "org_other"}) {
		t.Errorf("another organization has %v, %v", d, err)
	}
	failed := 0
	for _, err := range newClient(t, client.WithKey("")).Domains(t.Context(), client.DomainFilter{}) {
		if err == nil {
			t.Error("read without a key")
		}
		failed++
	}
	if failed != 1 {
		t.Errorf("%d errors", failed)
	}
	for e, err := range c.Events(t.Context(), want[0]) {
		if err != nil || e.Type == "" {
			t.Errorf("event %v, %v", e, err)
		}
	}
}

// TestWaitEndsWithItsContext says what is missing when the time is up.
func TestWaitEndsWithItsContext(t *testing.T) {
	c := newClient(t)
	if _, _, err := c.Create(t.Context(), "late.com", ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	d, err := c.WaitActive(ctx, "late.com")
	if !errors.Is(err, context.DeadlineExceeded) || d.Domain.Status != gen.DomainStatusPending || len(d.DNS) != 4 {
		t.Errorf("%v, %v", d, err)
	}
	if _, err := c.WaitActive(t.Context(), "nosuch.com"); err == nil {
		t.Error("waited for what is not there")
	}
}

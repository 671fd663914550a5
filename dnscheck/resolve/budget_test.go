package resolve_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/dnscheck/resolve"
)

func TestBudget(t *testing.T) {
	s := startServer(t)
	s.Fault("servfail.example", dnstest.ServFail)
	s.Fault("silent.example", dnstest.Silent)
	client := newClient(t, resolve.Config{Schedule: []time.Duration{0, testTimeout / 3, 2 * testTimeout / 3}}, s.Addr())
	cache := resolve.NewCache(client, resolve.CacheConfig{})
	defer func() { _ = cache.Close() }()
	for title, r := range map[string]resolve.Resolver{"client": client, "cache": cache.Shared()} {
		t.Run(title, func(t *testing.T) {
			before := s.Total()
			b := resolve.WithBudget(r, 20)
			var wg sync.WaitGroup
			for range 10 { // the same question is asked once
				wg.Go(func() { _, _ = b.Lookup(t.Context(), title+".example", resolve.TypeTXT) })
			}
			wg.Wait()
			for _, name := range []string{"servfail.example", "silent.example"} {
				if _, err := b.Lookup(t.Context(), name, resolve.TypeTXT); err == nil {
					t.Errorf("%s answers", name)
				}
			}
			if sent := s.Total() - before; b.Queries() != sent || sent != 1+2+3 {
				t.Errorf("%d counted, %d sent, want 6", b.Queries(), sent)
			}
		})
	}
}

func TestBudgetEnds(t *testing.T) {
	const limit = 5
	s := startServer(t)
	b := resolve.WithBudget(newClient(t, resolve.Config{}, s.Addr()), limit)
	for i := range 2 * limit {
		_, err := b.Lookup(t.Context(), strconv.Itoa(i)+".example", resolve.TypeTXT)
		want := ""
		if i >= limit {
			want = resolve.CodeTimeout
		}
		if code(t, err) != want {
			t.Errorf("%d: got %v", i, err)
		}
	}
	if _, err := b.Lookup(t.Context(), "0.example.", resolve.TypeTXT); err != nil {
		t.Errorf("a question that was answered before: %v", err)
	}
	if s.Total() != limit {
		t.Errorf("%d questions", s.Total())
	}
}

func TestBudgetCountsNoCachedAnswer(t *testing.T) {
	s := startServer(t)
	set(t, s, `name.example 60 TXT "x"`)
	shared := newCache(t, s, resolve.CacheConfig{}).Shared()
	for i, want := range []int{1, 0} {
		b := resolve.WithBudget(shared, 10)
		if _, err := b.Lookup(t.Context(), "name.example", resolve.TypeTXT); err != nil || b.Queries() != want {
			t.Errorf("%d: %d queries, %v", i, b.Queries(), err)
		}
	}
}

func TestSystemServers(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	got, err := resolve.SystemServers(write("search example\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions edns0\n"))
	want := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("[2001:db8::1]:53")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, path := range []string{write("search example\n"), write("nameserver nonsense\n"), "/does/not/exist"} {
		if got, err := resolve.SystemServers(path); err == nil {
			t.Errorf("%s: got %v", path, got)
		}
	}
}

package resolve_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/resolve"
)

// BenchmarkLookup compares ways to ask one loopback server, 64 in flight.
func BenchmarkLookup(b *testing.B) {
	const names, inFlight = 1000, 64
	ways := []struct {
		name   string
		config resolve.Config
		cache  bool
	}{
		{name: "pipelined"},
		{name: "cached", cache: true},
		{name: "socket per query", config: resolve.Config{Fresh: true}},
		{name: "tcp", config: resolve.Config{TCP: true}},
	}
	s := startServer(b)
	for i := range names {
		set(b, s, fmt.Sprintf(`n%d.example 60 TXT "v=spf1 include:spf.example.net ~all"`, i))
	}
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			way.config.Timeout = 5 * time.Second
			var r resolve.Resolver = newClient(b, way.config, s.Addr())
			if way.cache {
				c := resolve.NewCache(r, resolve.CacheConfig{})
				defer func() { _ = c.Close() }()
				r = c.Shared()
			}
			var next atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(inFlight / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := r.Lookup(b.Context(), fmt.Sprintf("n%d.example", next.Add(1)%names), resolve.TypeTXT); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

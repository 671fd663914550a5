package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store"
)

// BenchmarkInfo compares GET info, its key, its checks and its metrics, with a
// bare Echo handler that makes the same reads and writes the same JSON: of-bare
// is its part of the bare one's throughput. logged has an access log too.
func BenchmarkInfo(b *testing.B) {
	config, names, secret := benchConfig(b)
	s, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	config.AccessLog = slog.New(slog.NewJSONHandler(bufio.NewWriter(io.Discard), nil))
	logged, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	for name, server := range map[string]*Server{"domaind": s, "logged": logged} {
		b.Run(name, func(b *testing.B) {
			compare(b, visit(b, server.Handler(), names, secret), visit(b, bare(s), names, secret))
		})
	}
}

// benchConfig is a service with domains and a key.
func benchConfig(b *testing.B) (c Config, names []string, secret string) {
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	service := dnscheck.Service{MXHost: "mx.example.com", MXPriority: 10, SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;"}
	st, err := store.Open(b.Context(), store.Config{Database: filepath.Join(b.TempDir(), "domaind.db"), Service: service, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	names, secret = fill(b, st)
	return Config{Store: st, Service: service, RateLimit: 1 << 30, Log: log}, names, secret
}

// BenchmarkKeyCheck checks a key and takes from its rate limit, as every call
// does: of-get is its part of what a GET info takes in the same run.
func BenchmarkKeyCheck(b *testing.B) {
	config, names, secret := benchConfig(b)
	s, err := New(config)
	if err != nil {
		b.Fatal(err)
	}
	v := visit(b, s.Handler(), names, secret)
	const block = 50
	var check, get time.Duration
	for b.Loop() {
		start := time.Now()
		for range block {
			key, err := s.key(b.Context(), secret)
			if err != nil {
				b.Fatal(err)
			}
			if err := s.limits.request(key.ID, http.Header{}); err != nil {
				b.Fatal(err)
			}
		}
		check += time.Since(start)
		start = time.Now()
		for range block {
			v.ask(b)
		}
		get += time.Since(start)
	}
	b.ReportMetric(check.Seconds()/get.Seconds(), "of-get")
	b.ReportMetric(float64(check.Nanoseconds())/float64(b.N*block), "ns/check")
	b.ReportMetric(0, "ns/op") // of both together, it means nothing
}

// fill makes domains and a key.
func fill(b *testing.B, st *store.Store) (names []string, secret string) {
	for i := range 16 {
		name := fmt.Sprintf("customer-%d.com", i)
		if _, _, err := st.CreateDomain(b.Context(), store.Tenant{UserID: "u1"}, store.NewDomain{Name: name, Unicode: name}); err != nil {
			b.Fatal(err)
		}
		names = append(names, name)
	}
	_, secret, err := st.CreateKey(b.Context(), store.NewKey{Scope: store.ScopeRead})
	if err != nil {
		b.Fatal(err)
	}
	return names, secret
}

// bare makes the same reads without any check.
func bare(s *Server) http.Handler {
	e := echo.New()
	e.GET("/v2/domains/:domain/info", func(c echo.Context) error {
		ctx := context.WithoutCancel(c.Request().Context())
		if _, err := s.cfg.Store.KeyBySecret(ctx, c.Request().Header.Get(keyHeader)); err != nil {
			return err
		}
		d, err := s.cfg.Store.Domain(ctx, store.Tenant{UserID: c.QueryParam("user_id")}, c.Param("domain"))
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, s.toDetails(d))
	})
	return e
}

// visitor asks one server over a kept connection.
type visitor struct {
	conn   net.Conn
	in     *bufio.Reader
	names  []string
	secret string
	n      int
}

func visit(b *testing.B, h http.Handler, names []string, secret string) *visitor {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	web := &http.Server{Handler: h} //nolint:gosec // a benchmark's
	go func() { _ = web.Serve(l) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close(); _ = web.Close() })
	return &visitor{conn: conn, in: bufio.NewReader(conn), names: names, secret: secret}
}

func (v *visitor) ask(b *testing.B) {
	v.n++
	_, _ = fmt.Fprintf(v.conn, "GET /v2/domains/%s/info?user_id=u1 HTTP/1.1\r\nHost: a\r\nX-Api-Key: %s\r\n\r\n", v.names[v.n%len(v.names)], v.secret)
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Fatalf("status %d", resp.StatusCode)
	}
}

// compare asks in turn, so that both see the same machine, and reports the
// throughput of x as a part of y's.
func compare(b *testing.B, x, y *visitor) {
	const block = 50
	var took [2]time.Duration
	for b.Loop() {
		for i, v := range []*visitor{x, y} {
			start := time.Now()
			for range block {
				v.ask(b)
			}
			took[i] += time.Since(start)
		}
	}
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "of-bare")
	b.ReportMetric(float64(b.N*block)/took[0].Seconds(), "req/s")
	b.ReportMetric(0, "ns/op") // of both together, it means nothing
}

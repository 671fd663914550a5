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

	"github.com/labstack/echo/v4"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store"
)

// BenchmarkInfo compares GET info, with its key, its checks, its metrics and
// its access log, with a bare Echo handler that makes the same reads and writes
// the same JSON.
func BenchmarkInfo(b *testing.B) {
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	service := dnscheck.Service{MXHost: "mx.example.com", MXPriority: 10, SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;"}
	st, err := store.Open(b.Context(), store.Config{Database: filepath.Join(b.TempDir(), "domaind.db"), Service: service, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	names, secret := fill(b, st)
	s, err := New(Config{Store: st, Service: service, RateLimit: 1 << 30, Log: log,
		AccessLog: slog.New(slog.NewJSONHandler(bufio.NewWriter(io.Discard), nil))})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("domaind", func(b *testing.B) { load(b, s.Handler(), names, secret) })
	b.Run("bare", func(b *testing.B) { load(b, bare(s), names, secret) })
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

// load sends requests over kept connections and reports requests a second.
func load(b *testing.B, h http.Handler, names []string, secret string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	web := &http.Server{Handler: h} //nolint:gosec // a benchmark's
	go func() { _ = web.Serve(l) }()
	b.Cleanup(func() { _ = web.Close() })
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		in := bufio.NewReader(conn)
		for i := 0; pb.Next(); i++ {
			_, _ = fmt.Fprintf(conn, "GET /v2/domains/%s/info?user_id=u1 HTTP/1.1\r\nHost: a\r\nX-Api-Key: %s\r\n\r\n", names[i%len(names)], secret)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			if resp.StatusCode != http.StatusOK {
				b.Errorf("status %d", resp.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

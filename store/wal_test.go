package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/domaind/domaind/store/storetest"
)

// walWorld is a store whose log is long from 64 KiB on, and told of from 256.
func walWorld(t *testing.T) (*world, *bytes.Buffer) {
	t.Helper()
	storetest.SQLiteOnly(t)
	w := newWorld(t)
	logged := &bytes.Buffer{}
	w.log = slog.New(slog.NewTextHandler(logged, nil))
	w.wal.limit, w.wal.alarm = 64<<10, 256<<10
	return w, logged
}

// grow writes until the log is longer than n.
func (w *world) grow(n int64) {
	w.tb.Helper()
	for i := 0; w.walBytes() <= n; i++ {
		if i > 10_000 {
			w.tb.Fatalf("the log does not grow: %d", w.walBytes())
		}
		w.fillLog(i)
	}
}

// fillLog writes some 16 KiB.
func (w *world) fillLog(i int) {
	w.tb.Helper()
	err := w.write(context.Background(), func(x *tx) error {
		_, err := x.exec(`INSERT INTO setting (name, value) VALUES (?, 0)
			ON CONFLICT (name) DO UPDATE SET value = setting.value + 1`, fmt.Sprint("filler", i%8, strings.Repeat("x", 16<<10)))
		return err
	})
	if err != nil {
		w.tb.Fatal(err)
	}
}

func (w *world) walBytes() int64 {
	w.tb.Helper()
	n, ok := w.WALBytes()
	if !ok {
		w.tb.Fatal("no log")
	}
	return n
}

// TestWALBehindReader: while another connection reads, the log grows and is
// told of, once in a while; when that ends, it is cut, without a restart.
func TestWALBehindReader(t *testing.T) {
	w, logged := walWorld(t)
	other, err := openSQLite(readerDSN(w.database), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	reader, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRow(`SELECT count(*) FROM setting`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	w.grow(300 << 10)
	w.wal.pass(t.Context())
	w.wal.pass(t.Context())
	if got := w.walBytes(); got < 256<<10 {
		t.Errorf("%d octets were taken from a reader", got)
	}
	if n := strings.Count(logged.String(), "has a read transaction open"); n != 1 {
		t.Errorf("told %d times: %s", n, logged)
	}
	w.grow(800 << 10)
	w.wal.pass(t.Context())
	if n := strings.Count(logged.String(), "has a read transaction open"); n != 2 {
		t.Errorf("told %d times of a log that has doubled: %s", n, logged)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if w.walBytes() < 256<<10 {
		t.Error("the log was cut before it was looked at: this test cannot fail")
	}
	w.wal.pass(t.Context())
	if got := w.walBytes(); got != 0 || !strings.Contains(logged.String(), "short again") {
		t.Errorf("the log has %d octets after the reader has gone: %s", got, logged)
	}
}

// TestWALUnderLoad: neither readers that come and go nor writers keep it long.
func TestWALUnderLoad(t *testing.T) {
	w, _ := walWorld(t)
	w.create("u", "a.com")
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, err := w.Domain(ctx, tenant("u"), "a.com"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		w.grow(256 << 10)
		w.wal.pass(t.Context())
		if got := w.walBytes(); got != 0 {
			t.Errorf("the log has %d octets", got)
		}
	}
	stop()
	readers.Wait()
}

// TestPagesHoldNoTransaction cuts the log in the middle of whatever is read
// page by page, or handed out one by one.
func TestPagesHoldNoTransaction(t *testing.T) {
	w, _ := walWorld(t)
	for _, name := range []string{"a.com", "b.com", "c.com"} {
		w.create("u", name)
		w.check("u", name, "match", nil)
	}
	cut := func(what string) {
		w.grow(100 << 10)
		w.wal.pass(t.Context())
		if got := w.walBytes(); got != 0 {
			t.Errorf("%s: the log cannot be cut, it has %d octets", what, got)
		}
	}
	_, cursor, err := w.Events(t.Context(), tenant("u"), "a.com", 1, "")
	if err != nil || cursor == "" {
		t.Fatal(err, cursor)
	}
	cut("events")
	if _, _, err := w.Events(t.Context(), tenant("u"), "a.com", 1, cursor); err != nil {
		t.Fatal(err)
	}
	n := 0
	err = w.SigningKeys(t.Context(), func(SigningKey) error {
		n++
		cut("keys")
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("%d keys: %v", n, err)
	}
}

// TestWALCopied: a long log is copied beside the writers, who go on with it from
// its beginning: it does not grow with what is written.
func TestWALCopied(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := newWorld(t)
	const enough = 3 * walPages * 4096
	for i, written := 0, 0; written < enough; i++ {
		w.fillLog(i)
		written += 16 << 10
	}
	if n := w.walBytes(); n == 0 || n > enough*2/3 {
		t.Errorf("the log has %d octets after %d were written", n, enough)
	}
	for i := 0; ; i++ { // the copy is made by another goroutine
		pages, copied, err := w.wal.checkpoint(t.Context(), "NOOP")
		if err != nil {
			t.Fatal(err)
		}
		if pages-copied < walCopy {
			return
		}
		if i > 10_000 {
			t.Fatalf("%d of %d pages were copied", copied, pages)
		}
		w.fillLog(0)
	}
}

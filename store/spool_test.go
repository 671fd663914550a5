package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store/storetest"
)

// largeText is what lies in the spool, and is different for each name.
func largeText(name string) string { return strings.Repeat(name+"\r\n", maxBlob/len(name)+1) }

// mail keeps a message for a domain, and returns its id.
func (w *world) mail(user, name, text string) string {
	w.tb.Helper()
	body := w.NewBody()
	defer body.Close()
	if _, err := io.WriteString(body, text); err != nil {
		w.tb.Error(err)
	}
	r := Recipient{Address: "inbox@" + name, Domain: name, DomainID: w.get(user, name).Domain.ID, UserID: user, Mode: ForwardModeStore}
	id, err := w.AddMessage(context.Background(), NewMessage{Kind: MessageKindMail, Recipients: []Recipient{r}}, body)
	if err != nil {
		w.tb.Error(err)
	}
	return id
}

// text returns what a message has.
func (w *world) text(user, name, id string) string {
	w.tb.Helper()
	r, _, err := w.MessageRaw(context.Background(), tenant(user), name, id)
	if err != nil {
		w.tb.Error(err)
		return ""
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		w.tb.Error(err)
	}
	return string(b)
}

// wantSpool says that the spool has the files that the messages name, but those
// deleted meanwhile, and no other.
func (w *world) wantSpool(b BackedUp) {
	w.tb.Helper()
	var named, spooled int
	err := w.read.queryRow(context.Background(), `SELECT count(DISTINCT sha256) FROM message WHERE raw IS NULL`).Scan(&named)
	if err != nil {
		w.tb.Fatal(err)
	}
	err = walkSpool(context.Background(), w.spool().dir, func(sum, _ string) error {
		if sum != "" {
			spooled++
		}
		return nil
	})
	if err != nil || spooled != b.Files || named != b.Files+b.Deleted {
		w.tb.Errorf("%d files of %d that messages name, %+v: %v", spooled, named, b, err)
	}
}

// mailWorld has an active domain, and a clock that goes with the files'.
func mailWorld(t *testing.T) *world {
	t.Helper()
	storetest.SQLiteOnly(t) // mail lies in its row
	w := newWorld(t)
	w.clock.ms.Store(ms(time.Now()))
	w.create("u1", "customer.com")
	w.check("u1", "customer.com", dnscheck.VerdictMatch, nil)
	return w
}

// reopen starts anew on a database in the same directory.
func (w *world) reopen(database string) *world {
	w.tb.Helper()
	again := &world{tb: w.tb, dir: w.dir, clock: w.clock, keys: w.keys, database: filepath.Join(w.dir, database), key: filepath.Join(w.dir, "master.key")}
	again.open()
	return again
}

// orphan is a file that a crash left before its row was written.
func (w *world) orphan() string {
	w.tb.Helper()
	body := w.NewBody()
	if _, err := io.WriteString(body, largeText("orphan")); err != nil {
		w.tb.Fatal(err)
	}
	if err := errors.Join(body.place(), body.Close()); err != nil {
		w.tb.Fatal(err)
	}
	return w.spool().path(body.Sum())
}

// sweeps says how many files a sweep removes two hours later.
func (w *world) sweeps(want int) {
	w.tb.Helper()
	w.clock.forward(2 * orphanAge)
	if n, err := w.SweepSpool(context.Background()); err != nil || n != want {
		w.tb.Errorf("%d files swept, want %d: %v", n, want, err)
	}
}

// A start removes what a crash left, and nothing that came before its database
// was used with the spool: not even later.
func TestSweepSpool(t *testing.T) {
	for name, c := range map[string]struct {
		// replace starts on what is put in place.
		replace func(t *testing.T, w *world) *world
		want    int
	}{
		"as it was":         {func(_ *testing.T, w *world) *world { return w.reopen(filepath.Base(w.database)) }, 1},
		"an empty database": {func(_ *testing.T, w *world) *world { return w.reopen("other.db") }, 0},
		"a restored database": {func(t *testing.T, w *world) *world {
			if _, err := w.Backup(t.Context(), filepath.Join(w.dir, "copy.db")); err != nil {
				t.Fatal(err)
			}
			return w.reopen("copy.db")
		}, 0},
		"an older database": {func(t *testing.T, w *world) *world {
			if _, err := w.writeDB.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(w.database)
			if err := errors.Join(err, os.WriteFile(filepath.Join(w.dir, "older.db"), b, 0o600)); err != nil {
				t.Fatal(err)
			}
			if _, err := w.SweepSpool(t.Context()); err != nil { // the start of a later use
				t.Fatal(err)
			}
			return w.reopen("older.db")
		}, 0},
		"a restored spool": {func(t *testing.T, w *world) *world {
			if err := os.Remove(filepath.Join(w.spool().dir, pairFile)); err != nil {
				t.Fatal(err)
			}
			return w.reopen(filepath.Base(w.database))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := mailWorld(t)
			if _, err := w.SweepSpool(t.Context()); err != nil {
				t.Fatal(err)
			}
			id := w.mail("u1", "customer.com", largeText("kept"))
			orphan := w.orphan()
			again := c.replace(t, w)
			var log bytes.Buffer
			again.Store.log = slog.New(slog.NewTextHandler(&log, nil))
			again.sweeps(c.want)
			again.sweeps(0)
			_, err := os.Stat(orphan)
			if left := err == nil; left != (c.want == 0) || left != strings.Contains(log.String(), "files=") {
				t.Errorf("left: %v, told: %s", left, log.String())
			}
			if text := w.text("u1", "customer.com", id); text != largeText("kept") {
				t.Errorf("the message has %d octets", len(text))
			}
		})
	}
}

// What is no message of ours stays, but for one that was never accepted.
func TestSweepStrangers(t *testing.T) {
	w := mailWorld(t)
	sum := strings.Repeat("ab", 32)
	for path, stays := range map[string]bool{
		"README": true, "ab/" + sum: true, sum: true, "tmp/in-1": false, "tmp/" + sum: true, "in-1": true,
	} {
		file := filepath.Join(w.spool().dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.sweeps(map[bool]int{false: 1}[stays])
		if _, err := os.Stat(file); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A message without its file is not one that is not there, and is logged.
func TestOctetsLost(t *testing.T) {
	w := mailWorld(t)
	var log bytes.Buffer
	w.Store.log = slog.New(slog.NewTextHandler(&log, nil))
	id := w.mail("u1", "customer.com", largeText("lost"))
	m, err := w.Message(t.Context(), tenant("u1"), "customer.com", id)
	if err := errors.Join(err, os.Remove(w.spool().path(m.SHA256))); err != nil {
		t.Fatal(err)
	}
	_, _, err = w.MessageRaw(t.Context(), tenant("u1"), "customer.com", id)
	if !errors.Is(err, ErrNoOctets) || !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	for _, want := range []string{"level=ERROR", id, m.SHA256} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, log.String())
		}
	}
	log.Reset()
	if err := w.DeleteMessage(t.Context(), tenant("u1"), "customer.com", id); err != nil {
		t.Error(err)
	}
	if _, err := w.openSpooled(t.Context(), id, m.SHA256); errors.Is(err, ErrNoOctets) || !errors.Is(err, ErrNotFound) || log.Len() > 0 {
		t.Error("deleted while it was read:", err, log.String())
	}
}

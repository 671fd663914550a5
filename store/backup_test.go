package store

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/store/storetest"
)

const drillWriters = 8

// load keeps writers busy and says which domains were acknowledged, each with
// one large message, and another that was deleted.
type load struct {
	mu    sync.Mutex
	acked map[string]string // the id of its message
	warm  chan struct{}     // closed when there is something to lose
	stop  chan struct{}
	all   sync.WaitGroup
}

func (w *world) load() *load {
	l := &load{acked: make(map[string]string), warm: make(chan struct{}), stop: make(chan struct{})}
	for i := range drillWriters {
		l.all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
				}
				name := fmt.Sprintf("d%d-%d.example.com", i, n)
				w.create("u1", name)
				w.check("u1", name, dnscheck.VerdictMatch, nil)
				id := w.mail("u1", name, largeText(name))
				if err := w.DeleteMessage(context.Background(), tenant("u1"), name, w.mail("u1", name, largeText("not "+name))); err != nil {
					w.tb.Error(err)
				}
				l.mu.Lock()
				if l.acked[name] = id; len(l.acked) == 50 {
					close(l.warm)
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

// before returns what has been acknowledged by now.
func (l *load) before() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acked)
}

// The restore drill: a backup taken under the load of eight writers opens as a
// database that is whole, and serves every domain that was acknowledged before
// it, with its records, its key, its schedule and its mail.
func TestRestoreDrill(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := newWorld(t)
	ctx := context.Background()
	l := w.load()
	<-l.warm
	acked := l.before()
	dir := t.TempDir()
	file := filepath.Join(dir, "domaind.db")
	done, err := w.Backup(ctx, file)
	close(l.stop)
	l.all.Wait()
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(w.dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "master.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkCopy(ctx, file); err != nil {
		t.Error(err)
	}
	if err := os.Rename(done.Spool, filepath.Join(dir, "spool")); err != nil {
		t.Fatal(err)
	}
	if done.Lost > 0 || done.Files < len(acked) {
		t.Errorf("%+v of %d messages", done, len(acked))
	}
	restored := &world{tb: t, dir: dir, clock: w.clock, keys: w.keys, database: file, key: filepath.Join(dir, "master.key")}
	restored.open()
	restored.wantSpool(done)
	for name, message := range acked {
		if text := restored.text("u1", name, message); text != largeText(name) {
			t.Fatalf("%s: the message has %d octets", name, len(text))
		}
		was, now := w.get("u1", name), restored.get("u1", name)
		if now.Domain.Status != DomainStatusActive || len(now.Records) != len(was.Records) ||
			record(now, dnscheck.PurposeDKIM).Value != record(was, dnscheck.PurposeDKIM).Value {
			t.Fatalf("%s was %+v, is %+v", name, was, now)
		}
		if _, err := restored.DKIMKey(ctx, tenant("u1"), name); err != nil {
			t.Fatal(err)
		}
	}
	restored.clock.forward(2 * unitsDay * restored.schedule.Unit)
	jobs, err := restored.Due(ctx, 1)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("due after the restore: %d, %v", len(jobs), err)
	}
	if err := restored.Record(ctx, jobs[0], report(jobs[0], dnscheck.VerdictMatch, nil)); err != nil {
		t.Error(err)
	}
}

// A migration by hand keeps the database as it was.
func TestMigrateBacksUp(t *testing.T) {
	ctx := context.Background()
	file := filepath.Join(t.TempDir(), "domaind.db")
	db, err := openSQLite(writerDSN(file), 1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := sqliteDialect().provider(db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	v, err := Migrate(ctx, file)
	if err != nil || v.Database != 2 || v.Backup == "" {
		t.Fatalf("%+v, %v", v, err)
	}
	if now, err := Schema(ctx, file); err != nil || now.Database != now.Program {
		t.Errorf("migrated to %+v, %v", now, err)
	}
	if old, err := Schema(ctx, v.Backup); err != nil || old.Database != 2 {
		t.Errorf("the backup has %+v, %v", old, err)
	}
	if again, err := Migrate(ctx, file); err != nil || again.Backup != "" {
		t.Errorf("nothing to do: %+v, %v", again, err)
	}
}

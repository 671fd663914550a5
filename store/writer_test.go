package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/domaind/domaind/store/storetest"
)

func TestMain(m *testing.M) {
	code := storetest.Run(m, "")
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func put(name string, value int) func(*tx) error {
	return func(x *tx) error {
		_, err := x.exec(`INSERT INTO setting (name, value) VALUES (?, ?)`, name, value)
		return err
	}
}

func (w *world) settings() int {
	w.tb.Helper()
	var n int
	if err := w.Store.read.queryRow(context.Background(), `SELECT count(*) FROM setting`).Scan(&n); err != nil {
		w.tb.Fatal(err)
	}
	return n
}

// hold keeps the writer busy, and so has other writes wait, until release.
func (w *world) hold() (release func()) {
	started, over := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		err := w.write(context.Background(), func(*tx) error {
			close(started)
			<-over
			return nil
		})
		if err != nil {
			w.tb.Error(err)
		}
	})
	<-started
	return func() {
		close(over)
		all.Wait()
	}
}

// together has calls that write share one transaction, in this order.
func (w *world) together(calls ...func()) {
	release := w.hold()
	var all sync.WaitGroup
	for i, call := range calls {
		all.Go(call)
		for len(w.writer.ops) <= i {
			runtime.Gosched()
		}
	}
	release()
	all.Wait()
}

// Writes that wait share a transaction; an error of one stays its own.
func TestGroupCommit(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	errMine := errors.New("mine")
	release := w.hold()
	var all sync.WaitGroup
	const n = 200 // more than one batch
	results := make([]error, n)
	for i := range n {
		all.Go(func() {
			results[i] = w.write(ctx, func(x *tx) error {
				if err := put(fmt.Sprintf("s%d", i), i)(x); err != nil {
					return err
				}
				switch i % 5 {
				case 1:
					return errMine
				case 2:
					return put(fmt.Sprintf("s%d", i), i)(x) // not unique
				default:
					return nil
				}
			})
		})
	}
	release()
	all.Wait()
	for i, err := range results {
		switch i % 5 {
		case 1:
			if !errors.Is(err, errMine) {
				t.Errorf("write %d: %v", i, err)
			}
		case 2:
			if err == nil {
				t.Errorf("write %d: no error", i)
			}
		default:
			if err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		}
	}
	if got := w.settings(); got != n*3/5 {
		t.Errorf("%d rows of %d", got, n*3/5)
	}
}

// A caller that gives up while its write waits has written nothing.
func TestAbandonedWrite(t *testing.T) {
	w := newWorld(t)
	release := w.hold()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.write(ctx, put("a", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	if err := w.write(context.Background(), put("b", 1)); err != nil {
		t.Fatal(err)
	}
	if got := w.settings(); got != 1 {
		t.Errorf("%d rows", got)
	}
}

func TestClosed(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	if err := w.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.write(ctx, put("a", 1)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("write: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	w := newWorld(t)
	if err := w.write(context.Background(), func(x *tx) error {
		_, err := x.exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), w.config()); !errors.Is(err, ErrSchema) {
		t.Errorf("newer schema: %v", err)
	}
	if storetest.Postgres() {
		return
	}
	c := w.config()
	c.Database = filepath.Join(w.dir, "none", "domaind.db")
	if _, err := Open(context.Background(), c); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no directory: %v", err)
	}
	c.Database = filepath.Join(w.dir, "rubbish.db")
	if err := os.WriteFile(c.Database, []byte("this is no database, and long enough to be read as one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), c); !errors.Is(err, ErrUnavailable) {
		t.Errorf("rubbish: %v", err)
	}
}

// A file name may hold what an URI would read as its own.
func TestOddFileName(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := newWorld(t)
	c := w.config()
	c.Database = filepath.Join(w.dir, "a b?mode=ro&x#%41.db")
	s, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := os.Stat(c.Database); err != nil {
		t.Error(err)
	}
}

func TestBackup(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := newWorld(t)
	ctx := context.Background()
	w.create("u1", "before.example.com")
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				n := NewDomain{Name: fmt.Sprintf("d%d.example.com", i)}
				if _, _, err := w.CreateDomain(ctx, tenant("u1"), n); err != nil {
					t.Error(err)
				}
			}
		}
	})
	file := filepath.Join(w.dir, "restored", "domaind.db")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := w.Backup(ctx, file)
	close(stop)
	all.Wait()
	if err != nil {
		t.Fatal(err)
	}
	c := w.config()
	c.Database, c.MasterKeyFile = file, filepath.Join(w.dir, "master.key")
	s, err := Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.DKIMKey(ctx, tenant("u1"), "before.example.com"); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "restored", ".backup-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, used := range []string{"domaind.db", "master.key"} {
		if _, err := w.Backup(ctx, filepath.Join(w.dir, used)); err == nil {
			t.Errorf("a backup over %s", used)
		}
	}
	if _, err := w.Backup(ctx, filepath.Join(w.dir, "none", "x.db")); err == nil {
		t.Error("backed up into no directory")
	}
}

// A full disk is told as such, keeps what was written, and writes go on once
// there is room.
func TestDiskFull(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := newWorld(t)
	ctx := context.Background()
	w.create("u1", "before.example.com")
	pages := func(n int) {
		t.Helper()
		if _, err := w.writeDB.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	pages(1) // as many as there are
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		_, _, err = w.CreateDomain(ctx, tenant("u1"), NewDomain{Name: fmt.Sprintf("d%d.example.com", i)})
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("full: %v", err)
	}
	w.get("u1", "before.example.com")
	// The probe may fit into a page that is there: a large value does not.
	big := make([]byte, 1<<20)
	for try := 0; try < 3; try++ {
		err := w.write(ctx, func(x *tx) error {
			_, err := x.exec(`INSERT INTO mail_key (id, secret) VALUES (1, ?)`, big)
			return err
		})
		if !errors.Is(err, ErrFull) {
			t.Errorf("try %d: %v", try, err)
		}
	}
	pages(1 << 20)
	w.create("u1", "after.example.com")
	if err := w.Ready(ctx); err != nil {
		t.Errorf("not ready with room again: %v", err)
	}
}

// A disk that is full ends the transaction in the middle of a batch: nothing of
// it is kept, before or after, and every caller is told.
func TestDiskFullInBatch(t *testing.T) {
	storetest.SQLiteOnly(t)
	w := newWorld(t)
	ctx := context.Background()
	if _, err := w.writeDB.ExecContext(ctx, "PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 32<<20) // spilled before the commit
	calls, errs := make([]func(), 4), make([]error, 4)
	for i := range calls {
		do := put(fmt.Sprintf("s%d", i), i)
		if i == 2 {
			do = func(x *tx) error {
				_, err := x.exec(`INSERT INTO mail_key (id, secret) VALUES (1, ?)`, big)
				return err
			}
		}
		calls[i] = func() { errs[i] = w.write(ctx, do) }
	}
	w.together(calls...)
	for i, err := range errs {
		if !errors.Is(err, ErrFull) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if n := w.settings(); n != 0 {
		t.Errorf("%d rows were kept", n)
	}
}

// A probe that has ended is never taken for one that is late.
func TestReadyAfterProbe(t *testing.T) {
	w := newWorld(t)
	ended := make(chan struct{})
	close(ended)
	w.ready.running = &probing{done: ended, late: ended}
	for range 100 {
		if err := w.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

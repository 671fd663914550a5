package store

import (
	"context"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
)

const (
	// walCopy is how many pages of the log make it worth to copy them to the
	// database, beside the writers, and walRest how long it is left to grow
	// before it is looked at again.
	walCopy = 1000
	walRest = 50 * time.Millisecond
	// walEvery is how often the size of the log is looked at.
	walEvery = 15 * time.Second
	// walLimit is from where on the log is emptied and cut to nothing; the
	// writer empties it from walPages on, where no reader is in the way just
	// then, and never cuts it.
	walLimit = 64 << 20
	// walAlarm is from where on a log that cannot be emptied is told of.
	walAlarm = 256 << 20
	// walPatience is how many milliseconds writers wait for readers so that the
	// log can be cut. Reads of ours take less than one: none holds a transaction
	// from one statement to the next.
	walPatience = "200"
)

// walPages is from where on the writer copies the log itself, in the middle of
// a commit: 32 MiB. SQLite's own 4 MiB would have it do nothing else under load.
const walPages = 8192

// wal keeps the write-ahead log of an SQLite file short, beside the writer, who
// would have to wait for two more fsyncs every so often. A log grows for as
// long as a transaction that reads is open, in whatever process: nothing may be
// taken from it that the reader may still want. Such a reader cannot be cut off
// from here; it is told of, and the log goes back as soon as it is gone.
type wal struct {
	s            *Store
	db           *sqlx.DB
	file         string
	limit, alarm int64
	told         int64 // how long the log was when it was last told of; 0: all is well
	written      chan struct{}
	quit         chan struct{}
	end          sync.WaitGroup
}

// newWAL starts to look after a log; nil where the database has none.
func newWAL(s *Store) (*wal, error) {
	if isURL(s.c.Database) {
		return nil, nil
	}
	db, err := openSQLite(sqliteDSN(s.c.Database, url.Values{
		"mode": {"rw"}, "_synchronous": {"FULL"}, "_busy_timeout": {walPatience},
	}), 1)
	if err != nil {
		return nil, err
	}
	w := &wal{s: s, db: db, file: s.c.Database + "-wal", limit: walLimit, alarm: walAlarm,
		written: make(chan struct{}, 1), quit: make(chan struct{})}
	w.end.Go(w.run)
	return w, nil
}

func (w *wal) close() error {
	close(w.quit)
	w.end.Wait()
	return w.db.Close()
}

// wrote tells of a commit.
func (w *wal) wrote() {
	if w == nil {
		return
	}
	select {
	case w.written <- struct{}{}:
	default:
	}
}

func (w *wal) run() {
	ctx := context.Background()
	tick := time.NewTicker(walEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.quit:
			return
		case <-tick.C:
			w.pass(ctx)
		case <-w.written:
			if err := w.copy(ctx); err != nil {
				w.s.log.Debug("the write-ahead log was not copied", "error", err)
			}
			select {
			case <-w.quit:
				return
			case <-time.After(walRest):
			}
		}
	}
}

// copy copies the log to the database, if there is much to copy. It hinders
// neither readers nor writers.
func (w *wal) copy(ctx context.Context) error {
	pages, copied, err := w.checkpoint(ctx, "NOOP")
	if err == nil && pages-copied >= walCopy {
		_, _, err = w.checkpoint(ctx, "PASSIVE")
	}
	return err
}

// pass empties the log if it is long, and tells of one that stays so.
func (w *wal) pass(ctx context.Context) {
	var err error
	if w.size() > w.limit {
		err = w.cut(ctx)
	}
	switch n := w.size(); {
	case n >= w.alarm && n >= 2*w.told:
		w.told = n
		w.s.log.Warn("the database's write-ahead log cannot be emptied and takes disk space: "+
			"some process has a read transaction open, which has to end", "file", w.file, "bytes", n, "error", err)
	case n <= w.limit && w.told > 0:
		w.told = 0
		w.s.log.Info("the database's write-ahead log is short again", "bytes", n)
	}
}

// size returns how many octets the log has; there need be none.
func (w *wal) size() int64 {
	info, err := os.Stat(w.file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// cut copies the log to the database, in two steps: most of it beside the
// writers, and what is left, with the cut, while they wait.
func (w *wal) cut(ctx context.Context) error {
	for _, mode := range []string{"PASSIVE", "TRUNCATE"} {
		if _, _, err := w.checkpoint(ctx, mode); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint returns how many pages the log has, and how many of them are in
// the database.
func (w *wal) checkpoint(ctx context.Context, mode string) (pages, copied int, err error) {
	var busy int
	err = w.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&busy, &pages, &copied)
	return pages, copied, wrap("copy the write-ahead log", err)
}

// WALBytes returns how long SQLite's write-ahead log is: above 64 MiB for
// longer than a quarter of a minute, some process has a read transaction open.
// It is false where the database has no such file.
func (s *Store) WALBytes() (int64, bool) {
	if s.wal == nil {
		return 0, false
	}
	return s.wal.size(), true
}

// Package store keeps managed domains, their records, routes, events and keys
// in a database, and is the only place where a status changes.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/domaind/domaind/dnscheck"
)

// Sentinels. They are all that callers may test for; driver errors never leave
// the package unwrapped by one of them or by a plain "store: …" text.
var (
	// ErrNotFound: no such row for this tenant. A row of another tenant is the
	// same as none.
	ErrNotFound = errors.New("not found")
	// ErrPrecondition: If-Match did not name the present version.
	ErrPrecondition = errors.New("precondition failed")
	// ErrStale: the work was done for an outdated epoch; it was dropped.
	ErrStale = dnscheck.ErrStale
	// ErrUnavailable: the database cannot be reached or written just now.
	ErrUnavailable = errors.New("database unavailable")
	// ErrReadOnly is an ErrUnavailable: the disk, the file or the server takes no
	// writes. Reads may go on.
	ErrReadOnly = fmt.Errorf("%w: read-only", ErrUnavailable)
	// ErrDamaged is an ErrUnavailable: the file is no database, or a broken one.
	ErrDamaged = fmt.Errorf("%w: not a database, or a damaged one", ErrUnavailable)
	// ErrURL: what names the database can be no file and is no postgres:// URL.
	ErrURL = errors.New("malformed database URL")
	// ErrFull: the disk is full.
	ErrFull = errors.New("storage full")
	// ErrCursor: the cursor is none that this store gave.
	ErrCursor = errors.New("malformed cursor")
	// ErrConflict: the user has the name already, in an organization that the
	// caller's key does not reach.
	ErrConflict = errors.New("conflict")
)

// Tenant says on whose behalf a call reads or writes. Every statement on
// tenant data carries it.
type Tenant struct {
	UserID string
	// OrganizationID, where it is set, hides every domain of another
	// organization: the key is bound to it.
	OrganizationID string
	// Actor is who acts, for the events: "key:<id>", "dns", "system".
	Actor string
}

// Store keeps everything. It is safe for concurrent use. Close ends it.
type Store struct {
	c        Config
	schedule Schedule
	now      func() time.Time
	rand     func() float64
	log      *slog.Logger

	dialect *dialect
	// ownClock says that the time is given, and not the database's.
	ownClock bool

	writeDB *sqlx.DB
	read    pool
	writer  *writer
	ring    *keyring

	domainIDs, eventIDs ids
	batches             atomic.Uint32 // of due domains: see turns
	uses                *uses
	wal                 *wal // nil: no SQLite file
	ready               readiness
	counts              counts
	mail                mailState
	closing             sync.Once
}

// Open opens the database, migrates its schema, checks its settings, and opens
// the canary of the master key: a wrong key is an error that says so.
func Open(ctx context.Context, c Config) (*Store, error) {
	d, err := dialectOf(c.Database)
	if err != nil {
		return nil, err
	}
	if err := checkVersion(); err != nil {
		return nil, err
	}
	s := newStore(c, d)
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newStore(c Config, d *dialect) *Store {
	ownClock := c.Now != nil
	c = c.withDefaults()
	return &Store{
		dialect: d, ownClock: ownClock, read: pool{sql: &statements{d: d}, patience: &patience{within: d.answerWithin}},
		c: c, schedule: c.Schedule.withDefaults(), now: c.Now, rand: c.Rand, log: c.Log,
		domainIDs: ids{bits: 22}, eventIDs: ids{bits: 12},
	}
}

func (s *Store) open(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	var err error
	if s.wal, err = newWAL(s); err != nil {
		return err
	}
	s.writer = newWriter(s)
	if s.ring, err = s.openKeyring(ctx); err != nil {
		return err
	}
	s.uses = newUses(s)
	return nil
}

// connect opens both pools and brings the schema up to date in between.
func (s *Store) connect(ctx context.Context) (err error) {
	if isURL(s.c.Database) {
		return s.connectPostgres(ctx)
	}
	if err := makeWritable(s.c.Database); err != nil {
		return err
	}
	s.writeDB = openWriter(s.c.Database, s.dialect.writers)
	if err := assertPragmas(ctx, s.writeDB); err != nil {
		return err
	}
	if err := s.dialect.migrate(ctx, s.c.Database, s.writeDB); err != nil {
		return err
	}
	s.read.db, err = openSQLite(readerDSN(s.c.Database), s.dialect.readers)
	return err
}

// Close writes what waits, ends the store's goroutines, and closes the
// database. A second call does nothing.
func (s *Store) Close() error {
	var errs []error
	s.closing.Do(func() {
		if s.uses != nil {
			s.uses.close()
		}
		if s.wal != nil {
			errs = append(errs, s.wal.close())
		}
		if s.writer != nil {
			s.writer.close()
		}
		s.ready.end.Wait()
		s.counts.end.Wait()
		if s.read.db != nil {
			errs = append(errs, s.read.db.Close())
		}
		if s.writeDB != nil {
			errs = append(errs, s.writeDB.Close())
		}
	})
	return wrap("close", errors.Join(errs...))
}

// masterKeyFile says where the master key is.
func (c Config) masterKeyFile() string {
	if c.MasterKeyFile != "" {
		return c.MasterKeyFile
	}
	return filepath.Join(filepath.Dir(c.Database), "master.key")
}

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
	uses                *uses
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
		dialect: d, ownClock: ownClock, read: pool{sql: &statements{d: d}},
		c: c, schedule: c.Schedule.withDefaults(), now: c.Now, rand: c.Rand, log: c.Log,
		domainIDs: ids{bits: 22}, eventIDs: ids{bits: 12},
	}
}

func (s *Store) open(ctx context.Context) error {
	if err := s.connect(ctx); err != nil {
		return err
	}
	s.writer = newWriter(s)
	var err error
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
	if err := makePrivate(s.c.Database); err != nil {
		return err
	}
	if s.writeDB, err = openSQLite(writerDSN(s.c.Database), s.dialect.writers); err != nil {
		return err
	}
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
		if s.writer != nil {
			s.writer.close()
		}
		if s.read.db != nil {
			errs = append(errs, s.read.db.Close())
		}
		if s.writeDB != nil {
			errs = append(errs, s.writeDB.Close())
		}
	})
	return wrap("close", errors.Join(errs...))
}

// readiness remembers the last probe, so that asking often costs no disk write.
type readiness struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

// probeEvery is how old the answer of Ready may be.
const probeEvery = time.Second

// Ready returns nil when the database can be read and written, its schema is
// this program's, and the master key opens it; else ErrUnavailable or ErrFull.
func (s *Store) Ready(ctx context.Context) error {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	now := s.now()
	if !s.ready.at.IsZero() && now.Sub(s.ready.at) < probeEvery && !now.Before(s.ready.at) {
		return s.ready.err
	}
	err := s.probe(ctx)
	if ctx.Err() == nil {
		s.ready.at, s.ready.err = now, err
	}
	return err
}

func (s *Store) probe(ctx context.Context) error {
	var version int64
	err := s.read.queryRow(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&version)
	if err != nil {
		return wrap("read schema version", err)
	}
	err = s.write(ctx, func(x *tx) error {
		if _, err := s.ring.current(x); err != nil {
			return err
		}
		_, err := x.exec(`INSERT INTO setting (name, value) VALUES ('probed_at', ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, ms(x.now))
		return err
	})
	if err != nil {
		return fmt.Errorf("store: write probe: %w", err)
	}
	return nil
}

// masterKeyFile says where the master key is.
func (c Config) masterKeyFile() string {
	if c.MasterKeyFile != "" {
		return c.MasterKeyFile
	}
	return filepath.Join(filepath.Dir(c.Database), "master.key")
}

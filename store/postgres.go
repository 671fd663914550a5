package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
)

// minPostgres is the oldest PostgreSQL that this is tested with.
const minPostgres = 150000

func postgresDialect() *dialect {
	return &dialect{
		driver: "pgx", goose: goose.DialectPostgres, migrations: "migrations/postgres",
		hasTable: `SELECT count(*) FROM information_schema.tables
			WHERE table_schema = current_schema() AND table_name = $1`,
		writers: 8, batch: 1, readers: 16, numbered: true, answerWithin: answerWithin,
		skipLocked:    `FOR UPDATE SKIP LOCKED`,
		clock:         `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT`,
		lockClaim:     `SELECT id FROM domain WHERE user_id = ? AND name = ? FOR UPDATE`,
		lockName:      `SELECT id FROM domain WHERE name = ? ORDER BY id FOR UPDATE`,
		lockMessage:   `SELECT id FROM message WHERE id = ? FOR UPDATE`,
		openSchema:    func(url string, _ bool) (*sqlx.DB, error) { return openPostgres(url, 2, nil) },
		lockMigration: lockPostgres,
	}
}

// The sessions. A replica that hangs in the middle of a transaction must not
// hold its locks for long, and no statement of ours takes long.
func writerParams() map[string]string {
	return map[string]string{
		"statement_timeout":                   "15s",
		"lock_timeout":                        "10s",
		"idle_in_transaction_session_timeout": "10s",
	}
}

func readerParams() map[string]string {
	return map[string]string{
		"default_transaction_read_only": "on",
		"statement_timeout":             "5min", // an export of all keys
	}
}

// dialTimeout bounds how long a database that does not answer is waited for.
const dialTimeout = 3 * time.Second

// openPostgres prepares a pool; it connects when it is first used. What the
// URL says of a session goes before params.
func openPostgres(url string, conns int, params map[string]string) (*sqlx.DB, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		// The text of a parse error leaves the password out.
		return nil, fmt.Errorf("store: %w: %w", ErrURL, err)
	}
	for name, value := range params {
		if _, ok := c.RuntimeParams[name]; !ok {
			c.RuntimeParams[name] = value
		}
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "domaind"
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = dialTimeout
	}
	c.DialFunc = newDialer().dial
	db := sqlx.NewDb(stdlib.OpenDB(*c), "pgx")
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db, nil
}

func (s *Store) connectPostgres(ctx context.Context) (err error) {
	if s.writeDB, err = openPostgres(s.c.Database, s.dialect.writers, writerParams()); err != nil {
		return err
	}
	if err := assertPostgres(ctx, s.writeDB); err != nil {
		return err
	}
	if err := s.dialect.migrateApart(ctx, s.c.Database); err != nil {
		return err
	}
	s.read.db, err = openPostgres(s.c.Database, s.dialect.readers, readerParams())
	return err
}

// assertPostgres refuses a server that is too old, or would lose what it has
// acknowledged. CockroachDB says that it is PostgreSQL 13 and is let through.
func assertPostgres(ctx context.Context, db *sqlx.DB) error {
	var number int
	var name, sync, encoding string
	err := db.QueryRowContext(ctx, `SELECT version(), current_setting('server_version_num')::int,
		current_setting('synchronous_commit'), current_setting('server_encoding')`).
		Scan(&name, &number, &sync, &encoding)
	if err != nil {
		return wrap("open database", err)
	}
	switch {
	case number < minPostgres && !isCockroach(name):
		return fmt.Errorf("store: PostgreSQL %d is too old: 15 is needed", number/10000)
	case sync == "off":
		return errors.New("store: synchronous_commit is off: a crash would lose acknowledged writes")
	case encoding != "UTF8":
		return fmt.Errorf("store: the encoding of the database is %s, not UTF8", encoding)
	}
	return nil
}

func isCockroach(version string) bool {
	const name = "CockroachDB"
	return len(version) >= len(name) && version[:len(name)] == name
}

// migrationLock is the key of the advisory lock of a migration; nothing else
// uses advisory locks.
const migrationLock = 0x646f6d61696e64 // "domaind"

func lockPostgres(ctx context.Context, _ string, db *sqlx.DB) (func() error, error) {
	conn, err := db.Connx(ctx)
	if err != nil {
		return nil, wrap("lock migration", err)
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrationLock)); err != nil {
		return nil, errors.Join(wrap("lock migration", err), conn.Close())
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrationLock))
		return wrap("unlock migration", errors.Join(err, conn.Close()))
	}, nil
}

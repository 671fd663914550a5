package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/jmoiron/sqlx"
	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"
	"github.com/rogpeppe/go-internal/lockedfile"
)

func sqliteDialect() *dialect {
	return &dialect{
		driver: "sqlite3", goose: goose.DialectSQLite3, migrations: "migrations/sqlite",
		hasTable: `SELECT count(*) FROM sqlite_master WHERE name = ?`,
		writers:  1, batch: maxBatch, readers: sqliteReaders, spool: true,
		openSchema:    openSQLiteSchema,
		lockMigration: lockSQLite,
	}
}

func openSQLiteSchema(file string, change bool) (*sqlx.DB, error) {
	if change {
		if err := makeWritable(file); err != nil {
			return nil, err
		}
		return openSQLite(writerDSN(file), 1)
	}
	return openSQLite(readerDSN(file), 1) // which makes no file where there is none
}

// makeWritable makes a database that is not there yet, and says why one cannot
// be written that is: SQLite itself would only say that it cannot be opened, or
// say so with the first write.
func makeWritable(file string) error {
	if err := makePrivate(file); err != nil {
		return err
	}
	return writable(file)
}

// writable says why a database cannot be written, as far as that is known
// without a try.
func writable(file string) error {
	for _, name := range []string{file, filepath.Dir(file)} { // its log is made beside it
		if err := syscall.Access(name, mayWrite); err != nil {
			return unusable("open database", &fs.PathError{Op: "write", Path: name, Err: err})
		}
	}
	return nil
}

// unusable is ErrReadOnly, ErrFull or ErrUnavailable.
func unusable(doing string, err error) error {
	if errors.Is(err, fs.ErrNotExist) { // the directory, not a row
		return fmt.Errorf("store: %s: %w: %w", doing, ErrUnavailable, err)
	}
	return spoolErr(doing, err)
}

// mayWrite is W_OK of access(2).
const mayWrite = 2

// makePrivate makes a database that is not there yet readable by its owner
// alone, as it will hold mail; SQLite gives its other files the same mode. One
// that is there is not even opened: to close it again would drop SQLite's locks.
func makePrivate(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return unusable("make database", err)
	}
	return wrap("make database", f.Close())
}

// minSQLite is the oldest SQLite with the fix of the WAL-reset bug.
const minSQLite = 3051003

// sqliteReaders is the size of the read-only pool: more connections than cores
// only take memory.
const sqliteReaders = 4

// writerDSN opens for writing. The driver's own default for WAL is
// synchronous=NORMAL, which loses acknowledged commits in a power cut.
func writerDSN(file string) string {
	return sqliteDSN(file, url.Values{
		"mode":             {"rwc"},
		"_journal_mode":    {"WAL"},
		"_synchronous":     {"FULL"},
		"_foreign_keys":    {"1"},
		"_busy_timeout":    {"5000"},
		"_txlock":          {"immediate"},
		"_cache_size":      {"-16384"},
		"_stmt_cache_size": {"128"},
	})
}

func readerDSN(file string) string {
	return sqliteDSN(file, url.Values{
		"mode":             {"ro"},
		"_foreign_keys":    {"1"},
		"_busy_timeout":    {"5000"},
		"_query_only":      {"1"},
		"_cache_size":      {"-8192"},
		"_stmt_cache_size": {"64"},
	})
}

// sqliteDSN escapes what SQLite's URI syntax would read as its own.
func sqliteDSN(file string, v url.Values) string {
	parts := strings.Split(filepath.ToSlash(file), "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return "file:" + strings.Join(parts, "/") + "?" + v.Encode()
}

// openWriter opens the connections that write.
func openWriter(file string, conns int) *sqlx.DB {
	return limit(sqlx.NewDb(sql.OpenDB(writerConnector{writerDSN(file)}), "sqlite3"), conns)
}

// writerConnector says what the DSN has no word for.
type writerConnector struct{ dsn string }

// Connect implements driver.Connector.
func (c writerConnector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.dsn) }

// Driver implements driver.Connector.
func (writerConnector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(c *sqlite3.SQLiteConn) error {
		_, err := c.Exec(fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", walPages), nil)
		return err
	}}
}

func openSQLite(dsn string, conns int) (*sqlx.DB, error) {
	db, err := sqlx.Open("sqlite3", dsn)
	if err != nil {
		return nil, wrap("open database", err)
	}
	return limit(db, conns), nil
}

func limit(db *sqlx.DB, conns int) *sqlx.DB {
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxLifetime(0)
	return db
}

// checkVersion refuses an SQLite that may corrupt a WAL database.
func checkVersion() error {
	text, number, _ := sqlite3.Version()
	if number < minSQLite {
		return fmt.Errorf("store: SQLite %s is too old: 3.51.3 is needed", text)
	}
	return nil
}

// assertPragmas reads back what the DSN asked for: a misspelt parameter is
// silently ignored by the driver.
func assertPragmas(ctx context.Context, db *sqlx.DB) error {
	want := []struct{ pragma, value string }{
		{"journal_mode", "wal"},
		{"synchronous", "2"},
		{"foreign_keys", "1"},
		{"busy_timeout", "5000"},
	}
	var wrong []error
	for _, w := range want {
		var got string
		if err := db.GetContext(ctx, &got, "PRAGMA "+w.pragma); err != nil {
			return wrap("read pragma "+w.pragma, err)
		}
		if got != w.value {
			wrong = append(wrong, fmt.Errorf("store: pragma %s is %s, not %s", w.pragma, got, w.value))
		}
	}
	return errors.Join(wrong...)
}

// lockSQLite locks a file beside the database. It is left behind, empty: to
// remove it would let two processes lock two files of one name.
func lockSQLite(_ context.Context, file string, _ *sqlx.DB) (func() error, error) {
	unlock, err := lockedfile.MutexAt(file + ".lock").Lock()
	if err != nil {
		return nil, fmt.Errorf("store: lock migration: %w", err)
	}
	return func() error { unlock(); return nil }, nil
}

package store

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jmoiron/sqlx"
	"github.com/pressly/goose/v3"
)

// dialect holds all that differs between the databases. The statements of the
// package are one text for both: it is written for SQLite, with ? for values,
// and rebound once where the database wants it otherwise.
type dialect struct {
	driver string
	goose  goose.Dialect
	// migrations is the folder of the schema.
	migrations string
	// hasTable counts the tables of a name.
	hasTable string
	// writers is how many transactions run at once, and batch how many writes
	// share one. SQLite has one writer, and many writes then share its fsync;
	// PostgreSQL gathers the commits of its connections by itself, and writes
	// that share no transaction cannot lock each other out.
	writers, batch int
	// answerWithin bounds the wait for an answer; 0 where there is no other side.
	answerWithin time.Duration
	// readers is the size of the read-only pool.
	readers int
	// numbered says that placeholders are $1, $2 and so on.
	numbered bool
	// skipLocked is put where a statement says skipLockedHere.
	skipLocked string
	// clock reads the database's clock, in Unix milliseconds; "" where it is
	// that of this process.
	clock string
	// lockName keeps the writers of other processes from all claims on a name
	// until the transaction ends; "" where only one transaction writes at a time.
	lockName string
	// lockClaim does so for the claim of one user.
	lockClaim string
	// lockMessage does so for one message.
	lockMessage string
	// spool says that large messages lie beside the database, not in it.
	spool bool
	// openSchema opens the database to look at its schema, or to change it.
	openSchema func(database string, change bool) (*sqlx.DB, error)
	// lockMigration keeps other processes from migrating until unlock is called.
	lockMigration func(ctx context.Context, database string, db *sqlx.DB) (unlock func() error, err error)
}

// skipLockedHere marks, in a claim, where rows that another claims are skipped.
const skipLockedHere = `/* skip locked */`

// isURL reports whether a database is reached by a URL; else it is a file.
func isURL(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// dialectOf says how a database is spoken to.
func dialectOf(database string) (*dialect, error) {
	switch {
	case isURL(database):
		return postgresDialect(), nil
	case strings.Contains(database, "://"):
		return nil, fmt.Errorf("store: %w", ErrURL)
	default:
		return sqliteDialect(), nil
	}
}

// Redact returns the name of a database without the password that its URL may
// hold.
func Redact(database string) string {
	scheme, _, isAny := strings.Cut(database, "://")
	if !isAny {
		return database
	}
	u, err := url.Parse(database)
	if err != nil {
		return scheme + "://" + redacted
	}
	q := u.Query()
	for _, secret := range []string{"password", "sslpassword"} {
		if q.Has(secret) {
			q.Set(secret, redacted)
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}

// statements makes the package's statements the database's own, each once.
type statements struct {
	d     *dialect
	bound sync.Map // from the text to its rebound form
}

func (s *statements) text(q string) string {
	if !s.d.numbered {
		return q
	}
	if b, ok := s.bound.Load(q); ok {
		return b.(string)
	}
	b := sqlx.Rebind(sqlx.DOLLAR, strings.ReplaceAll(q, skipLockedHere, s.d.skipLocked))
	s.bound.Store(q, b)
	return b
}

// values makes arguments fit the columns: a truth is 0 or 1, and text is UTF-8
// without NUL, which PostgreSQL takes no other.
func values(args []any) []any {
	for i, a := range args {
		switch v := a.(type) {
		case bool:
			args[i] = int64(0)
			if v {
				args[i] = int64(1)
			}
		case string:
			if !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
				args[i] = strings.ReplaceAll(strings.ToValidUTF8(v, "\uFFFD"), "\x00", "\uFFFD")
			}
		}
	}
	return args
}

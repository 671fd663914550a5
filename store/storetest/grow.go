package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/mattn/go-sqlite3" // the driver
)

// grown are the tables of a domain, each after those that it refers to.
var grown = []string{"domain", "record", "dkim_key", "expectation", "event"}

// Grow copies the domains of a database until it has at least n of them, each
// of another name and user. The copies keep the records of their first one.
func Grow(tb testing.TB, database string, n int) {
	tb.Helper()
	driver := "sqlite3"
	if strings.HasPrefix(database, "postgres") {
		driver = "pgx"
	}
	db, err := sql.Open(driver, database)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for generation := 'a'; ; generation++ {
		var have int
		if err := db.QueryRowContext(context.Background(), `SELECT count(*) FROM domain`).Scan(&have); err != nil {
			tb.Fatal(err)
		}
		if have == 0 {
			tb.Fatal("no domain to copy")
		}
		if have >= n {
			break
		}
		if err := double(db, string(generation), n-have); err != nil {
			tb.Fatal(err)
		}
	}
	// What autovacuum does within a minute: without statistics PostgreSQL reads
	// whole tables.
	if _, err := db.ExecContext(context.Background(), `ANALYZE`); err != nil {
		tb.Fatal(err)
	}
}

// double copies at most n domains, under names and users that begin with prefix.
func double(db *sql.DB, prefix string, n int) error {
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var apart, last int64
	err = tx.QueryRowContext(context.Background(), `SELECT max(id) - min(id) + 1 FROM domain`).Scan(&apart)
	if err != nil {
		return err
	}
	err = tx.QueryRowContext(context.Background(),
		fmt.Sprintf(`SELECT max(id) FROM (SELECT id FROM domain ORDER BY id LIMIT %d) AS first`, n)).Scan(&last)
	if err != nil {
		return err
	}
	for _, table := range grown {
		columns, err := Columns(context.Background(), tx, table)
		if err != nil {
			return err
		}
		values, id := make([]string, len(columns)), "domain_id"
		if table == "domain" {
			id = "id"
		}
		for i, c := range columns {
			switch {
			case c == id:
				values[i] = fmt.Sprintf("%s + %d", c, apart)
			case c == "user_id", c == "name" && table == "domain", c == "selector":
				values[i] = fmt.Sprintf("'%s' || %s", prefix, c)
			default:
				values[i] = c
			}
		}
		_, err = tx.ExecContext(context.Background(), fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s <= %d ORDER BY %s`,
			table, strings.Join(columns, ", "), strings.Join(values, ", "), table, id, last, id))
		if err != nil {
			return fmt.Errorf("copy %s: %w", table, err)
		}
	}
	return tx.Commit()
}

// Columns returns the names of a table's columns, in their order. q is a
// database, or a transaction in it.
func Columns(ctx context.Context, q interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, table string) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT * FROM `+table+` WHERE 1 = 0`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	return columns, rows.Err()
}

package store

import (
	"context"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"github.com/domaind/domaind/store/storetest"
)

// schemaOf describes a schema in words that both databases share: the columns
// of each table with what they hold and whether they may be NULL, and the
// columns of each index.
func schemaOf(t *testing.T, db *sqlx.DB, columns, indexes string) map[string][]string {
	t.Helper()
	out := make(map[string][]string)
	for _, q := range []string{columns, indexes} {
		readSchema(t, db, q, out)
	}
	delete(out, "goose_db_version") // goose's own
	delete(out, "sqlite_sequence")
	return out
}

// readSchema adds what a query says of each table.
func readSchema(t *testing.T, db *sqlx.DB, q string, out map[string][]string) {
	t.Helper()
	rows, err := db.Query(q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var of, what string
		if err := rows.Scan(&of, &what); err != nil {
			t.Fatal(err)
		}
		out[of] = append(out[of], what)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// A key is an index on both; its name is the database's own. The definition of
// a named one is compared as it is written, but for words of one dialect.
const (
	sqliteColumns = `SELECT m.name, c.name || ' ' || lower(c.type) || CASE WHEN c."notnull" = 1 OR c.pk > 0
		THEN ' not null' ELSE '' END FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' ORDER BY 1, c.name`
	sqliteIndexes = `SELECT m.name, (SELECT group_concat(name, ', ') FROM (SELECT name FROM pragma_index_info(m.name)
		ORDER BY seqno)) || CASE WHEN m.sql LIKE 'CREATE UNIQUE%' THEN ' unique' ELSE '' END
		|| CASE WHEN m.sql LIKE '%WHERE%' THEN ' partial' ELSE '' END
		FROM sqlite_master m WHERE m.type = 'index' AND m.sql IS NOT NULL ORDER BY 1`
	postgresColumns = `SELECT table_name, column_name || ' ' || CASE data_type WHEN 'bigint' THEN 'integer'
		WHEN 'bytea' THEN 'blob' ELSE data_type END || CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END
		FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY table_name, column_name COLLATE "C"`
	postgresIndexes = `SELECT i.relname, (SELECT string_agg(a.attname, ', ' ORDER BY k.n)
		FROM unnest(x.indkey) WITH ORDINALITY AS k (attnum, n)
		JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.attnum)
		|| CASE WHEN x.indisunique THEN ' unique' ELSE '' END || CASE WHEN x.indpred IS NOT NULL THEN ' partial' ELSE '' END
		FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
		WHERE n.nspname = current_schema() AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.oid)
		ORDER BY i.relname`
)

// Both databases get the same tables, columns and indexes, and the same
// versions on the way there.
func TestMigrationParity(t *testing.T) {
	ctx := context.Background()
	url := storetest.NewPostgres(t)
	file := filepath.Join(t.TempDir(), "domaind.db")
	for _, database := range []string{file, url} {
		if _, err := Migrate(ctx, database); err != nil {
			t.Fatal(err)
		}
	}
	a, err := openSQLite(readerDSN(file), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := openPostgres(url, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	lite := schemaOf(t, a, sqliteColumns, sqliteIndexes)
	pg := schemaOf(t, b, postgresColumns, postgresIndexes)
	if len(lite) < 10 {
		t.Fatalf("only %v", slices.Sorted(maps.Keys(lite)))
	}
	if diff := cmp.Diff(lite, pg); diff != "" {
		t.Errorf("SQLite (-) and PostgreSQL (+):\n%s", diff)
	}
}

var (
	checks = regexp.MustCompile(`CHECK \(.*\)|DEFAULT \S+|WHERE .*;|REFERENCES .*|UNIQUE.*|PRIMARY KEY.*`)
	spaces = regexp.MustCompile(`\s+`)
)

// What a schema demands of its rows is the same text in both dialects.
func TestMigrationDemands(t *testing.T) {
	demands := func(file string) []string {
		b, err := fs.ReadFile(migrations, file)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for line := range strings.Lines(string(b)) {
			if c := checks.FindString(line); c != "" && !strings.HasPrefix(strings.TrimSpace(line), "--") {
				c = strings.NewReplacer(" STRICT", "", " INTEGER", " BIGINT", " BLOB", " BYTEA").Replace(c)
				list = append(list, spaces.ReplaceAllString(c, " "))
			}
		}
		return list
	}
	files, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		other := strings.Replace(file, "sqlite", "postgres", 1)
		if diff := cmp.Diff(demands(file), demands(other)); diff != "" {
			t.Errorf("%s (-) and %s (+):\n%s", file, other, diff)
		}
	}
}

// Of programs that start at once on a new database, one migrates it.
func TestOpenAtOnce(t *testing.T) {
	w := newWorld(t)
	again := *w
	again.dir = t.TempDir()
	again.database, again.key = storetest.New(t, again.dir)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			s, err := Open(context.Background(), again.config())
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

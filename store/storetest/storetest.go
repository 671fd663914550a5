// Package storetest gives tests a database: a new SQLite file, or a schema of
// its own on a PostgreSQL server that runs for the test's process only.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// backend is the variable that says which database New gives.
const backend = "DOMAIND_TEST_DATABASE"

// postgresql is the value of backend for PostgreSQL; anything else is SQLite.
const postgresql = "postgres"

// Postgres reports whether New gives a PostgreSQL database.
func Postgres() bool { return os.Getenv(backend) == postgresql }

// SQLiteOnly skips a test of what only SQLite has.
func SQLiteOnly(tb testing.TB) {
	tb.Helper()
	if Postgres() {
		tb.Skip("about SQLite only")
	}
}

// New returns what to open, and the file of its master key. A test may open it
// many times; what dir has is reused.
func New(tb testing.TB, dir string) (database, masterKeyFile string) {
	tb.Helper()
	key := filepath.Join(dir, "master.key")
	if !Postgres() {
		return filepath.Join(dir, "domaind.db"), key
	}
	if err := writeKey(key); err != nil {
		tb.Fatal(err)
	}
	again := filepath.Join(dir, "database.url")
	if b, err := os.ReadFile(again); err == nil {
		return string(b), key
	}
	database = NewPostgres(tb)
	if err := os.WriteFile(again, []byte(database), 0o600); err != nil {
		tb.Fatal(err)
	}
	return database, key
}

// Settings returns what New does as the variables of the program.
func Settings(tb testing.TB, dir string) []string {
	tb.Helper()
	database, key := New(tb, dir)
	if !Postgres() {
		return []string{"DOMAIND_DATABASE=" + database} // the key is beside it
	}
	return []string{"DOMAIND_DATABASE=" + database, "DOMAIND_MASTER_KEY_FILE=" + key}
}

// MasterKey makes the file of a master key in dir and returns its name.
func MasterKey(tb testing.TB, dir string) string {
	tb.Helper()
	file := filepath.Join(dir, "master.key")
	if err := writeKey(file); err != nil {
		tb.Fatal(err)
	}
	return file
}

// masterKey is a key that protects nothing.
const masterKey = "dGVzdCBrZXksIDMyIG9jdGV0cywgbm90IHNlY3JldCE=\n"

func writeKey(file string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	return os.WriteFile(file, []byte(masterKey), 0o600)
}

// NewPostgres returns the URL of an empty schema on the test's server, which it
// starts if need be. Where there is no PostgreSQL it skips the test, or fails
// it when DOMAIND_REQUIRE_SERVERS is set.
func NewPostgres(tb testing.TB) string {
	tb.Helper()
	server, err := running()
	if errors.Is(err, errMissing) && !required() {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return server.Schema(tb)
}

// NewServer starts a PostgreSQL of the test's own, which it may stop, and ends
// it with the test. It skips and fails as NewPostgres does.
func NewServer(tb testing.TB, o ServerOptions) *Server {
	tb.Helper()
	if _, err := binaries(); err != nil && !required() {
		tb.Skip(err)
	}
	s, err := startServer(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = s.orders.Close()
		_ = s.shell.Wait()
	})
	return s
}

// Available reports whether there is a PostgreSQL to test with; it says so on
// standard error when there is none.
func Available() bool {
	_, err := running()
	switch {
	case err == nil:
		return true
	case errors.Is(err, errMissing) && !required():
		fmt.Fprintln(os.Stderr, "SKIPPED on PostgreSQL:", err)
		return false
	default:
		fmt.Fprintln(os.Stderr, "PostgreSQL:", err)
		os.Exit(1)
		return false
	}
}

// Run runs a package's tests on SQLite, and again on PostgreSQL where there is
// one, and returns the exit code. The second run is only of the tests that
// match only; "" means all. Benchmarks run once: a rate is of one database.
func Run(m *testing.M, only string) int {
	if os.Getenv(backend) != "" {
		return m.Run()
	}
	code := m.Run()
	if code != 0 || measuring() || !Available() {
		return code
	}
	if err := os.Setenv(backend, postgresql); err != nil {
		return 1
	}
	defer func() { _ = os.Unsetenv(backend) }()
	// A server is slower to make a database than a file is to create.
	if checks := flag.Lookup("rapid.checks"); checks != nil && checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("20")
	}
	if run := flag.Lookup("test.run"); only != "" && run != nil && run.Value.String() == "" {
		_ = run.Value.Set(only)
	}
	fmt.Fprintln(os.Stderr, "again on PostgreSQL:")
	return m.Run()
}

func required() bool { return os.Getenv("DOMAIND_REQUIRE_SERVERS") == "1" }

// running starts the server on the first call.
var running = sync.OnceValues(func() (*Server, error) { return startServer(ServerOptions{}) })

// Schema makes an empty schema and returns its URL, by the socket.
func (s *Server) Schema(tb testing.TB) string {
	tb.Helper()
	db, err := sql.Open("pgx", s.url("public"))
	if err != nil {
		tb.Fatal(err)
	}
	name := fmt.Sprintf("t%d", s.schemas.Add(1))
	_, err = db.ExecContext(context.Background(), "CREATE SCHEMA "+name)
	if err := errors.Join(err, db.Close()); err != nil {
		tb.Fatal(err)
	}
	return s.url(name)
}

func (s *Server) url(schema string) string {
	q := url.Values{"host": {s.dir}, "port": {port}, "user": {"postgres"}, "search_path": {schema}}
	return "postgres:///postgres?" + q.Encode()
}

// measuring reports whether go test was asked for benchmarks.
func measuring() bool {
	bench := flag.Lookup("test.bench")
	return bench != nil && bench.Value.String() != ""
}

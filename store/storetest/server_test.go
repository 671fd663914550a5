package storetest_test

import (
	"database/sql"
	"testing"

	"github.com/domaind/domaind/store/storetest"
)

// TestServer: a server that was stopped or killed comes back with what it had.
func TestServer(t *testing.T) {
	server := storetest.NewServer(t, storetest.ServerOptions{})
	db, err := sql.Open("pgx", server.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxIdleConns(0)
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE kept (n BIGINT)`); err != nil {
		t.Fatal(err)
	}
	for n, end := range []func() error{server.Stop, server.Kill, server.Kill} {
		if _, err := db.ExecContext(t.Context(), `INSERT INTO kept VALUES ($1)`, n); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err == nil {
			t.Fatal("the server answers after its end")
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM kept`).Scan(&rows); err != nil || rows != n+1 {
			t.Fatalf("after end %d: %d rows, %v", n+1, rows, err)
		}
	}
}

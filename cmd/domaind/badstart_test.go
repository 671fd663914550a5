package main_test

import (
	"database/sql"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the drivers
	_ "github.com/mattn/go-sqlite3"

	"github.com/domaind/domaind/store/storetest"
)

// badStart is a database that no command can work with.
type badStart struct {
	database string
	want     []string // all of them, in the one line
}

// refused runs commands on it: each ends with 2 and one line.
func (b badStart) refused(t *testing.T, key string, commands ...string) {
	t.Helper()
	for _, command := range commands {
		cmd := exec.CommandContext(t.Context(), binary, strings.Fields(command)...)
		cmd.Dir = t.TempDir()
		cmd.Env = []string{
			"DOMAIND_DATABASE=" + b.database, "DOMAIND_MASTER_KEY_FILE=" + key, "DOMAIND_LISTEN=127.0.0.1:0",
			"DOMAIND_MX_HOST=mx.mail.example", "DOMAIND_DNS_SERVERS=127.0.0.1:1", "DOMAIND_DKIM_POOL=0",
		}
		var exit *exec.ExitError
		out, err := cmd.CombinedOutput()
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%s: %v: %s", command, err, out)
			continue
		}
		text := string(out)
		if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "domaind: DOMAIND_DATABASE (--database) ") {
			t.Errorf("%s: not one line that names the variable: %s", command, text)
		}
		for _, want := range b.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in %s", command, want, text)
			}
		}
		if strings.Contains(text, "s3cret") {
			t.Errorf("%s: a password: %s", command, text)
		}
	}
}

// TestBadStart: a wrong URL, a database that is down, too new or damaged.
func TestBadStart(t *testing.T) {
	storetest.SQLiteOnly(t) // it has cases of both
	t.Parallel()
	dir := t.TempDir()
	key := storetest.MasterKey(t, dir)
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "new.db")
	newer(t, "sqlite3", file, key)
	const wrongURL, example = "malformed database URL", "postgres://user:password@host/database"
	for name, b := range map[string]badStart{
		"directory":        {dir, []string{"is a directory", "name a file"}},
		"garbage":          {garbage, []string{garbage, "not a database", "restore a backup"}},
		"newer file":       {file, []string{file, "newer than this program", "run the newer program"}},
		"other scheme":     {"mysql://u:s3cret@127.0.0.1/x", []string{wrongURL, example}},
		"bad port":         {"postgres://u:s3cret@127.0.0.1:port/x", []string{wrongURL, example}},
		"space":            {"postgres://u:s3cret@127.0.0.1/x y", []string{"postgres://", "127.0.0.1"}},
		"unknown SSL mode": {"postgres://u:s3cret@127.0.0.1/x?sslmode=never", []string{wrongURL, "sslmode"}},
		"down":             {"postgres://u:s3cret@127.0.0.1:1/x", []string{"127.0.0.1:1", "refused", "whether the server runs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.refused(t, key, "serve", "migrate up", "key list")
		})
	}
}

// newer marks a database as written by a program that is not there yet.
func newer(t *testing.T, driver, database, key string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "migrate", "up")
	cmd.Env = []string{"DOMAIND_DATABASE=" + database, "DOMAIND_MASTER_KEY_FILE=" + key}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	db, err := sql.Open(driver, database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) SELECT 9999, is_applied FROM goose_db_version LIMIT 1`); err != nil {
		t.Fatal(err)
	}
}

// TestBadStartPostgres has what needs a server.
func TestBadStartPostgres(t *testing.T) {
	storetest.SQLiteOnly(t) // once is enough
	t.Parallel()
	key := storetest.MasterKey(t, t.TempDir())
	tooNew := storetest.NewPostgres(t)
	newer(t, "pgx", tooNew, key)
	for name, b := range map[string]badStart{
		"newer":       {tooNew, []string{"newer than this program", "run the newer program"}},
		"no database": {changed(t, storetest.NewPostgres(t), func(u *url.URL) { u.Path = "/nosuch" }), []string{"no such database", "look whether"}},
		"standby": {changed(t, storetest.NewPostgres(t), func(u *url.URL) {
			u.RawQuery += "&default_transaction_read_only=on"
		}), []string{"read-only", "name the primary server"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.refused(t, key, "serve", "migrate up")
		})
	}
}

func changed(t *testing.T, database string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

// TestReadOnlyMount starts on a disk that is mounted read-only, with and
// without a database on it, and on one that came back.
func TestReadOnlyMount(t *testing.T) {
	storetest.SQLiteOnly(t)
	t.Parallel()
	dir := smallDisk(t)
	file, key := filepath.Join(dir, "domaind.db"), storetest.MasterKey(t, t.TempDir())
	migrate := func() error {
		cmd := exec.CommandContext(t.Context(), binary, "migrate", "up")
		cmd.Env = []string{"DOMAIND_DATABASE=" + file}
		return cmd.Run()
	}
	remount := func(flags uintptr) {
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := migrate(); err != nil {
		t.Fatal(err)
	}
	remount(syscall.MS_RDONLY)
	want := []string{"read-only file system", dir, "mount it for writing"}
	badStart{file, want}.refused(t, key, "serve", "migrate up", "migrate status", "key list", "backup "+filepath.Join(t.TempDir(), "copy"))
	badStart{filepath.Join(dir, "other.db"), want}.refused(t, key, "serve", "migrate up")
	remount(0)
	if err := migrate(); err != nil {
		t.Errorf("mounted for writing again: %v", err)
	}
}

package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// server is a PostgreSQL on a socket in a directory of its own.
type server struct {
	dir string
	// alive is never written to: it ends with the process.
	alive   *os.File
	schemas atomic.Int64
}

// port only names the socket: there is no TCP.
const port = "5432"

// ready is how long a server may take to start.
const ready = 30 * time.Second

var errMissing = errors.New("no PostgreSQL 15 or later is installed (Debian: apt-get install postgresql)")

// script runs the server until its standard input ends, which it does whenever
// the test's process does, and leaves nothing behind.
const script = `cd "$2" || exit 1
"$1/initdb" -D data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US --no-sync >log 2>&1 || exit 1
"$1/postgres" -D data -k "$2" -c listen_addresses= -c fsync=off -c max_connections=300 -c deadlock_timeout=200ms >>log 2>&1 &
pid=$!
read -r _
kill -QUIT $pid
wait $pid
rm -rf "$2"`

func startServer() (*server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "dpg") // short: a socket's path has 107 octets
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", script, "sh", bin, dir)
	if cmd.SysProcAttr, err = asPostgres(dir); err != nil {
		return nil, err
	}
	stdin, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin = stdin
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{dir: dir, alive: alive}
	return s, errors.Join(stdin.Close(), s.wait())
}

// wait returns when the server answers.
func (s *server) wait() error {
	end := time.Now().Add(ready)
	for time.Now().Before(end) {
		if _, err := os.Stat(filepath.Join(s.dir, ".s.PGSQL."+port)); err == nil {
			if log, _ := os.ReadFile(filepath.Join(s.dir, "log")); bytes.Contains(log, []byte("ready to accept connections")) {
				return nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return fmt.Errorf("PostgreSQL did not start: %s", log)
}

// asPostgres has a process of root run as postgres: the server refuses root.
func asPostgres(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for the test
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids fit
	return attr, os.Chown(dir, uid, gid)
}

// binaries finds the newest server, where Debian has it or in PATH.
func binaries() (string, error) {
	var found string
	newest := 14
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, dir := range dirs {
		v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err == nil && v > newest {
			found, newest = dir, v
		}
	}
	if found != "" {
		return found, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errMissing
}

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

// Server is a PostgreSQL on a socket in a directory of its own. It ends with
// the test's process. Its methods are for one goroutine at a time.
type Server struct {
	o   ServerOptions
	dir string
	// orders ends the shell that runs the server, and the server with it.
	orders  *os.File
	shell   *exec.Cmd
	starts  int
	schemas atomic.Int64
}

// ServerOptions is what a Server may have; the zero value is one on a socket.
type ServerOptions struct {
	// Listen is an IP address where it takes TCP connections too, from networks
	// that it is in, without a password: for a network namespace of the test's
	// own. "" means no TCP.
	Listen string
	// Enter runs start where the server is to live, such as on a thread that is
	// in another network namespace; nil means here.
	Enter func(start func() error) error
}

// port only names the socket, unless there is TCP.
const port = "5432"

// ready is how long a server may take to start.
const ready = 30 * time.Second

var (
	errMissing = errors.New("no PostgreSQL 15 or later is installed (Debian: apt-get install postgresql)")
	errOrphans = errors.New("processes of the last server are still there")
)

// script runs the server until it reads the name of a signal for it, or until
// its standard input ends, which it does whenever the test's process does; then
// it leaves nothing behind.
const script = `cd "$2" || exit 1
if [ ! -d data ]; then
	"$1/initdb" -D data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US --no-sync >"$4" 2>&1 || exit 1
	echo "host all all samenet trust" >>data/pg_hba.conf
fi
"$1/postgres" -D data -k "$2" -c listen_addresses="$3" -c fsync=off -c max_connections=300 -c deadlock_timeout=200ms >>"$4" 2>&1 &
pid=$!
read -r signal
kill -"${signal:-QUIT}" $pid
wait $pid
[ -n "$signal" ] || rm -rf "$2"`

func startServer(o ServerOptions) (*Server, error) {
	dir, err := os.MkdirTemp("", "dpg") // short: a socket's path has 107 octets
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, dir: dir}
	return s, s.Start()
}

// Start starts the server, after Stop or Kill too, and returns when it takes
// connections.
func (s *Server) Start() error {
	end := time.Now().Add(ready)
	for {
		if err := s.start(); err != nil {
			return err
		}
		err := s.wait(end)
		if !errors.Is(err, errOrphans) {
			return err
		}
		if err := s.end("QUIT"); err != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond) // they see soon that they are orphans
	}
}

// Stop ends the server as pg_ctl stop -m immediate does: it tells its clients,
// and recovers when it is started again.
func (s *Server) Stop() error { return s.end("QUIT") }

// Kill ends the server with SIGKILL. Its processes find out by themselves.
func (s *Server) Kill() error { return s.end("KILL") }

func (s *Server) end(signal string) error {
	_, err := s.orders.WriteString(signal + "\n")
	_ = s.shell.Wait() // says how the server ended
	return errors.Join(err, s.orders.Close())
}

func (s *Server) start() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	s.starts++
	s.shell = exec.CommandContext(context.Background(), "/bin/sh", "-c", script, "sh", bin, s.dir, s.o.Listen, s.log())
	if s.shell.SysProcAttr, err = asPostgres(s.dir); err != nil {
		return err
	}
	stdin, orders, err := os.Pipe()
	if err != nil {
		return err
	}
	s.shell.Stdin, s.orders = stdin, orders
	enter := s.o.Enter
	if enter == nil {
		enter = func(start func() error) error { return start() }
	}
	return errors.Join(enter(s.shell.Start), stdin.Close())
}

// log names the log of this start, in the server's directory.
func (s *Server) log() string { return fmt.Sprintf("log.%d", s.starts) }

// wait returns when the server answers.
func (s *Server) wait(end time.Time) error {
	for time.Now().Before(end) {
		log, _ := os.ReadFile(filepath.Join(s.dir, s.log()))
		switch {
		case bytes.Contains(log, []byte("ready to accept connections")):
			return nil
		case bytes.Contains(log, []byte("pre-existing shared memory block")):
			return errOrphans
		}
		time.Sleep(20 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, s.log()))
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

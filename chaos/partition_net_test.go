//go:build linux

package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// namespace is a network namespace of the test's own. One thread lives in it
// and does there what it is asked to; the namespace ends with the test.
type namespace struct {
	tid   int
	calls chan func()
}

// newNamespace makes one with its loopback up. Where that is not allowed it
// skips the test.
func newNamespace(t *testing.T) *namespace {
	t.Helper()
	n := &namespace{calls: make(chan func())}
	made, gone := make(chan error), make(chan struct{})
	go func() {
		defer close(gone)
		runtime.LockOSThread() // for good: the thread is of no use to others
		n.tid = syscall.Gettid()
		made <- syscall.Unshare(syscall.CLONE_NEWNET)
		for call := range n.calls {
			call()
		}
	}()
	err := <-made
	t.Cleanup(func() {
		close(n.calls)
		<-gone
	})
	if err == nil {
		err = n.ip("link", "set", "lo", "up")
	}
	if err != nil {
		cannot(t, fmt.Errorf("no network namespaces: %w", err))
	}
	return n
}

// cannot skips a test that this machine does not allow, and says so in the
// figures; a program that is only not installed fails it where
// DOMAIND_REQUIRE_SERVERS is set.
func cannot(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("DOMAIND_REQUIRE_SERVERS") == "1" {
		t.Fatal(err)
	}
	figure("partition: SKIPPED, nothing was shown: %v", err)
	t.SkipNow()
}

// do runs what opens sockets or starts processes, inside.
func (n *namespace) do(f func() error) error {
	done := make(chan error)
	n.calls <- func() { done <- f() }
	return <-done
}

// dial connects from inside to an address that needs no look-up.
func (n *namespace) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// ip runs ip(8) of iproute2 inside.
func (n *namespace) ip(args ...string) error {
	var out []byte
	err := n.do(func() (err error) {
		out, err = exec.Command("ip", args...).CombinedOutput()
		return err
	})
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w (Debian: apt-get install iproute2)", err)
	}
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// all runs several commands of ip, one a line.
func (n *namespace) all(lines ...string) error {
	for _, line := range lines {
		if err := n.ip(strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// link is a cable between a hub and another namespace, by which that one
// reaches one address of the hub. It can be cut at the hub's end: the other
// loses packets, and is told nothing.
type link struct {
	hub  *namespace
	name string
}

// connect lays the cable number id.
func connect(t *testing.T, hub, to *namespace, id int, address string) *link {
	t.Helper()
	l := &link{hub: hub, name: "v" + strconv.Itoa(id)}
	near, far := fmt.Sprintf("10.98.%d.1", id), fmt.Sprintf("10.98.%d.2", id)
	err := errors.Join(
		hub.all("link add "+l.name+" type veth peer name p"+l.name+" netns "+strconv.Itoa(to.tid),
			"addr add "+near+"/30 dev "+l.name, "link set "+l.name+" up"),
		to.all("addr add "+far+"/30 dev p"+l.name, "link set p"+l.name+" up", "route add "+address+"/32 via "+near))
	if err != nil {
		cannot(t, err)
	}
	return l
}

func (l *link) cut() error  { return l.hub.ip("link", "set", l.name, "down") }
func (l *link) mend() error { return l.hub.ip("link", "set", l.name, "up") }

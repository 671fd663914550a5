package store

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/domaind/domaind/store/storetest"
)

// cable is a TCP connection to a database that can be made to swallow all that
// is sent: the kernels acknowledge it, and no answer ever comes.
type cable struct {
	listener net.Listener
	target   string
	all      sync.WaitGroup

	mu     sync.Mutex
	frozen chan struct{} // closed when nothing is swallowed any more
	conns  []net.Conn
}

func newCable(t *testing.T, socket string) *cable {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: l, target: socket, frozen: make(chan struct{})}
	close(c.frozen)
	c.all.Go(c.serve)
	t.Cleanup(c.close)
	return c
}

func (c *cable) serve() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := new(net.Dialer).DialContext(context.Background(), "unix", c.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		c.mu.Lock()
		c.conns = append(c.conns, near, far)
		c.mu.Unlock()
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			c.all.Go(func() {
				_, _ = io.Copy(slow{way[0], c}, way[1])
				_ = way[0].Close()
			})
		}
	}
}

// slow passes nothing on while the cable is frozen.
type slow struct {
	net.Conn
	c *cable
}

func (s slow) Write(b []byte) (int, error) {
	s.c.mu.Lock()
	frozen := s.c.frozen
	s.c.mu.Unlock()
	<-frozen
	return s.Conn.Write(b)
}

func (c *cable) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = make(chan struct{})
}

func (c *cable) thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.frozen)
}

func (c *cable) close() {
	_ = c.listener.Close()
	c.mu.Lock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.all.Wait()
}

// behind opens a store whose database is at the end of a cable.
func behind(t *testing.T) (*Store, *cable) {
	t.Helper()
	w := &world{tb: t, dir: t.TempDir(), clock: &clock{}, keys: fakeKeys()}
	w.database, w.key = storetest.New(t, w.dir)
	u, err := url.Parse(w.database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	c := newCable(t, q.Get("host")+"/.s.PGSQL."+q.Get("port"))
	q.Del("host")
	q.Del("port")
	u.Host, u.RawQuery = c.listener.Addr().String(), q.Encode()
	w.database = u.String()
	config := w.config()
	config.Now = nil
	s, err := Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, c
}

// A database that takes what it is sent and answers nothing holds nobody: reads
// and writes end in time, readiness says no, and all goes on when it wakes.
func TestHungDatabase(t *testing.T) {
	if !storetest.Postgres() {
		t.Skip("about PostgreSQL only")
	}
	s, cable := behind(t)
	s.read.patience = &patience{within: time.Second}
	ready := func(want bool) {
		t.Helper()
		for end := time.Now().Add(probeEvery + probeWithin + time.Second); ; {
			err := s.Ready(t.Context())
			if (err == nil) == want && (want || errors.Is(err, ErrUnavailable)) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("ready: %v", err)
			}
			<-time.After(10 * time.Millisecond) // what it said is remembered for a second
		}
	}
	ready(true)

	cable.freeze()
	const callers = 40 // more than there are connections
	late := time.Now().Add(10 * time.Second)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			_, err := s.Domain(context.Background(), Tenant{UserID: "u"}, "a.example")
			if i%2 == 0 {
				err = s.write(context.Background(), func(x *tx) error { _, err := x.exec(`DELETE FROM pace`); return err })
			}
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("a call to a database that hangs: %v", err)
			}
		})
	}
	ready(false)
	all.Wait()
	if time.Now().After(late) {
		t.Error("callers of a database that hangs were held")
	}
	cable.thaw()
	ready(true)
}

// While an address does not answer, one caller waits for it and the others are
// told at once; another address is none of this.
func TestDialRests(t *testing.T) {
	var addresses [2]string
	for i := range addresses {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		addresses[i] = l.Addr().String()
	}
	d := newDialer()
	dial := func(ctx context.Context, address string) error {
		conn, err := d.dial(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := dial(expired, addresses[0]); err == nil || !disconnected(err) {
		t.Fatalf("a dial that ran out of time: %v", err)
	}
	if err := dial(t.Context(), addresses[0]); err == nil {
		t.Error("the next one did not rest")
	}
	if err := dial(t.Context(), addresses[1]); err != nil {
		t.Errorf("another address: %v", err)
	}
	d.lost[addresses[0]].at = time.Now().Add(-restAfterTimeout)
	if d.rest(addresses[0]) != nil || d.rest(addresses[0]) == nil {
		t.Error("not exactly one may try again")
	}
	d.lost[addresses[0]].trying = false
	for range 2 {
		if err := dial(t.Context(), addresses[0]); err != nil {
			t.Errorf("it answers again: %v", err)
		}
	}
}

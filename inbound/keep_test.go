package inbound

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/domaind/domaind/store"
	"github.com/domaind/domaind/store/storetest"
)

func spoolFiles(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}

func (w *world) count1(t *testing.T) int {
	t.Helper()
	list, _, err := w.db.Messages(context.Background(), tenant("u1"), "customer.example", 100, "")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestRetention(t *testing.T) {
	for _, c := range []struct {
		mode   store.ForwardMode
		answer int
		keep   time.Duration
	}{
		{store.ForwardModeStore, 0, 30 * 24 * hour},
		{store.ForwardModeWebhook, 200, 72 * hour},
		{store.ForwardModeWebhookThenStore, 200, 30 * 24 * hour},
		{store.ForwardModeWebhook, 410, 30 * 24 * hour},
	} {
		t.Run(string(c.mode), func(t *testing.T) {
			w, h, _ := hooked(t, c.mode)
			h.status(c.answer)
			w.send(letter(200_000), "bob@customer.example")
			w.once()
			sweep := func() int {
				if _, err := w.db.SweepMail(context.Background()); err != nil {
					t.Fatal(err)
				}
				return w.count1(t)
			}
			w.clock.forward(c.keep - time.Second)
			if sweep() != 1 {
				t.Error("it went too early")
			}
			w.clock.forward(2 * time.Second)
			if sweep() != 0 {
				t.Error("it is there still")
			}
		})
	}
}

func TestDeleteMessageDropsItsFile(t *testing.T) {
	storetest.SQLiteOnly(t) // mail lies in its row
	dir := t.TempDir()
	w := &world{tb: t, clock: &clock{}, db: nil}
	w.clock.ns.Store(time.Now().UnixNano())
	w.db = openStore(t, dir, w.clock.now)
	t.Cleanup(func() { _ = w.db.Close() })
	w.active("u1", "customer.example")
	w.active("u2", "other.example")
	ctx := context.Background()
	add := func(user, domain string) string {
		r, err := w.db.RecipientOf(ctx, domain)
		if err != nil {
			t.Fatal(err)
		}
		r.Address = "bob@" + domain
		body := w.db.NewBody()
		defer body.Close()
		if _, err := body.Write([]byte(letter(100_000))); err != nil {
			t.Fatal(err)
		}
		id, err := w.db.AddMessage(ctx, store.NewMessage{Kind: store.MessageKindMail, Recipients: []store.Recipient{r}}, body)
		if err != nil {
			t.Fatal(err)
		}
		_ = user
		return id
	}
	mine, other := add("u1", "customer.example"), add("u2", "other.example")
	spool := filepath.Join(dir, "spool")
	if n := spoolFiles(t, spool); n != 1 {
		t.Fatalf("%d files of one content", n)
	}
	if err := w.db.DeleteMessage(ctx, tenant("u2"), "customer.example", mine); !errors.Is(err, store.ErrNotFound) {
		t.Error("another user deletes it:", err)
	}
	if err := w.db.DeleteMessage(ctx, tenant("u1"), "customer.example", mine); err != nil {
		t.Fatal(err)
	}
	if got := w.rawOf("u2", "other.example", other); len(got) < 100_000 {
		t.Error("the other message has lost its octets")
	}
	if err := w.db.DeleteMessage(ctx, tenant("u2"), "other.example", other); err != nil {
		t.Fatal(err)
	}
	if n := spoolFiles(t, spool); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestOrphansAreSwept(t *testing.T) {
	storetest.SQLiteOnly(t) // mail lies in its row
	dir := t.TempDir()
	c := &clock{}
	c.ns.Store(time.Now().UnixNano())
	db := openStore(t, dir, c.now)
	defer db.Close()
	orphan := filepath.Join(dir, "spool", "ab", "cd", "abcd"+strings.Repeat("0", 60))
	if err := os.MkdirAll(filepath.Dir(orphan), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(orphan, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{0, 1} {
		if n, err := db.SweepSpool(context.Background()); err != nil || n != want {
			t.Errorf("%d swept, want %d: %v", n, want, err)
		}
		c.forward(2 * hour)
	}
}

// A disk that really is full: the sender keeps what does not fit, and what was
// acknowledged stays.
func TestFullDisk(t *testing.T) {
	storetest.SQLiteOnly(t) // mail lies in its row
	dir := t.TempDir()
	if os.Geteuid() != 0 || syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m") != nil {
		t.Skip("no right to mount a small disk")
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	w := newWorld(t, func(c *Config) {
		_ = c.Store.Close()
		c.Store = openStore(t, dir, time.Now)
		c.FreeSpace = func() (uint64, error) { return 1 << 30, nil }
		t.Cleanup(func() { _ = c.Store.Close() })
	})
	w.db = w.c.Store
	w.active("u1", "customer.example")
	accepted, refused := 0, ""
	for range 60 {
		size := 20_000
		if accepted%3 == 2 {
			size = 300_000
		}
		d := w.dial()
		d.ready("bob@customer.example")
		d.write(letter(size) + ".\r\n")
		code, msg, _ := d.r.ReadResponse(0)
		_ = d.conn.Close()
		if code != 250 {
			refused = msg
			if code != 452 {
				t.Fatalf("%d %s", code, msg)
			}
			break
		}
		accepted++
	}
	if accepted == 0 || refused == "" {
		t.Fatalf("%d accepted, %q", accepted, refused)
	}
	if n := w.count1(t); n != accepted {
		t.Errorf("%d messages of %d", n, accepted)
	}
}

func TestSwaks(t *testing.T) {
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		if os.Getenv("DOMAIND_REQUIRE_SERVERS") != "" {
			t.Fatal("swaks is required here")
		}
		t.Skip("swaks is not installed")
	}
	w, h, _ := hooked(t, store.ForwardModeWebhookThenStore)
	cmd := exec.CommandContext(context.Background(), swaks, "--server", w.addr, "--from", sender,
		"--to", "bob@customer.example", "--header", "Subject: from swaks", "--attach", "@/etc/hostname")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.once()
	if calls := h.calls(); len(calls) != 1 || !strings.Contains(string(calls[0].body), `"subject":"from swaks"`) {
		t.Errorf("%d calls", len(calls))
	}
}

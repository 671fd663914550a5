package chaos

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// diskSize is above the 256 MiB that must be free for mail to be taken.
	diskSize = "size=320m"
	// oneLife is how often a service sees its disk full before it is killed on one.
	oneLife    = 1
	fullWithin = 30 * time.Second
)

// smallDisk mounts a file system in memory.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() != 0 || syscall.Mount("tmpfs", dir, "tmpfs", 0, diskSize) != nil {
		figure("full disk: SKIPPED: no right to mount a small disk")
		t.Skip("no right to mount a small disk")
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill takes all room that is left, and returns the file that has it.
func fill(t *testing.T, disk string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for size := len(block); size >= 4096; {
		if _, err := f.Write(block[:size]); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return f.Name()
}

// live has all clients at work, whatever they are answered, until stop.
func (l *load) live() (stop func()) {
	var all sync.WaitGroup
	var over atomic.Bool
	for _, w := range l.writers {
		all.Go(func() {
			repeat(func() bool { return !over.Load() && w.live() })
		})
	}
	for _, m := range l.senders {
		all.Go(func() {
			for !over.Load() {
				m.step()
			}
			m.hangUp()
		})
	}
	return func() {
		over.Store(true)
		all.Wait()
	}
}

// counted returns a count of each client.
func (l *load) counted(of func(*tally) *atomic.Int64) (list []int64) {
	for _, w := range l.writers {
		list = append(list, of(&w.tally).Load())
	}
	for _, m := range l.senders {
		list = append(list, of(&m.tally).Load())
	}
	return list
}

// await waits until a count of every client is above what it was.
func (l *load) await(t *testing.T, what string, of func(*tally) *atomic.Int64) {
	t.Helper()
	before := l.counted(of)
	eventually(t, fullWithin, what, func() bool {
		for i, n := range l.counted(of) {
			if n <= before[i] {
				return false
			}
		}
		return true
	})
}

func acked(t *tally) *atomic.Int64   { return &t.acked }
func refused(t *tally) *atomic.Int64 { return &t.full }

// TestFullDisk fills the disk under load, again and again: what cannot be
// stored is refused as such, what was acknowledged stays, and all goes on in
// the same process when there is room again.
func TestFullDisk(t *testing.T) {
	n, disk := seed(t), smallDisk(t)
	var fills, lives int
	var sum totals
	var slowest time.Duration
	for end := time.Now().Add(loadTime(t)); time.Now().Before(end) && !t.Failed(); lives++ {
		dir := filepath.Join(disk, "life")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		l := newLoad(t, newServiceIn(t, dir), n+uint64(lives)) //nolint:gosec // any bits will do
		l.begin(t)
		stop := l.live()
		t.Cleanup(stop)
		for range oneLife {
			slowest = max(slowest, l.fullOnce(t, disk))
			fills++
		}
		ballast := fill(t, disk)
		fills++
		l.await(t, "every client is refused", refused)
		l.kill()
		stop()
		l.recover(t, ballast)
		sum = sum.plus(l.totals())
		l.stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if t.Failed() {
		return
	}
	figure("full disk: %d times full, %d of them killed, %d writers, %d senders: %d acknowledged writes, %d acknowledged messages, 0 missing; %d answers 507 or 452, %d others; at work again within %v, without a restart (seed %d)",
		fills, lives, writers, senders, sum.writes, sum.messages, sum.full, sum.refused, slowest.Round(time.Millisecond), n)
	figure("full disk: bound: a full disk that loses something %s, on a file system in memory", bound(fills))
}

// fullOnce fills the disk until every client was refused and the service says
// that it is not ready, and returns how long it took, with room again, until
// every client was at work.
func (l *load) fullOnce(t *testing.T, disk string) time.Duration {
	t.Helper()
	l.await(t, "every client is at work", acked)
	pid, ballast := l.now().PID, fill(t, disk)
	l.await(t, "every client is refused", refused)
	eventually(t, fullWithin, "not ready", func() bool { return l.ready() == http.StatusServiceUnavailable })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	since := time.Now()
	eventually(t, fullWithin, "ready again", func() bool { return l.ready() == http.StatusOK })
	l.await(t, "every client is at work again", acked)
	if l.now().PID != pid {
		t.Error("it is another process")
	}
	return time.Since(since)
}

// recover starts the service that was killed on a full disk, with room again,
// and looks for all that was acknowledged.
func (l *load) recover(t *testing.T, ballast string) {
	t.Helper()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	l.start()
	for _, m := range l.missing() {
		t.Error(m)
	}
}

func (s totals) plus(o totals) totals {
	return totals{s.writes + o.writes, s.messages + o.messages, s.full + o.full, s.refused + o.refused, s.open + o.open}
}

package dkim

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkPoolRefill fills a pool in an idle process: of-raw is its rate as a
// part of that of rsa.GenerateKey alone. How long a key takes varies by a
// factor of ten, so the two are measured by the same keys: what the raw call
// took of each, against what all of the filling took.
func BenchmarkPoolRefill(b *testing.B) {
	p := NewPool(1)
	var raw atomic.Int64
	p.generate = func() (Key, error) {
		start := time.Now()
		private, err := rsa.GenerateKey(rand.Reader, keyBits)
		raw.Add(int64(time.Since(start)))
		if err != nil {
			return Key{}, err
		}
		return newKey(private)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var filling sync.WaitGroup
	filling.Go(func() { p.Run(ctx) })
	<-p.keys // it is warm
	<-p.keys
	before := raw.Load()
	for b.Loop() {
		<-p.keys
	}
	took, alone := b.Elapsed(), time.Duration(raw.Load()-before)
	cancel()
	filling.Wait()
	b.ReportMetric(float64(alone)/float64(took), "of-raw")
	b.ReportMetric(float64(b.N)/alone.Seconds(), "raw-keys/s")
	b.ReportMetric(float64(b.N)/took.Seconds(), "keys/s")
}

func TestRest(t *testing.T) {
	all := time.Duration(runtime.GOMAXPROCS(0))
	const took = 100 * time.Millisecond
	for _, c := range []struct {
		name  string
		used  usage
		makes int
		err   error
		want  time.Duration
	}{
		{name: "idle", used: usage{took, took}, want: 0},
		{name: "clocks disagree", used: usage{took, took + 1}, want: 0},
		{name: "nearly idle", used: usage{took + took/20, took}, want: 0},
		{name: "half busy", used: usage{took + took/20 + all*took/2, took}, want: 4 * took},
		{name: "busy", used: usage{took + all*took, took / 2}, want: 8 * took},
		{name: "more than there is", used: usage{all * time.Hour, took}, want: 8 * took},
		{name: "busy with keys", used: usage{all * took, took}, makes: 1, want: 0},
		{name: "failed", err: errors.New("no randomness"), want: time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewPool(1)
			for range c.makes {
				p.makers <- struct{}{}
			}
			if got := p.rest(took, c.used, c.err); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// The kernel's numbers tell the thread's own work from that of others.
func TestProcessorTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can tell")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := processorTime()
	var done sync.WaitGroup
	done.Go(func() { burn(50 * time.Millisecond) })
	done.Wait()
	after := processorTime()
	if all, own := after.process-before.process, after.thread-before.thread; all < 10*time.Millisecond || own > all/2 {
		t.Errorf("process %s, thread %s", all, own)
	}
}

// burn keeps a thread busy.
func burn(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
		_ = start
	}
}

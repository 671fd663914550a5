package inbound

import (
	"context"
	"flag"
	"fmt"
	"net/smtp"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var benchSMTP = flag.Bool("smtp", false, "measure durable accepts a second")

const (
	benchSessions = 20
	benchSize     = 10 << 10
	benchRound    = 2 * time.Second
)

// TestAcceptRate measures durable accepts a second, 10 KB and 20 sessions,
// against the same receiver that gives each message a transaction of its own.
// The two take turns, so that the machine's mood is the same for both.
func TestAcceptRate(t *testing.T) {
	if !*benchSMTP {
		t.Skip("only with -args -smtp")
	}
	grouped := newWorld(t)
	single := newWorld(t, func(c *Config) {
		var one sync.Mutex
		c.serial = &one
	})
	var sums [2]float64
	const rounds = 3
	for range rounds {
		for i, w := range []*world{grouped, single} {
			sums[i] += acceptRate(t, w)
		}
	}
	fmt.Printf("smtp: %.0f msg/s, %.2f of one-fsync-per-message\n", sums[0]/rounds, sums[0]/sums[1])
}

func acceptRate(t *testing.T, w *world) float64 {
	t.Helper()
	if _, err := w.db.RecipientOf(context.Background(), "customer.example"); err != nil {
		w.active("u1", "customer.example")
	}
	text := letter(benchSize)
	var n atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range benchSessions {
		all.Go(func() {
			c, err := smtp.Dial(w.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for time.Since(began) < benchRound {
				if _, err := sendOne(c, text); err != nil {
					t.Error(err)
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	return float64(n.Load()) / time.Since(began).Seconds()
}

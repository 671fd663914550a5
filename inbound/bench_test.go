package inbound

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	benchSMTP    = flag.Bool("smtp", false, "measure durable accepts a second")
	benchPostfix = flag.String("postfix", os.Getenv("BENCH_POSTFIX"), "address of a Postfix that holds mail, to measure in the same rounds")
)

const (
	benchSessions = 20
	benchSize     = 10 << 10
	benchRound    = 2 * time.Second
)

// TestAcceptRate measures durable accepts a second, 10 KB and 20 sessions,
// against the same receiver that gives each message a transaction of its own.
// The two take turns, so that the machine's mood is the same for both; the
// medians count.
func TestAcceptRate(t *testing.T) {
	if !*benchSMTP {
		t.Skip("only with -args -smtp")
	}
	grouped := newWorld(t)
	single := newWorld(t, func(c *Config) {
		var one sync.Mutex
		c.serial = &one
	})
	var rates, ratios, others []float64
	for range 5 {
		if *benchPostfix != "" {
			others = append(others, acceptRateOf(t, *benchPostfix))
		}
		together, alone := acceptRate(t, grouped), acceptRate(t, single)
		rates, ratios = append(rates, together), append(ratios, together/alone)
	}
	slices.Sort(rates)
	slices.Sort(ratios)
	if slices.Sort(others); len(others) > 0 {
		fmt.Printf("postfix: %.0f msg/s, smtp takes %.2f of it\n", others[2], rates[2]/others[2])
	}
	fmt.Printf("smtp: %.0f msg/s, %.2f of one-fsync-per-message\n", rates[2], ratios[2])
}

func acceptRate(t *testing.T, w *world) float64 {
	t.Helper()
	if _, err := w.db.RecipientOf(context.Background(), "customer.example"); err != nil {
		w.active("u1", "customer.example")
	}
	return acceptRateOf(t, w.addr)
}

func acceptRateOf(t *testing.T, addr string) float64 {
	t.Helper()
	var n atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range benchSessions {
		all.Go(func() {
			if err := pump(addr, began.Add(benchRound), &n); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return float64(n.Load()) / time.Since(began).Seconds()
}

// pump sends messages in one session until the end, pipelined as the extension
// allows (RFC 2920), so that little of what is measured is the client's.
func pump(addr string, end time.Time, n *atomic.Int64) error {
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := textproto.NewReader(bufio.NewReader(conn))
	if _, _, err := r.ReadResponse(220); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "EHLO client.example\r\n"); err != nil {
		return err
	}
	if _, _, err := r.ReadResponse(250); err != nil {
		return err
	}
	commands := "MAIL FROM:<" + sender + ">\r\nRCPT TO:<bob@customer.example>\r\nDATA\r\n"
	text := letter(benchSize) + ".\r\n"
	for time.Now().Before(end) {
		if _, err := io.WriteString(conn, commands); err != nil {
			return err
		}
		for _, code := range []int{250, 250, 354} {
			if _, _, err := r.ReadResponse(code); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(conn, text); err != nil {
			return err
		}
		if _, _, err := r.ReadResponse(250); err != nil {
			return err
		}
		n.Add(1)
	}
	return nil
}

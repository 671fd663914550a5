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

	"github.com/domaind/domaind/store/storetest"
)

var (
	benchSMTP    = flag.Bool("smtp", false, "measure durable accepts a second")
	benchPostfix = flag.String("postfix", os.Getenv("BENCH_POSTFIX"), "address of a Postfix that holds mail, to measure in the same rounds; one of our own by default")
)

const (
	benchSessions = 20
	benchSize     = 10 << 10
	benchRound    = 2 * time.Second
	benchRounds   = 5
)

// TestAcceptRate measures durable accepts a second, 10 KB and 20 sessions,
// against the same receiver that gives each message a transaction of its own,
// and against Postfix where there is one. They take turns, so that the
// machine's mood is the same for all; the medians count.
func TestAcceptRate(t *testing.T) {
	if !*benchSMTP {
		t.Skip("only with -args -smtp")
	}
	grouped := newWorld(t)
	single := newWorld(t, func(c *Config) {
		var one sync.Mutex
		c.serial = &one
	})
	other := holdingPostfix(t)
	var rates, ratios, others, against []float64
	for range benchRounds {
		together, alone := acceptRate(t, grouped), acceptRate(t, single)
		rates, ratios = append(rates, together), append(ratios, together/alone)
		if other != "" {
			rate := acceptRateOf(t, other)
			others, against = append(others, rate), append(against, together/rate)
		}
	}
	name := "smtp"
	if storetest.Postgres() {
		name = "on PostgreSQL"
	}
	if other != "" {
		fmt.Printf("against Postfix: %.0f msg/s, %.2f of Postfix (%.0f msg/s)\n", median(rates), median(against), median(others))
	}
	fmt.Printf("%s: %.0f msg/s, %.2f of one-fsync-per-message\n", name, median(rates), median(ratios))
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// holdingPostfix starts a Postfix that only accepts: what it made durable it
// holds, and it writes no log. It returns its address, "" where there is none
// to start or it was compared before.
func holdingPostfix(t *testing.T) string {
	t.Helper()
	if *benchPostfix != "" {
		return *benchPostfix
	}
	if _, ok := postfixRoot(); !ok || storetest.Postgres() {
		return ""
	}
	return startPostfix(t, postfixOptions{
		routes: map[string]string{"customer.example": over("127.0.0.1:9")}, // never asked
		settings: []string{
			"maillog_file =", "smtpd_recipient_restrictions = check_recipient_access static:HOLD, permit",
			"smtpd_client_connection_count_limit = 0", "smtpd_client_connection_rate_limit = 0",
		},
	}).addr
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

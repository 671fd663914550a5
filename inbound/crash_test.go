package inbound

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/domaind/domaind/store"
)

// childEnv makes the test binary a receiver on the database in that folder: it
// prints its address, and serves and delivers until it is killed.
const childEnv = "DOMAIND_TEST_RECEIVER"

func runChild() bool {
	dir := os.Getenv(childEnv)
	if dir == "" {
		return false
	}
	if err := serveChild(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func serveChild(dir string) error {
	tb := &fatal{}
	s, err := New(context.Background(), Config{
		Store: openStore(tb, dir, time.Now), Hostname: "mx.example.com", Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	go func() { _ = s.Run(context.Background()) }()
	l := listen(tb)
	fmt.Println(l.Addr())
	return s.Serve(l)
}

// fatal ends the process where a test would end.
type fatal struct{ testing.TB }

func (fatal) Helper() {}
func (fatal) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

// startChild starts a receiver and returns its address.
func startChild(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

// ack is a message that was answered with 250.
type ack struct{ id, sum string }

// sendUntilDead sends messages, small and spooled, until the server is gone.
func sendUntilDead(addr string, worker int, got func(ack) bool) {
	c, err := smtp.Dial(addr)
	if err != nil {
		return
	}
	defer c.Close()
	for i := 0; ; i++ {
		size := 2000
		if i%5 == 4 {
			size = 100_000
		}
		text := fmt.Sprintf("X-Number: %d-%d\r\n", worker, i) + letter(size)
		id, err := sendOne(c, text)
		if err != nil {
			return
		}
		sum := sha256.Sum256([]byte(text))
		if !got(ack{id, hex.EncodeToString(sum[:])}) {
			return
		}
	}
}

// sendOne returns the id that the 250 names.
func sendOne(c *smtp.Client, text string) (string, error) {
	if err := c.Mail(sender, nil); err != nil {
		return "", err
	}
	if err := c.Rcpt("bob@customer.example", nil); err != nil {
		return "", err
	}
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return "", err
	}
	reply, err := w.CloseWithResponse()
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(reply.StatusText, "2.0.0 queued as "), nil
}

// Killed at any moment under load, every message that was acknowledged is
// there after the restart, octet by octet.
func TestKilledUnderLoad(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir, time.Now)
	_, _, err := db.CreateDomain(context.Background(), tenant("u1"), store.NewDomain{Name: "customer.example", Unicode: "customer.example"})
	if err != nil {
		t.Fatal(err)
	}
	activate(t, db, "u1", "customer.example")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var acks []ack
	for round := range 3 {
		acks = append(acks, killedRound(t, dir, 60+round*90)...)
	}
	db = openStore(t, dir, time.Now)
	defer db.Close()
	w := &world{tb: t, db: db}
	for _, a := range acks {
		raw := w.rawOf("u1", "customer.example", a.id)
		if sum := sha256.Sum256(raw); hex.EncodeToString(sum[:]) != a.sum {
			t.Errorf("message %s: other octets", a.id)
		}
	}
	t.Logf("%d acknowledged messages", len(acks))
}

// killedRound kills a receiver after so many acknowledgements and returns all
// that there were.
func killedRound(t *testing.T, dir string, after int) []ack {
	t.Helper()
	cmd, addr := startChild(t, dir)
	var mu sync.Mutex
	var acks []ack
	enough := make(chan struct{})
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			sendUntilDead(addr, worker, func(a ack) bool {
				mu.Lock()
				defer mu.Unlock()
				if acks = append(acks, a); len(acks) == after {
					close(enough)
				}
				return true
			})
		})
	}
	stopped := make(chan struct{})
	go func() { all.Wait(); close(stopped) }()
	select {
	case <-enough:
	case <-stopped:
		t.Error("the receiver stopped by itself")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	<-stopped
	return acks
}

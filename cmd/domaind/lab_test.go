package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
	"github.com/domaind/domaind/gen/client"
	"github.com/domaind/domaind/store/storetest"
)

// binary is the program as a user runs it; TestMain builds it.
var binary string

func TestMain(m *testing.M) {
	os.Exit(withBinary(func() int {
		return storetest.Run(m, "^Test(Lifecycle|Demotion|MailOutlivesTheProcess|OperatorIsTold)$")
	}))
}

func withBinary(tests func() int) int {
	dir, err := os.MkdirTemp("", "domaind")
	if err != nil {
		return failed(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "domaind")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return failed(fmt.Errorf("build: %w: %s", err, out))
	}
	return tests()
}

func failed(err error) int {
	_, _ = fmt.Fprintln(os.Stderr, err)
	return 1
}

const (
	labKey  = "lab-admin-key"
	labUser = "user_lab"
	mxHost  = "mx." + lab.Zone
	mxIP    = "192.0.2.10"

	startWithin = 30 * time.Second
	drainWithin = 25 * time.Second
	tick        = 100 * time.Millisecond
)

// service is a running `domaind serve` and a client that speaks to it.
type service struct {
	pid  int
	cmd  *exec.Cmd
	dead bool // killed by the test
	url  string
	smtp string // where it takes mail
	log  *serviceLog
	*client.ClientWithResponses
}

// serveLab starts the program against a lab, with settings that go before the
// lab's own; it ends with the test.
func serveLab(t *testing.T, l *lab.Lab, settings ...string) *service {
	t.Helper()
	if err := l.Update("update add " + mxHost + ". 1 A " + mxIP); err != nil {
		t.Fatal(err)
	}
	return serve(t, append([]string{
		"DOMAIND_API_KEY=" + labKey,
		"DOMAIND_MX_HOST=" + mxHost,
		"DOMAIND_DNS_SERVERS=" + l.Resolver.String(),
		"DOMAIND_RATE_LIMIT=0",
		"DOMAIND_DKIM_POOL=4",
	}, settings...)...)
}

// serve starts the program on a free port with only these settings.
func serve(t *testing.T, settings ...string) *service {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(binary, "serve")
	cmd.Dir = dir
	cmd.Env = append(append([]string{
		"PATH=" + os.Getenv("PATH"),
		"DOMAIND_LISTEN=127.0.0.1:0",
		"DOMAIND_LOG_FORMAT=json",
	}, storetest.Settings(t, dir)...), settings...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := followLog(stderr)
	s := &service{log: log, pid: cmd.Process.Pid, cmd: cmd}
	t.Cleanup(func() {
		if !s.dead {
			stopService(t, cmd, log)
		}
	})
	select {
	case address := <-log.address:
		s.url, s.smtp = "http://"+address, log.smtp
		s.connect(t)
		return s
	case <-log.done:
		t.Fatalf("domaind ended:\n%s", log)
	case <-time.After(startWithin):
		t.Fatalf("domaind does not say where it listens:\n%s", log)
	}
	return nil
}

// connect makes the client and waits until the service is live.
func (s *service) connect(t *testing.T) {
	t.Helper()
	c, err := client.NewClientWithResponses(s.url, client.WithRequestEditorFn(
		func(_ context.Context, r *http.Request) error { r.Header.Set("x-api-key", labKey); return nil }))
	if err != nil {
		t.Fatal(err)
	}
	s.ClientWithResponses = c
	eventually(t, startWithin, "/livez answers", func() bool {
		reply, err := c.GetLivezWithResponse(t.Context())
		return err == nil && reply.StatusCode() == http.StatusOK
	})
}

// kill ends the program as a crash does.
func (s *service) kill() {
	s.dead = true
	_ = s.cmd.Process.Kill()
	<-s.log.done
	_ = s.cmd.Wait()
}

// stopService asks the program to end as an operator does, and shows its log
// when the test failed or the program did not end cleanly.
func stopService(t *testing.T, cmd *exec.Cmd, log *serviceLog) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-log.done:
	case <-time.After(drainWithin):
		_ = cmd.Process.Kill()
		t.Errorf("domaind did not end within %v of SIGTERM", drainWithin)
		<-log.done
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("domaind ended with %v", err)
	}
	if t.Failed() {
		t.Logf("the end of domaind's log:\n%s", log)
	}
}

// serviceLog keeps the end of what the program logs, and finds in it where
// the program listens.
type serviceLog struct {
	address chan string
	smtp    string        // known when address is
	done    chan struct{} // closed when the program closed its log
	mu      sync.Mutex
	lines   [][]byte
	all     bytes.Buffer // what the test searches
}

const keepLines = 40

func followLog(stderr io.Reader) *serviceLog {
	l := &serviceLog{address: make(chan string, 1), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		scanner := bufio.NewScanner(stderr)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			l.add(bytes.Clone(scanner.Bytes()))
		}
	}()
	return l
}

func (l *serviceLog) add(line []byte) {
	l.mu.Lock()
	l.all.Write(append(line, '\n'))
	l.mu.Unlock()
	var entry struct{ Msg, Address, SMTP string }
	if json.Unmarshal(line, &entry) == nil {
		switch entry.Msg {
		case "serving":
			l.smtp = entry.SMTP
			l.address <- entry.Address
		case "request": // polling would leave nothing else
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	l.lines = l.lines[max(0, len(l.lines)-keepLines):]
}

func (l *serviceLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.Join(l.lines, []byte("\n")))
}

// whole returns all that was logged so far.
func (l *serviceLog) whole() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.all.Bytes())
}

// eventually asks until ok says yes, and fails the test when the time is up.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !polled(t.Context(), within, ok) {
		t.Fatalf("not within %v: %s", within, what)
	}
}

// polled reports whether ok said yes in time.
func polled(ctx context.Context, within time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if ok() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

package main_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/domaind/domaind/chaos/process"
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
	if binary, err = process.Build(dir); err != nil {
		return failed(err)
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

	startWithin = process.StartWithin
	tick        = 100 * time.Millisecond
)

// service is a running `domaind serve` and a client that speaks to it.
type service struct {
	pid  int
	url  string
	smtp string // where it takes mail
	log  *process.Log
	dead bool // by the test's doing
	*process.Process
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
	p, err := process.Start(binary, dir, append(storetest.Settings(t, dir), settings...)...)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{Process: p, pid: p.PID, url: p.URL, smtp: p.SMTP, log: p.Log}
	t.Cleanup(func() { s.end(t) })
	s.connect(t)
	return s
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
	s.Kill()
}

// end asks the program, unless it has ended, to end as an operator does, and
// shows its log when the test failed or the program did not end cleanly.
func (s *service) end(t *testing.T) {
	t.Helper()
	if s.dead {
		return
	}
	s.dead = true
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("the end of domaind's log:\n%s", s.log)
	}
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

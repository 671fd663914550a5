package chaos

import (
	"context"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domaind/domaind/chaos/process"
	"github.com/domaind/domaind/gen/client"
)

const (
	adminKey = "chaos-admin-key"
	mxHost   = "mx.mail.example"
	// answerWithin bounds a call, so that a client of a dead service goes on.
	answerWithin = 10 * time.Second
	// deadDNS answers nothing: every verdict is unknown, and changes nothing.
	deadDNS = "127.0.0.1:1"
	tick    = 20 * time.Millisecond
)

// service is one place to run the program: one directory, one database, and
// one process after the other. Workers may use it while it is killed and
// started; they find the process of the moment with now.
type service struct {
	t        *testing.T
	dir      string
	settings []string
	current  atomic.Pointer[instance]
	// enter runs the start of a process where it is to live; nil: here.
	enter func(start func() error) error
	// through is what all calls go through; nil: the plain transport.
	through func(*http.Transport) http.RoundTripper
}

// instance is one process of a service, and a client that speaks to it.
type instance struct {
	*client.ClientWithResponses
	*process.Process
	http *http.Client
	gone bool // by our doing
}

// newService prepares a service on a SQLite file in a directory of its own;
// settings override all that it has. It is not started; what runs when the test
// ends is stopped, and must end cleanly.
func newService(t *testing.T, settings ...string) *service {
	t.Helper()
	return newServiceIn(t, t.TempDir(), settings...)
}

// newServiceIn is newService in a directory that is there.
func newServiceIn(t *testing.T, dir string, settings ...string) *service {
	t.Helper()
	s := &service{t: t, dir: dir, settings: append([]string{
		"DOMAIND_API_KEY=" + adminKey,
		"DOMAIND_DATABASE=" + filepath.Join(dir, "domaind.db"),
		"DOMAIND_MX_HOST=" + mxHost,
		"DOMAIND_SMTP_LISTEN=127.0.0.1:0",
		"DOMAIND_DNS_SERVERS=" + deadDNS,
		"DOMAIND_ALLOW_SPECIAL_USE=true",
		"DOMAIND_RATE_LIMIT=0",
		"DOMAIND_DKIM_POOL=2",
	}, settings...)}
	t.Cleanup(s.stop)
	return s
}

// start runs the program, and returns when it is ready.
func (s *service) start() {
	s.t.Helper()
	p, err := s.launch()
	if err != nil {
		s.t.Fatal(err)
	}
	i := &instance{Process: p, http: &http.Client{Transport: s.transport(), Timeout: answerWithin}}
	i.ClientWithResponses, err = client.NewClientWithResponses(p.URL, client.WithHTTPClient(i.http),
		client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("x-api-key", adminKey)
			return nil
		}))
	if err != nil {
		p.Kill()
		s.t.Fatal(err)
	}
	s.current.Store(i)
	eventually(s.t, process.StartWithin, "ready", func() bool { return s.ready() == http.StatusOK })
}

func (s *service) launch() (p *process.Process, err error) {
	start := func() error {
		p, err = process.Start(binary, s.dir, s.settings...)
		return err
	}
	if s.enter != nil {
		return p, s.enter(start)
	}
	return p, start()
}

func (s *service) transport() http.RoundTripper {
	plain := &http.Transport{MaxIdleConnsPerHost: 64}
	if s.through != nil {
		return s.through(plain)
	}
	return plain
}

// now returns the process of the moment, dead or alive; nil before the first.
func (s *service) now() *instance { return s.current.Load() }

// ready returns the status of the readiness probe, 0 without an answer.
func (s *service) ready() int {
	reply, err := s.now().GetReadyzWithResponse(context.Background())
	if err != nil {
		return 0
	}
	return reply.StatusCode()
}

// kill ends the process as a crash does.
func (s *service) kill() {
	i := s.now()
	i.Kill()
	s.bury(i)
}

// stop ends the process, if there is one, as an operator does. One that has
// ended by itself fails the test.
func (s *service) stop() {
	i := s.now()
	if i == nil || i.gone {
		return
	}
	if err := i.Stop(); err != nil {
		s.t.Error(err)
	}
	s.bury(i)
}

// bury lets go of a process that has ended, and shows its log when something
// is wrong.
func (s *service) bury(i *instance) {
	i.gone = true
	i.http.CloseIdleConnections()
	if i.Log.Raced() {
		s.t.Error("domaind has a data race")
	}
	if s.t.Failed() {
		s.t.Logf("the end of domaind's log:\n%s", i.Log)
	}
}

// eventually asks until ok says yes, and fails the test when the time is up.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	late := time.After(within)
	for !ok() {
		select {
		case <-late:
			t.Fatalf("not within %v: %s", within, what)
		case <-ticker.C:
		}
	}
}

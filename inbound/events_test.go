package inbound

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/domaind/domaind/store"
)

const eventSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// told is a world whose operator has a webhook for events.
type told struct {
	*world
	hook     *hook
	notifier *Notifier
}

func newTold(t *testing.T, change ...func(*NotifierConfig)) *told {
	t.Helper()
	w := newWorld(t)
	h := newHook(t)
	return &told{world: w, hook: h, notifier: w.newNotifier(h.URL+"/events", change...)}
}

func (w *world) newNotifier(url string, change ...func(*NotifierConfig)) *Notifier {
	w.tb.Helper()
	c := NotifierConfig{
		Store: w.db, URL: url, Secret: store.NewSecret(eventSecret), AllowPrivate: loopback(),
		Now: w.clock.now, Rand: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler),
		OnEvent: func(result string) { w.count(w.results, result) },
	}
	for _, f := range change {
		f(&c)
	}
	n, err := NewNotifier(c)
	if err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(n.client.CloseIdleConnections)
	return n
}

func (w *told) tell() int {
	w.tb.Helper()
	n, err := w.notifier.RunOnce(context.Background())
	if err != nil {
		w.tb.Fatal(err)
	}
	return n
}

// tellNext moves the clock to the next event, and past the breaker's pause.
func (w *told) tellNext() bool {
	w.tb.Helper()
	at, err := w.db.NextEvent(context.Background())
	if err != nil {
		w.tb.Fatal(err)
	}
	if at.IsZero() {
		return false
	}
	w.clock.forward(max(at.Sub(w.clock.now()), 0))
	if w.tell() == 0 {
		w.clock.forward(probeEvery)
		w.tell()
	}
	return true
}

// refuseDomain answers 500 to the events of one domain.
func refuseDomain(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte(name)) {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}
}

// signalling answers 200, and says so when there is somebody to hear it.
func signalling(came chan<- struct{}) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) {
		select {
		case came <- struct{}{}:
		default:
		}
	}
}

// news is an event as the operator reads it.
type news struct {
	Type, Timestamp string
	Data            domainEvent
	id              string
}

func (w *told) news() []news {
	w.tb.Helper()
	var list []news
	wh, err := standardwebhooks.NewWebhook(eventSecret)
	if err != nil {
		w.tb.Fatal(err)
	}
	for _, c := range w.hook.calls() {
		if err := wh.VerifyIgnoringTimestamp(c.body, c.header); err != nil {
			w.tb.Error(err)
		}
		e := news{id: c.header.Get("webhook-id")}
		if err := json.Unmarshal(c.body, &e); err != nil {
			w.tb.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

func types(list []news, domain string) []string {
	var out []string
	for _, e := range list {
		if e.Data.Domain == domain {
			out = append(out, e.Type)
		}
	}
	return out
}

func history(w *told, user, domain string) []store.Event {
	w.tb.Helper()
	list, _, err := w.db.Events(context.Background(), tenant(user), domain, 100, "")
	if err != nil {
		w.tb.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// Each event of the history is told once, in its order, with what it is about.
func TestEventsAreTold(t *testing.T) {
	w := newTold(t)
	w.active("u1", "customer.example")
	w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeStore})
	want := history(w, "u1", "customer.example")
	if err := w.db.DeleteDomain(t.Context(), tenant("u1"), "customer.example"); err != nil {
		t.Fatal(err)
	}
	w.tell()
	got := w.news()
	if len(got) != len(want)+1 || got[len(want)].Type != store.EventDomainDeleted {
		t.Fatalf("%v of %v", types(got, "customer.example"), want)
	}
	ids := map[string]bool{}
	for i, e := range want {
		d := got[i].Data
		if got[i].Type != e.Type || d.EventID != e.ID || d.From != e.From || d.To != e.To || d.Actor != e.Actor ||
			d.Detail != e.Detail || d.UserID != "u1" || got[i].Timestamp != stamp(e.At) {
			t.Errorf("%d: told %+v of %+v", i, got[i], e)
		}
		if (e.RecordID != 0) != (d.Record != nil) {
			t.Errorf("%d: record %d, told %+v", i, e.RecordID, d.Record)
		}
		if r := d.Record; r != nil && (r.ID != e.RecordID || r.Purpose == "" || !strings.HasSuffix(r.Name, "customer.example")) {
			t.Errorf("%d: record %+v", i, r)
		}
		ids[got[i].id] = true
	}
	if len(ids) != len(want) {
		t.Errorf("%d ids of %d events", len(ids), len(want))
	}
	for _, need := range []string{store.EventDomainCreated, store.EventDomainActivated, store.EventRecordMarked, store.EventRouteUpdated} {
		if !slices.Contains(types(got, "customer.example"), need) {
			t.Errorf("no %s", need)
		}
	}
	if w.clock.forward(40 * 24 * time.Hour); w.tell() != 0 {
		t.Error("told again")
	}
}

// What is signed is what the reference library takes, within its tolerance of
// five minutes around the time of the try.
func TestEventSignature(t *testing.T) {
	w := newTold(t)
	w.pending("u1", "customer.example")
	w.tell()
	wh, err := standardwebhooks.NewWebhook(eventSecret)
	if err != nil {
		t.Fatal(err)
	}
	c := w.hook.calls()[0]
	if err := wh.Verify(c.body, c.header); err != nil {
		t.Error(err)
	}
	c.body[len(c.body)/2] ^= 1
	if wh.Verify(c.body, c.header) == nil {
		t.Error("the library takes anything")
	}
}

// An endpoint that is down for days loses nothing, and each event keeps its id;
// a domain's next event waits for the one before.
func TestEventEndpointDownForDays(t *testing.T) {
	w := newTold(t)
	w.hook.status(503)
	w.active("u1", "a.example")
	w.active("u2", "b.example")
	began := w.clock.now()
	for w.clock.now().Sub(began) < 3*24*hour {
		w.tellNext()
	}
	down := w.news()
	for _, name := range []string{"a.example", "b.example"} {
		list := types(down, name)
		if len(list) < 5 || slices.ContainsFunc(list, func(s string) bool { return s != store.EventDomainCreated }) {
			t.Errorf("%s: %v", name, list)
		}
	}
	w.hook.status(204)
	for w.tellNext() {
	}
	up := w.news()[len(down):]
	for _, d := range []struct{ user, name string }{{"u1", "a.example"}, {"u2", "b.example"}} {
		var want []string
		for _, e := range history(w, d.user, d.name) {
			want = append(want, e.Type)
		}
		if got := types(up, d.name); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", d.name, got, want)
		}
	}
	if i := slices.IndexFunc(up, func(e news) bool { return e.Data.Domain == "a.example" }); up[i].id != down[0].id && up[i].id != down[1].id {
		t.Error("the first event has another id than its first try")
	}
}

// One domain's refused event does not hold up another domain.
func TestEventsOfOtherDomainsGoOn(t *testing.T) {
	w := newTold(t)
	w.hook.answers(refuseDomain("a.example"))
	w.active("u1", "a.example")
	w.active("u2", "b.example")
	w.tell()
	if got, want := types(w.news(), "b.example"), history(w, "u2", "b.example"); len(got) != len(want) {
		t.Errorf("%d of %d", len(got), len(want))
	}
	if got := types(w.news(), "a.example"); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// After 7 days an event is given up, and nothing is left behind.
func TestEventGivenUp(t *testing.T) {
	w := newTold(t)
	w.hook.status(500)
	w.active("u1", "customer.example")
	began := w.clock.now()
	for w.tellNext() {
	}
	if age := w.clock.now().Sub(began); age < 7*24*hour || age > 7*24*hour+hour {
		t.Errorf("given up after %s", age)
	}
	if w.results[EventDead] == 0 || w.results[EventRetry] < 9 || w.results[EventDelivered] != 0 {
		t.Errorf("%v", w.results)
	}
}

func TestEventAnswers(t *testing.T) {
	for _, c := range []struct {
		name, retryAfter, result string
		code                     int
		wait                     time.Duration
	}{
		{name: "204", code: 204, result: EventDelivered},
		{name: "301", code: 301, result: EventRetry, wait: 5 * time.Second},
		{name: "410", code: 410, result: EventRetry, wait: 5 * time.Second},
		{name: "429", code: 429, retryAfter: "600", result: EventDeferred, wait: 600 * time.Second},
		{name: "500", code: 500, retryAfter: "600", result: EventRetry, wait: 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTold(t)
			w.hook.answers(status(c.code, c.retryAfter))
			if c.code == 301 {
				w.hook.answers(redirect)
			}
			w.pending("u1", "customer.example")
			w.tell()
			if w.results[c.result] != 1 || len(w.hook.calls()) != 1 {
				t.Errorf("%v", w.results)
			}
			next, err := w.db.NextEvent(t.Context())
			if err != nil || next.IsZero() != (c.wait == 0) || c.wait != 0 && next.Sub(w.clock.now()).Round(time.Second) != c.wait {
				t.Errorf("next at %s: %v", next, err)
			}
		})
	}
}

// A process that dies in a try leaves its lease: the next one sends the same
// event again, with the same id, and what the dead one learnt comes too late.
func TestEventAfterACrash(t *testing.T) {
	w := newTold(t)
	w.pending("u1", "customer.example")
	died, err := w.db.DueEvents(t.Context(), 10)
	if err != nil || len(died) != 1 {
		t.Fatal(len(died), err)
	}
	if w.tell() != 0 {
		t.Fatal("sent by two at a time")
	}
	w.tellNext()
	if got := w.news(); len(got) != 1 || got[0].id != died[0].WebhookID() {
		t.Errorf("%v", got)
	}
	if err := w.db.FinishEvent(t.Context(), died[0]); err == nil {
		t.Error("the dead process finished it")
	}
}

func TestEventsToPrivateAddressesAreRefused(t *testing.T) {
	w := newTold(t, func(c *NotifierConfig) { c.AllowPrivate = nil })
	w.pending("u1", "customer.example")
	w.tell()
	if len(w.hook.calls()) != 0 || w.results[EventRetry] != 1 {
		t.Errorf("%d calls, %v", len(w.hook.calls()), w.results)
	}
}

// Run sends what comes while it runs, and ends when it is told to.
func TestNotifierRuns(t *testing.T) {
	w := newTold(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	came := make(chan struct{}, 10)
	w.hook.answers(signalling(came))
	go func() {
		w.notifier.Run(ctx)
		close(ended)
	}()
	w.pending("u1", "customer.example")
	select {
	case <-came:
	case <-time.After(20 * time.Second):
		t.Error("nothing came")
	}
	cancel()
	<-ended
}

package inbound

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/domaind/domaind/store"
)

// eventPoll is the longest sleep of a Notifier: whatever writes an event need
// not know that there is one.
const eventPoll = time.Second

// What became of a try of an event, for NotifierConfig.OnEvent.
const (
	EventDelivered = "delivered"
	EventRetry     = "retry"
	EventDeferred  = "deferred" // the endpoint said when to come back
	EventDead      = "dead"     // given up after 7 days
)

// NotifierConfig is what a Notifier needs. Store, URL and Secret must be set;
// the zero value of every other field is usable.
type NotifierConfig struct {
	// Store has the events; it was opened with SendEvents.
	Store *store.Store
	// URL is the operator's webhook, and Secret signs what it gets: of the form
	// whsec_… decoded as Standard Webhooks says, any other as it is.
	URL    string
	Secret store.Secret
	// AllowPrivate are the prefixes that it may be in although they are not public.
	AllowPrivate []netip.Prefix
	// Roots verify it; nil means those of the system.
	Roots *x509.CertPool
	// Now is the clock of the schedule; nil means time.Now.
	Now func() time.Time
	// Rand gives its jitter, from 0 to below 1; nil means math/rand.
	Rand func() float64
	// Log gets failures; nil means slog.Default.
	Log *slog.Logger
	// OnEvent is told of each try; it may be nil, and must not block.
	OnEvent func(result string)
}

// Notifier tells the operator what happens to the domains: signed webhooks, at
// least once, in the order of each domain. It is safe for concurrent use.
type Notifier struct {
	c      NotifierConfig
	client *http.Client

	mu     sync.Mutex
	fails  int       // in a row
	probed time.Time // when an endpoint that is down was last tried
}

// NewNotifier returns a Notifier that sends nothing before Run.
func NewNotifier(c NotifierConfig) (*Notifier, error) {
	if c.Store == nil || c.URL == "" || c.Secret.Reveal() == "" {
		return nil, errors.New("inbound: Store, URL and Secret are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.OnEvent == nil {
		c.OnEvent = func(string) {}
	}
	return &Notifier{c: c, client: newClient(GuardedDialer(c.AllowPrivate).DialContext, c.Roots)}, nil
}

// Run sends what is due until ctx ends; it returns when the tries in progress
// have ended.
func (n *Notifier) Run(ctx context.Context) {
	defer n.client.CloseIdleConnections()
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopAfter, stop) })()
	var woken time.Time
	for ctx.Err() == nil {
		if now := n.c.Now(); now.Sub(woken) >= sweepEvery {
			woken = now
			if err := n.c.Store.WakeEvents(ctx); err != nil && ctx.Err() == nil {
				n.c.Log.Error("events not woken", "error", err)
			}
		}
		sent, err := n.pass(work)
		if err != nil {
			n.c.Log.Error("events not claimed", "error", err)
		}
		if sent == 0 {
			sleep(ctx, eventPoll)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// RunOnce sends all events that are due, and those that become due by it, and
// returns how many tries it made.
func (n *Notifier) RunOnce(ctx context.Context) (int, error) {
	total := 0
	for {
		sent, err := n.pass(ctx)
		total += sent
		if err != nil || sent == 0 {
			return total, err
		}
	}
}

// pass sends one batch, and returns how many tries it made. While the endpoint
// is down the batch is one event a minute; the others wait without a try.
func (n *Notifier) pass(ctx context.Context) (int, error) {
	next, err := n.c.Store.NextEvent(ctx)
	if err != nil || next.IsZero() || next.After(n.c.Now()) {
		return 0, err
	}
	room := n.room()
	if room == 0 {
		return 0, nil
	}
	jobs, err := n.c.Store.DueEvents(ctx, room)
	var all sync.WaitGroup
	for _, j := range jobs {
		all.Go(func() { n.work(ctx, j) })
	}
	all.Wait()
	return len(jobs), err
}

// room is how many events may be tried now.
func (n *Notifier) room() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.c.Now()
	switch {
	case n.fails < breakAfter:
		return perEndpoint
	case now.Sub(n.probed) < probeEvery:
		return 0
	}
	n.probed = now
	return 1
}

// note learns from a try whether the endpoint is up. It is one endpoint, so
// that all that the breaker of the mail webhooks does is not needed.
func (n *Notifier) note(a posted) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case a.Error == "":
		n.fails = 0
	case !a.asksForPatience():
		if n.fails++; n.fails == breakAfter {
			n.probed = n.c.Now()
		}
	}
}

func (n *Notifier) isDown() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fails >= breakAfter
}

// work makes one try and writes what became of it.
func (n *Notifier) work(ctx context.Context, j store.EventJob) {
	text, err := eventPayload(j)
	if err != nil { // nothing in it can fail to be encoded
		n.c.Log.Error("event not encoded", "event", j.WebhookID(), "error", err)
	}
	a := post(ctx, n.client, outgoing{
		url: n.c.URL, secrets: []store.Secret{n.c.Secret}, id: j.WebhookID(), text: text,
	}, n.c.Now)
	if ctx.Err() != nil {
		return // the lease ends by itself, and the try was not a fair one
	}
	n.note(a)
	result, err := n.finish(context.WithoutCancel(ctx), j, a)
	n.c.OnEvent(result)
	switch {
	case errors.Is(err, store.ErrStale):
		n.c.Log.Info("event was claimed again while it was sent", "event", j.WebhookID())
	case err != nil:
		n.c.Log.Error("event not finished", "event", j.WebhookID(), "error", err)
	case result == EventDead:
		n.c.Log.Warn("event given up", "event", j.WebhookID(), "type", j.Type, "error", a.Error)
		n.drop(context.WithoutCancel(ctx))
	}
}

// drop gives up what waits behind an endpoint that has been down for so long
// that a probe a minute would never come to an end with it.
func (n *Notifier) drop(ctx context.Context) {
	if !n.isDown() {
		return
	}
	switch dropped, err := n.c.Store.DropEvents(ctx); {
	case err != nil:
		n.c.Log.Error("events not dropped", "error", err)
	case dropped > 0:
		n.c.Log.Warn("events given up", "events", dropped)
	}
}

// finish writes what becomes of an event after a try, and says it in one word.
// The schedule is that of the webhooks for mail, by the age of the event, so
// that an endpoint that is gone for good leaves no more than 7 days of them.
func (n *Notifier) finish(ctx context.Context, j store.EventJob, a posted) (string, error) {
	if a.Error == "" {
		return EventDelivered, n.c.Store.FinishEvent(ctx, j)
	}
	now := n.c.Now()
	if next := now.Add(a.retryAfter); a.asksForPatience() && next.Before(j.At.Add(webhookSchedule().end)) {
		return EventDeferred, n.c.Store.RetryEvent(ctx, j, j.Tries, next)
	}
	if next, more := webhookSchedule().next(j.At, now, j.Tries+1, n.c.Rand()); more {
		return EventRetry, n.c.Store.RetryEvent(ctx, j, j.Tries+1, next)
	}
	return EventDead, n.c.Store.FinishEvent(ctx, j)
}

// domainEvent is the data of an event. Its members are part of the contract.
type domainEvent struct {
	Schema         int          `json:"schema"`
	EventID        int64        `json:"event_id"`
	Domain         string       `json:"domain"`
	UserID         string       `json:"user_id"`
	OrganizationID string       `json:"organization_id,omitempty"`
	Record         *eventRecord `json:"record,omitempty"`
	From           string       `json:"from"`
	To             string       `json:"to"`
	Actor          string       `json:"actor"`
	Detail         string       `json:"detail"`
}

type eventRecord struct {
	ID         int64  `json:"id"`
	RecordType string `json:"record_type"`
	Purpose    string `json:"purpose"`
	Name       string `json:"name"`
}

// eventPayload is the same on every try.
func eventPayload(j store.EventJob) ([]byte, error) {
	d := domainEvent{
		Schema: 1, EventID: j.ID, Domain: j.Domain, UserID: j.UserID, OrganizationID: j.OrganizationID,
		From: j.From, To: j.To, Actor: j.Actor, Detail: j.Detail,
	}
	if j.RecordID != 0 {
		d.Record = &eventRecord{ID: j.RecordID, RecordType: j.RecordType, Purpose: j.RecordPurpose, Name: j.RecordName}
	}
	return encode(body{Type: j.Type, Timestamp: stamp(j.At), Data: d})
}

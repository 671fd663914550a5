package inbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/domaind/domaind/store"
)

const (
	// pollEvery is the longest sleep: another process may have made work.
	pollEvery = 5 * time.Second
	// sweepEvery is how often mail whose time is over is removed.
	sweepEvery = 5 * time.Minute
	// stopAfter is how long tries in progress may go on after the end of Run.
	stopAfter = 10 * time.Second
	// faultWait is how long a delivery waits after a fault of our own.
	faultWait = time.Minute
)

// How long mail is kept after its delivery ended.
const (
	keepDelivered = 72 * time.Hour
	keepFailed    = 30 * 24 * time.Hour
)

const (
	// perUser is how many tries the mail of one user gets at a time: slow
	// endpoints of one must leave workers to the others.
	perUser = 8
	// largeMessage is from where on a message has to wait for room in memory, of
	// which there is largeRoom, for largePerUser of one user; a try holds a
	// message several times.
	largeMessage = 1 << 20
	largeRoom    = 128 << 20
	largePerUser = 2
)

// Run sweeps, and makes the deliveries that are due until ctx ends; it returns
// when those in progress have ended.
func (s *Server) Run(ctx context.Context) error {
	if n, err := s.c.Store.SweepSpool(ctx); err != nil {
		s.c.Log.Error("spool not swept", "error", err)
	} else if n > 0 {
		s.c.Log.Info("spool swept", "files", n)
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	p := &pool{s: s, ctx: work, free: make(chan struct{}, s.c.Workers)}
	var swept time.Time
	for ctx.Err() == nil {
		if now := s.c.Now(); now.Sub(swept) >= sweepEvery {
			swept = now
			if _, err := s.c.Store.SweepMail(ctx); err != nil && ctx.Err() == nil {
				s.c.Log.Error("mail not swept", "error", err)
			}
		}
		if p.fill(ctx) {
			continue
		}
		p.sleep(ctx)
	}
	timer := time.AfterFunc(stopAfter, stop)
	defer timer.Stop()
	p.running.Wait()
	return nil
}

// RunOnce makes all deliveries that are due, and those that become due by it,
// and returns how many it worked on.
func (s *Server) RunOnce(ctx context.Context) (int, error) {
	total := 0
	for {
		jobs, err := s.c.Store.DueDeliveries(ctx, s.c.Workers)
		if err != nil || len(jobs) == 0 {
			return total, err
		}
		var all sync.WaitGroup
		for _, j := range jobs {
			all.Go(func() { s.work(ctx, j) })
		}
		all.Wait()
		total += len(jobs)
	}
}

// pool runs deliveries, at most as many at a time as free has room for.
type pool struct {
	s       *Server
	ctx     context.Context //nolint:containedctx // that of the tries, which outlives Run's
	free    chan struct{}
	running sync.WaitGroup
}

// fill starts what is due and reports whether there may be more.
func (p *pool) fill(ctx context.Context) bool {
	room := cap(p.free) - len(p.free)
	if room == 0 {
		return false
	}
	next, err := p.s.c.Store.NextDelivery(ctx)
	if err != nil || next.IsZero() || next.After(p.s.c.Now()) {
		return false
	}
	jobs, err := p.s.c.Store.DueDeliveries(ctx, room)
	if err != nil {
		if ctx.Err() == nil {
			p.s.c.Log.Error("deliveries not claimed", "error", err)
		}
		return false
	}
	for _, j := range jobs {
		p.free <- struct{}{}
		p.running.Go(func() {
			defer func() {
				<-p.free
				p.s.Wake()
			}()
			p.s.work(p.ctx, j)
		})
	}
	return len(jobs) > 0
}

// sleep waits for work: a message, a free worker, or the time of a delivery.
func (p *pool) sleep(ctx context.Context) {
	wait := pollEvery
	if next, err := p.s.c.Store.NextDelivery(ctx); err == nil && !next.IsZero() {
		// At least a little: all workers may be busy with what is due.
		wait = max(min(next.Sub(p.s.c.Now()), pollEvery), 20*time.Millisecond)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.s.wake:
	case <-timer.C:
	}
}

// work makes one try and writes what became of it.
func (s *Server) work(ctx context.Context, j store.DeliveryJob) {
	ctx, done := s.tracedTry(ctx)
	o := s.try(ctx, j)
	if ctx.Err() != nil && o.State == store.DeliveryStateQueued {
		return // the lease ends by itself, and the try was not a fair one
	}
	done(o.Mode, resultOf(o))
	err := s.c.Store.FinishDelivery(context.WithoutCancel(ctx), j, o)
	switch {
	case errors.Is(err, store.ErrStale):
		s.c.Log.Info("delivery changed while it was tried", "delivery", j.ID)
	case err != nil:
		s.c.Log.Error("delivery not finished", "delivery", j.ID, "error", err)
	}
	if o.Notice != nil {
		s.Wake()
	}
}

func resultOf(o store.Outcome) string {
	switch {
	case o.State != store.DeliveryStateQueued:
		return string(o.State)
	case o.Attempt != nil:
		return "retry"
	default:
		return "deferred"
	}
}

// try returns what becomes of a claimed delivery. A panic is a fault like any
// other: the delivery waits, and uses up its schedule.
func (s *Server) try(ctx context.Context, j store.DeliveryJob) (o store.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			s.c.Log.Error("delivery panicked", "delivery", j.ID, "panic", fmt.Sprint(p))
			o = s.retry(j, j.Mode, &store.Attempt{At: s.c.Now(), Error: "internal error"})
		}
	}()
	wait, leave := s.admit(j)
	if leave == nil {
		return s.wait(j, s.spread(wait))
	}
	defer leave()
	raw, err := s.raw(ctx, j)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s.octetsGone(j)
	case err != nil:
		s.c.Log.Error("message not read", "delivery", j.ID, "error", err)
		return s.wait(j, faultWait)
	}
	return s.obey(ctx, j, raw)
}

// admit lets a try take its share of workers and memory, which leave gives
// back; a nil leave says how long to wait for it.
func (s *Server) admit(j store.DeliveryJob) (wait time.Duration, leave func()) {
	share, most := "user "+j.UserID, perUser
	size := min(j.Message.Bytes, largeRoom)
	if size <= largeMessage {
		size = 0
	} else {
		share, most = "large "+j.UserID, largePerUser
	}
	wait, ok := s.breaker.enter(share, most)
	if !ok {
		return wait, nil
	}
	if !s.large.TryAcquire(size) {
		s.breaker.leave(share, false, false)
		return time.Second, nil
	}
	return 0, func() {
		s.large.Release(size)
		s.breaker.leave(share, false, false)
	}
}

// octetsGone is what becomes of a delivery whose message is not in the spool,
// as after a restore without it: an end, in time, and not a try each minute. The
// store has logged it.
func (s *Server) octetsGone(j store.DeliveryJob) store.Outcome {
	if j.State == store.DeliveryStateStored {
		return s.stored(j)
	}
	return s.retry(j, j.Mode, &store.Attempt{At: s.c.Now(), Error: "the message is not in the spool"})
}

// spread makes a wait up to twice as long, so that a backlog does not come back
// as one wave.
func (s *Server) spread(wait time.Duration) time.Duration {
	return wait + time.Duration(s.c.Rand()*float64(max(wait, time.Second)))
}

// obey makes one try by the route as it is now.
func (s *Server) obey(ctx context.Context, j store.DeliveryJob, raw []byte) store.Outcome {
	if j.Target != "" {
		return s.forwardNotice(ctx, j, raw)
	}
	if j.State == store.DeliveryStateStored { // only to be judged
		s.authOf(ctx, j, raw)
		return s.stored(j)
	}
	route, err := s.c.Store.DeliveryRoute(ctx, j.DomainID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s.hold(j, j.Mode, store.HoldDomainDeleted)
	case err != nil:
		s.c.Log.Error("route not read", "delivery", j.ID, "error", err)
		return s.wait(j, faultWait)
	}
	switch route.Mode {
	case store.ForwardModeStore:
		s.authOf(ctx, j, raw)
		return s.stored(j)
	case store.ForwardModeForwardEmail:
		if j.Mode != store.ForwardModeForwardEmail {
			// Its lease is that of a shorter try: it must be claimed as what it is now.
			o := s.wait(j, 0)
			o.Mode = store.ForwardModeForwardEmail
			return o
		}
		return s.forward(ctx, j, route, raw)
	default:
		return s.webhook(ctx, j, route, raw)
	}
}

func (s *Server) raw(ctx context.Context, j store.DeliveryJob) ([]byte, error) {
	r, err := s.c.Store.RawOf(ctx, j.MessageID)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// stored ends a delivery that only has to be readable here.
func (s *Server) stored(j store.DeliveryJob) store.Outcome {
	return store.Outcome{
		State: store.DeliveryStateStored, Mode: store.ForwardModeStore, Tries: j.Tries,
		KeepUntil: s.keep(j, s.c.Store.Retention()),
	}
}

// keep is until when a delivery is kept that ends now: never shorter than what
// was promised when it was accepted.
func (s *Server) keep(j store.DeliveryJob, after time.Duration) time.Time {
	until := s.c.Now().Add(after)
	if j.State == store.DeliveryStateStored && !j.KeepUntil.IsZero() {
		return j.KeepUntil
	}
	if j.KeepUntil.After(until) {
		return j.KeepUntil
	}
	return until
}

// wait puts a delivery off that was not tried.
func (s *Server) wait(j store.DeliveryJob, d time.Duration) store.Outcome {
	return store.Outcome{
		State: j.State, Mode: j.Mode, Tries: j.Tries, Thin: j.Thin, KeepUntil: j.KeepUntil,
		NextAt: s.c.Now().Add(d),
	}
}

// hold keeps a delivery for a person to look at.
func (s *Server) hold(j store.DeliveryJob, mode store.ForwardMode, why string) store.Outcome {
	return store.Outcome{
		State: store.DeliveryStateHeld, Hold: why, Mode: mode, Tries: j.Tries, Thin: j.Thin,
		KeepUntil: s.keep(j, max(keepFailed, s.c.Store.Retention())),
	}
}

// retry is a try that failed: the next one, or the end.
func (s *Server) retry(j store.DeliveryJob, mode store.ForwardMode, a *store.Attempt) store.Outcome {
	o := store.Outcome{
		State: store.DeliveryStateQueued, Mode: mode, Tries: j.Tries + 1, Thin: j.Thin,
		Attempt: a, KeepUntil: j.KeepUntil,
	}
	steps, ended := webhookSchedule(), store.DeliveryStateDead
	if mode == store.ForwardModeForwardEmail {
		steps, ended = forwardSchedule(), store.DeliveryStateFailed
	}
	next, more := steps.next(j.Since, s.c.Now(), o.Tries, s.c.Rand())
	if more {
		o.NextAt = next
		return o
	}
	o.State, o.KeepUntil = ended, s.keep(j, keepFailed)
	return o
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/inbound"
	"github.com/domaind/domaind/server"
	"github.com/domaind/domaind/store"
)

// How long the end of the service may take, by stage: together below the 20 s
// after which a supervisor may lose patience. Deliveries in progress end beside
// the requests.
const (
	drainRequests = 15 * time.Second
	drainChecks   = 3 * time.Second
)

// sweepEvery is how often what has outlived its time is removed.
const sweepEvery = time.Hour

// app is the running service: every part with its owner.
type app struct {
	log      *slog.Logger
	access   *bufferedLog
	listener net.Listener
	smtp     []mailListener // none: no mail is taken
	mail     *inbound.Server
	notifier *inbound.Notifier // nil: nobody is told of events
	dns      *dnsStack
	pool     *dkim.Pool
	store    *store.Store
	monitor  *dnscheck.Monitor
	server   *server.Server
	traces   *traces // nil: nobody collects them
}

// logs are where the service speaks: one logger for what happens, one writer
// for the access log.
type logs struct {
	service *slog.Logger
	access  io.Writer
}

// newApp wires the service and listens. On an error nothing is left open.
func newApp(ctx context.Context, c serveCmd, logs logs) (_ *app, err error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	service, err := c.service()
	if err != nil {
		return nil, err
	}
	a := &app{access: newBufferedLog(logs.access)}
	if a.traces, err = newTraces(ctx, logs.service); err != nil {
		return nil, err
	}
	log := a.traces.logs(logs.service.Handler())
	a.log = log
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	metrics := newMetrics()
	if a.dns, err = newDNS(c.dnsFlags, c.expectFlags, metrics.query); err != nil {
		return nil, err
	}
	a.pool = dkim.NewPool(c.DKIMPool)
	config := c.storeFlags.config()
	config.Service, config.NewKey, config.Log = service, a.pool.Take, log
	config.MessageRetention, config.SendEvents = c.MessageRetention, c.sendsEvents()
	config.Schedule = store.Schedule{Unit: c.CheckMin, DemoteAfter: c.DemoteAfter, PendingFor: c.PendingFor}
	if a.store, err = openStore(ctx, config); err != nil {
		return nil, err
	}
	a.dns.config.Log = log
	a.monitor = dnscheck.NewMonitor(dnscheck.MonitorConfig{
		Checker: dnscheck.NewChecker(a.dns.config), Queue: a.store, Concurrency: c.Concurrency,
		Poll: min(time.Second, c.CheckMin), Grace: drainChecks, Observer: a.traces.observe(metrics.observer()), Log: log,
	})
	if err := metrics.watch(a.pool, a.store); err != nil {
		return nil, err
	}
	if a.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen); err != nil {
		return nil, fmt.Errorf("DOMAIND_LISTEN (--listen): %w", err)
	}
	public := c.publicURL(a.addr())
	if err := a.newMail(ctx, c, mailParts{
		store: a.store, resolver: a.dns.config.Shared, metrics: metrics, hostname: service.MXHost, publicURL: public,
	}); err != nil {
		return nil, err
	}
	if err := a.newNotifier(c, metrics); err != nil {
		return nil, err
	}
	if a.server, err = server.New(server.Config{
		Store: a.store, CheckNow: a.monitor.CheckNow, Wake: a.monitor.Wake, Service: service,
		TestEndpoint: a.mail.TestRoute, WakeDelivery: a.mail.Wake, ForwardingOff: c.Relay == off, PublicURL: public,
		NameServers: nameServers(a.dns.config.Shared),
		Policy:      c.policy(service), PrivateWebhooks: c.AllowPrivateWebhooks,
		TrustedProxies: c.TrustedProxies, BootstrapKey: c.APIKey, RateLimit: c.RateLimit,
		Log: log, AccessLog: a.traces.logs(c.handler(a.access)), Tracer: a.traces.spans(),
		Registry: metrics.registry, Version: version(),
	}); err != nil {
		return nil, err
	}
	return a, nil
}

// addr returns where the API listens.
func (a *app) addr() net.Addr { return a.listener.Addr() }

// run serves until ctx ends, then drains: it says that it is not ready, lets
// requests, messages, deliveries and checks in flight end, and closes everything.
func (a *app) run(ctx context.Context) error {
	defer a.close()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	delivering, hold := context.WithCancel(background)
	defer hold()
	var running sync.WaitGroup
	running.Go(func() { a.pool.Run(background) })
	running.Go(func() { a.monitor.Run(background) })
	running.Go(func() { a.access.run(background) })
	running.Go(func() { a.sweep(background) })
	running.Go(func() {
		if err := a.mail.Run(delivering); err != nil {
			a.log.Error("deliveries ended", "error", err)
		}
	})
	if a.notifier != nil {
		running.Go(func() { a.notifier.Run(delivering) })
	}

	httpServer := a.server.HTTPServer()
	ended := a.serve(httpServer)
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		a.log.Info("draining")
	}
	a.server.Drain()
	hold()
	err = errors.Join(err, a.shutdown(httpServer))
	for served := range ended {
		err = errors.Join(err, served)
	}
	a.monitor.Close()
	stop()
	running.Wait()
	return err
}

// serve takes requests and mail. The channel has why each ended, nil when it
// was told to, and is closed after the last.
func (a *app) serve(web *http.Server) <-chan error {
	ended := make(chan error, 1+len(a.smtp))
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := web.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			ended <- fmt.Errorf("serve: %w", err)
		}
	})
	for _, l := range a.smtp {
		serving.Go(func() {
			take := a.mail.Serve
			if l.lmtp {
				take = a.mail.ServeLMTP
			}
			if err := take(l); err != nil {
				ended <- fmt.Errorf("serve SMTP: %w", err)
			}
		})
	}
	go func() {
		serving.Wait()
		close(ended)
	}()
	return ended
}

// shutdown lets the requests and the messages in flight end; those that do not
// are cut off.
func (a *app) shutdown(web *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainRequests)
	defer cancel()
	mail := make(chan error, 1)
	go func() { mail <- a.mail.Shutdown(ctx) }()
	err := web.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("drain: %w", err), web.Close())
	}
	if cut := <-mail; cut != nil {
		err = errors.Join(err, fmt.Errorf("drain SMTP: %w", cut))
	}
	return err
}

// sweep removes what has outlived its time, now and then.
func (a *app) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if _, err := a.store.Sweep(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("store not swept", "error", err)
		}
		if a.notifier == nil {
			a.dropEvents(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// dropEvents removes what an earlier process with a webhook left unsent.
func (a *app) dropEvents(ctx context.Context) {
	switch n, err := a.store.DropEvents(ctx); {
	case err != nil && ctx.Err() == nil:
		a.log.Error("events not dropped", "error", err)
	case n > 0:
		a.log.Warn("events dropped: there is no webhook for them", "events", n)
	}
}

// close releases what newApp opened, as far as it got.
func (a *app) close() {
	if a.listener != nil {
		_ = a.listener.Close()
	}
	for _, l := range a.smtp {
		_ = l.Close()
	}
	if a.mail != nil {
		_ = a.mail.Close()
	}
	if a.dns != nil {
		a.dns.Close()
	}
	if a.store != nil {
		if err := a.store.Close(); err != nil {
			a.log.Error("closing the database failed", "error", err)
		}
	}
	a.traces.close()
	a.access.flush()
}

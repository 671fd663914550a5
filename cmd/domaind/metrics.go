package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/store"
)

// metrics are the numbers of the parts below the server. No label carries a
// domain, a user or a key.
type metrics struct {
	registry *prometheus.Registry
	checks   *prometheus.CounterVec
	queries  *prometheus.CounterVec
	lag      prometheus.Histogram
	breaker  prometheus.Gauge
	stale    prometheus.Counter

	accepted   prometheus.Counter
	refused    *prometheus.CounterVec
	deliveries *prometheus.CounterVec
	events     *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "domaind_checks_total", Help: "Records judged, by verdict.",
		}, []string{"verdict"}),
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "domaind_dns_queries_total", Help: "DNS queries that ended, by rcode (or TIMEOUT, ERROR, SUSPECT, MALFORMED, BLOCKED) and transport.",
		}, []string{"rcode", "transport"}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "domaind_check_lag_seconds", Help: "How late scheduled checks started.",
			Buckets: []float64{.01, .1, .5, 1, 5, 15, 60, 300, 1800, 7200},
		}),
		breaker: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "domaind_dns_breaker_open", Help: "1 while our resolver is taken to be ill and nothing is judged.",
		}),
		stale: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "domaind_checks_stale_total", Help: "Checks whose result came too late: another replica, or a check-now, had claimed the domain.",
		}),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "domaind_messages_accepted_total", Help: "Messages made durable and answered with 250.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "domaind_messages_refused_total", Help: "Mail that was refused, for now or for good, by reason.",
		}, []string{"reason"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "domaind_deliveries_total", Help: "Deliveries worked on, by the route's mode and what became of them.",
		}, []string{"mode", "result"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "domaind_event_deliveries_total", Help: "Tries of the webhook for events, by what became of them.",
		}, []string{"result"}),
	}
	m.registry.MustRegister(m.checks, m.queries, m.lag, m.breaker, m.stale, m.accepted, m.refused, m.deliveries, m.events,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// query counts one DNS query that ended.
func (m *metrics) query(rcode, transport string) {
	m.queries.WithLabelValues(rcode, transport).Inc()
}

// observer returns what the monitor tells its numbers to.
func (m *metrics) observer() dnscheck.Observer {
	return dnscheck.Observer{
		CheckDone: func(r dnscheck.Report) {
			for _, result := range r.Results {
				m.checks.WithLabelValues(string(result.Verdict)).Inc()
			}
		},
		Stale: m.stale.Inc,
		Lag:   func(d time.Duration) { m.lag.Observe(max(d.Seconds(), 0)) },
		BreakerOpen: func(open bool) {
			m.breaker.Set(0)
			if open {
				m.breaker.Set(1)
			}
		},
	}
}

// accept counts one message that was taken.
func (m *metrics) accept() { m.accepted.Inc() }

// refuse counts one refusal.
func (m *metrics) refuse(reason string) { m.refused.WithLabelValues(reason).Inc() }

// delivery counts one delivery that was worked on.
func (m *metrics) delivery(mode store.ForwardMode, result string) {
	m.deliveries.WithLabelValues(string(mode), result).Inc()
}

// event counts one try of the webhook for events.
func (m *metrics) event(result string) { m.events.WithLabelValues(result).Inc() }

// watch adds the numbers that are read when somebody asks for them.
func (m *metrics) watch(pool *dkim.Pool, db *store.Store) error {
	return m.registry.Register(&gauges{pool: pool, store: db})
}

var (
	poolKeys = prometheus.NewDesc("domaind_dkim_pool_keys", "DKIM keys kept ready.", nil, nil)
	domains  = prometheus.NewDesc("domaind_domains", "Domains, by status.", []string{"status"}, nil)
	oldest   = prometheus.NewDesc("domaind_check_overdue_seconds", "How late the most overdue check is.", nil, nil)
	held     = prometheus.NewDesc("domaind_demotions_held", "Demotions that the sweep guard holds back.", nil, nil)
	queued   = prometheus.NewDesc("domaind_delivery_queue", "Deliveries that wait to be made.", nil, nil)
	walBytes = prometheus.NewDesc("domaind_database_wal_bytes", "Size of SQLite's write-ahead log; it grows while some process has a read transaction open.", nil, nil)
	freeRoom = prometheus.NewDesc("domaind_storage_free_bytes", "What the file system of the spool has left.", nil, nil)
	longest  = prometheus.NewDesc("domaind_delivery_oldest_seconds", "How long the oldest of them has waited.", nil, nil)
)

// gauges reads the state of the pool and of the store.
type gauges struct {
	pool  *dkim.Pool
	store *store.Store
}

// statsTimeout bounds what a scrape may ask of the database.
const statsTimeout = 2 * time.Second

func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolKeys, domains, oldest, held, queued, longest, walBytes, freeRoom} {
		out <- d
	}
}

func (g *gauges) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(poolKeys, prometheus.GaugeValue, float64(g.pool.Len()))
	g.collectDisk(out)
	ctx, cancel := context.WithTimeout(context.Background(), statsTimeout)
	defer cancel()
	stats, err := g.store.Stats(ctx)
	if err != nil {
		return // a scrape shows what there is; /readyz says that the database is gone
	}
	for status, n := range stats.Domains {
		out <- prometheus.MustNewConstMetric(domains, prometheus.GaugeValue, float64(n), string(status))
	}
	out <- prometheus.MustNewConstMetric(oldest, prometheus.GaugeValue, stats.DueLag.Seconds())
	out <- prometheus.MustNewConstMetric(held, prometheus.GaugeValue, float64(stats.DemotionsHeld))
	g.collectQueue(ctx, out)
}

// collectDisk needs no database.
func (g *gauges) collectDisk(out chan<- prometheus.Metric) {
	if n, ok := g.store.WALBytes(); ok {
		out <- prometheus.MustNewConstMetric(walBytes, prometheus.GaugeValue, float64(n))
	}
	if n, err := g.store.FreeSpace(); err == nil {
		out <- prometheus.MustNewConstMetric(freeRoom, prometheus.GaugeValue, float64(n))
	}
}

func (g *gauges) collectQueue(ctx context.Context, out chan<- prometheus.Metric) {
	n, since, err := g.store.QueueDepth(ctx)
	if err != nil {
		return
	}
	age := 0.0
	if !since.IsZero() {
		age = max(time.Since(since).Seconds(), 0)
	}
	out <- prometheus.MustNewConstMetric(queued, prometheus.GaugeValue, float64(n))
	out <- prometheus.MustNewConstMetric(longest, prometheus.GaugeValue, age)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/domaind/domaind/dnscheck"
)

// flushTraces bounds what the end of the service waits for a collector.
const flushTraces = 1500 * time.Millisecond

// The variables of the OpenTelemetry SDK that decide here; it reads the rest
// by itself.
const (
	otlpEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	otlpTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	otlpProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	otlpTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// traces send spans to a collector.
type traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	log      *slog.Logger
}

// newTraces returns nil when the environment names no endpoint: then there is
// neither a provider nor a goroutine, and no part makes spans.
func newTraces(ctx context.Context, log *slog.Logger) (*traces, error) {
	variable, endpoint := firstSet(otlpTracesEndpoint, otlpEndpoint)
	if endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return nil, nil
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s: is no http or https URL", variable) // which may have a password in it
	}
	if variable, protocol := firstSet(otlpTracesProtocol, otlpProtocol); protocol != "" && protocol != "http/protobuf" {
		return nil, fmt.Errorf("%s: %q is not spoken, only http/protobuf", variable, protocol)
	}
	// What the SDK says of itself. Its own logger would print header fields that
	// it cannot parse, and so a secret.
	otel.SetLogger(logr.Discard())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces", "error", err) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	// The last wins: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "domaind"), attribute.String("service.version", version())), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&quietExporter{SpanExporter: exporter, log: log}), sdktrace.WithResource(about))
	return &traces{provider: provider, tracer: provider.Tracer("github.com/domaind/domaind"), log: log}, nil
}

// firstSet returns the first variable that is set to something, and its value.
func firstSet(variables ...string) (variable, value string) {
	for _, v := range variables {
		if value := os.Getenv(v); value != "" {
			return v, value
		}
	}
	return "", ""
}

// quietExporter says once that the collector cannot be reached, and once that
// it can be again.
type quietExporter struct {
	sdktrace.SpanExporter
	log    *slog.Logger
	failed atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter.
func (e *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch was := e.failed.Swap(err != nil); {
	case err != nil && !was:
		e.log.Warn("traces not sent", "error", err)
	case err == nil && was:
		e.log.Info("traces are sent again")
	}
	return nil // it has been said
}

// close sends what waits, within flushTraces.
func (t *traces) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTraces)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.log.Warn("traces not closed", "error", err)
	}
}

// spans returns what makes spans, nil for nothing.
func (t *traces) spans() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// logs returns a logger whose lines have the trace that they belong to.
func (t *traces) logs(h slog.Handler) *slog.Logger {
	if t == nil {
		return slog.New(h)
	}
	return slog.New(tracedLog{h})
}

// observe adds a span of each check to an observer.
func (t *traces) observe(o dnscheck.Observer) dnscheck.Observer {
	if t != nil {
		o.Check = t.check
	}
	return o
}

// check starts the span of one check, which ends with how often it came to
// which verdict.
func (t *traces) check(ctx context.Context, job dnscheck.Job) (context.Context, func(dnscheck.Report)) {
	ctx, span := t.tracer.Start(ctx, "dnscheck.check",
		trace.WithAttributes(attribute.Bool("dnscheck.on_demand", job.OnDemand)))
	return ctx, func(r dnscheck.Report) {
		counts := map[dnscheck.Verdict]int{}
		for _, result := range r.Results {
			counts[result.Verdict]++
		}
		for verdict, n := range counts {
			span.SetAttributes(attribute.Int("dnscheck.verdict."+string(verdict), n))
		}
		span.End()
	}
}

// tracedLog adds the ids of the span in whose context a line is written.
type tracedLog struct{ slog.Handler }

// Handle implements slog.Handler.
func (h tracedLog) Handle(ctx context.Context, r slog.Record) error {
	if c := trace.SpanContextFromContext(ctx); c.IsValid() {
		r.AddAttrs(slog.String("trace_id", c.TraceID().String()), slog.String("span_id", c.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h tracedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return tracedLog{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h tracedLog) WithGroup(name string) slog.Handler { return tracedLog{h.Handler.WithGroup(name)} }

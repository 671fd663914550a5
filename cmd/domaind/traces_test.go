package main_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/domaind/domaind/gen/client"
)

// spanSink is an OTLP/HTTP receiver.
type spanSink struct {
	url string

	mu    sync.Mutex
	spans []*trace.Span
	all   bytes.Buffer // every request as text
}

func collectSpans(t *testing.T) *spanSink {
	t.Helper()
	sink := &spanSink{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if r.URL.Path != "/v1/traces" || err != nil || proto.Unmarshal(body, &request) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		sink.add(&request)
	}))
	t.Cleanup(web.Close)
	sink.url = web.URL
	return sink
}

func (s *spanSink) add(request *collector.ExportTraceServiceRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, _ := protojson.Marshal(request)
	s.all.Write(text)
	for _, r := range request.ResourceSpans {
		for _, scope := range r.ScopeSpans {
			s.spans = append(s.spans, scope.Spans...)
		}
	}
}

// find returns a span with a name and these attributes, nil for none.
func (s *spanSink) find(name string, want map[string]string) *trace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range s.spans {
		ok := span.Name == name
		for key, value := range want {
			ok = ok && attributeOf(span, key) == value
		}
		if ok {
			return span
		}
	}
	return nil
}

// attributeOf returns an attribute as JSON has it.
func attributeOf(span *trace.Span, key string) string {
	for _, a := range span.Attributes {
		if a.Key == key {
			text, _ := json.Marshal(a.Value.Value)
			var value map[string]any
			_ = json.Unmarshal(text, &value)
			for _, v := range value {
				text, _ = json.Marshal(v)
				return strings.Trim(string(text), `"`)
			}
		}
	}
	return ""
}

// TestTraces has a collector of its own, and holds what comes there against
// what was done; no name, address or key may be in it.
func TestTraces(t *testing.T) {
	t.Parallel()
	sink := collectSpans(t)
	s := serve(t, mailSettings(t, "DOMAIND_SMTP_LISTEN=127.0.0.1:0", "DOMAIND_RATE_LIMIT=0",
		"OTEL_EXPORTER_OTLP_ENDPOINT="+sink.url, "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_SERVICE_NAME=under-test")...)
	s.activate(t)
	must[client.DomainDetails](t)(s.verify(t.Context(), mailDomain))
	if err := smtp.SendMail(s.smtp, nil, "ann@sender.example", []string{"inbox@" + mailDomain}, []byte("Subject: x\r\n\r\ntext\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := smtp.SendMail(s.smtp, nil, "ann@sender.example", []string{"x@nowhere.example"}, nil); err == nil {
		t.Fatal("mail for nobody was taken")
	}
	const forged = "4bf92f3577b34da6a3ce929d0e0e4736"
	s.traced(t, http.MethodGet, "/v2/domains/other.example/info?user_id="+labUser, forged)
	s.traced(t, "BREW", "/v2/domains", forged)

	const verify = "POST /v2/domains/:domain/dns/verify"
	for name, attributes := range map[string]map[string]string{
		"POST /v2/domain":              {"http.response.status_code": "201", "http.route": "/v2/domain"},
		"GET /v2/domains/:domain/info": {"http.response.status_code": "404"},
		"HTTP /v2/domains":             {"http.response.status_code": "405", "http.request.method": "_OTHER"},
		verify:                         {"http.response.status_code": "200"},
		"dnscheck.check":               {"dnscheck.on_demand": "true", "dnscheck.verdict.missing": "4"},
		"smtp.transaction":             {"smtp.ended_by": "DATA", "smtp.reply.code": "250", "smtp.recipients": "1"},
		"inbound.delivery":             {"delivery.mode": "store", "delivery.result": "stored"},
	} {
		eventually(t, startWithin, name, func() bool { return sink.find(name, attributes) != nil })
	}
	eventually(t, startWithin, "a refusal", func() bool {
		return sink.find("smtp.transaction", map[string]string{"smtp.ended_by": "none", "smtp.recipients": "0"}) != nil
	})
	request, check := sink.find(verify, nil), sink.find("dnscheck.check", map[string]string{"dnscheck.on_demand": "true"})
	if !bytes.Equal(check.ParentSpanId, request.SpanId) {
		t.Error("the check is not below the request that asked for it")
	}
	s.wantTraceInLog(t, request)
	sink.wantNothingOf(t, "customer", labUser, labKey, "sender", "inbox", "nowhere", "other.example", "BREW", "127.0.0.1", forged)
	if !strings.Contains(sink.text(), "under-test") {
		t.Error("OTEL_SERVICE_NAME is not obeyed")
	}
}

// traced calls a path as part of somebody's trace.
func (s *service) traced(t *testing.T, method, path, traceID string) {
	t.Helper()
	r, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-api-key", labKey)
	r.Header.Set("traceparent", "00-"+traceID+"-00f067aa0ba902b7-01")
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
}

func (s *spanSink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

func (s *spanSink) wantNothingOf(t *testing.T, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if at := strings.Index(s.text(), secret); at >= 0 {
			t.Errorf("the spans have %q: %s", secret, s.text()[max(at-200, 0):at+50])
		}
	}
}

// wantTraceInLog finds the request's line by its id.
func (s *service) wantTraceInLog(t *testing.T, span *trace.Span) {
	t.Helper()
	id := attributeOf(span, "domaind.request_id")
	var entry struct {
		RequestID string `json:"request_id"`
		TraceID   string `json:"trace_id"`
	}
	eventually(t, startWithin, "the line of the request", func() bool {
		for line := range bytes.Lines(s.log.Whole()) {
			if json.Unmarshal(line, &entry) == nil && entry.RequestID == id {
				return true
			}
		}
		return false
	})
	if want := hex.EncodeToString(span.TraceId); entry.TraceID != want {
		t.Errorf("the log has trace %q, want %q", entry.TraceID, want)
	}
}

// TestTraceOfProxy: who may say for whom he speaks may say in which trace.
func TestTraceOfProxy(t *testing.T) {
	t.Parallel()
	sink := collectSpans(t)
	s := serve(t, mailSettings(t, "DOMAIND_TRUSTED_PROXIES=127.0.0.0/8",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+sink.url+"/v1/traces", "OTEL_BSP_SCHEDULE_DELAY=100")...)
	const theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
	s.traced(t, http.MethodGet, "/v2/domains?user_id="+labUser, theirs)
	eventually(t, startWithin, "a span of their trace", func() bool {
		span := sink.find("GET /v2/domains", nil)
		return span != nil && hex.EncodeToString(span.TraceId) == theirs
	})
}

// TestNoTraces: without an endpoint, or with all of it switched off, no request
// has a trace.
func TestNoTraces(t *testing.T) {
	t.Parallel()
	sink := collectSpans(t)
	for name, settings := range map[string][]string{
		"no endpoint":  nil,
		"SDK disabled": {"OTEL_EXPORTER_OTLP_ENDPOINT=" + sink.url, "OTEL_SDK_DISABLED=True"},
		"no exporter":  {"OTEL_EXPORTER_OTLP_ENDPOINT=" + sink.url, "OTEL_TRACES_EXPORTER=none"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, mailSettings(t, settings...)...)
			must[client.DomainDetails](t)(s.create(t.Context(), mailDomain))
			s.end(t)
			if log := s.log.Whole(); !bytes.Contains(log, []byte("request_id")) || bytes.Contains(log, []byte("trace_id")) {
				t.Errorf("the log is %s", log)
			}
		})
	}
	if len(sink.spans) > 0 {
		t.Error("spans were sent")
	}
}

// TestTracesFlushed: what waits is sent at the end, though the time to send it
// has not come.
func TestTracesFlushed(t *testing.T) {
	t.Parallel()
	sink := collectSpans(t)
	s := serve(t, mailSettings(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+sink.url, "OTEL_BSP_SCHEDULE_DELAY=600000")...)
	must[client.DomainDetails](t)(s.create(t.Context(), mailDomain))
	s.end(t)
	if sink.find("POST /v2/domain", nil) == nil {
		t.Error("the span was lost")
	}
}

// TestTracesDoNotBlock: a collector that is away, or that never answers, is
// waited for neither by requests nor, for long, by the end.
func TestTracesDoNotBlock(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // which nobody accepts from
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, endpoint := range map[string]string{"away": "http://127.0.0.1:1", "silent": "http://" + silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, mailSettings(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint,
				"OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_BSP_MAX_QUEUE_SIZE=4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2")...)
			must[client.DomainDetails](t)(s.create(t.Context(), mailDomain))
			start := time.Now()
			for range 100 { // far more than the queue has room for
				must[client.DomainDetails](t)(s.info(t.Context(), mailDomain))
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("100 requests took %v", took)
			}
			start = time.Now()
			s.end(t)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("the end took %v", took)
			}
		})
	}
}

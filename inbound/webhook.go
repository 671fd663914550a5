package inbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/domaind/domaind/inbound/parse"
	"github.com/domaind/domaind/store"
)

const (
	// webhookTimeout bounds one try, from the dial to the end of the answer.
	webhookTimeout = 15 * time.Second
	// maxAnswer is how much of an answer is read, keptAnswer how much is kept.
	maxAnswer  = 64 << 10
	keptAnswer = 512
	// maxRetryAfter bounds what an endpoint may ask for.
	maxRetryAfter = 24 * time.Hour
)

// dialFunc opens connections.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// newClient returns a client for webhooks: no proxy, no redirects, and
// connections only through the dialer, which has to be a guarded one.
func newClient(dial dialFunc, roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout:       webhookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: dial, ForceAttemptHTTP2: true,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    10 * time.Second,
			MaxIdleConnsPerHost:    perEndpoint,
			IdleConnTimeout:        60 * time.Second,
			MaxResponseHeaderBytes: maxAnswer,
		},
	}
}

// webhook makes one try at the endpoint of a route.
func (s *Server) webhook(ctx context.Context, j store.DeliveryJob, route store.DeliveryRoute, raw []byte) store.Outcome {
	switch {
	case route.WebhookURL == "":
		return s.hold(j, route.Mode, store.HoldNoEndpoint)
	case route.Gone && !j.Forced:
		return s.hold(j, route.Mode, store.HoldEndpointGone)
	}
	wait, ok := s.breaker.enter(route.WebhookURL, perEndpoint)
	if !ok {
		return s.wait(j, s.spread(wait))
	}
	answered, counts := false, false
	defer func() { s.breaker.leave(route.WebhookURL, !answered, counts) }()
	text, err := s.payload(j, route.Mode, raw, s.authOf(ctx, j, raw))
	if err != nil {
		s.c.Log.Error("payload not built", "delivery", j.ID, "error", err)
		return s.retry(j, route.Mode, &store.Attempt{At: s.c.Now(), Error: "payload not built"})
	}
	a := post(ctx, s.client, outgoing{url: route.WebhookURL, secrets: route.Secrets, id: j.ID, text: text}, s.c.Now)
	if ctx.Err() != nil {
		return s.wait(j, 0)
	}
	o := s.afterPost(j, route, a)
	answered = a.Error == ""
	counts = answered || o.Tries > j.Tries
	return o
}

// posted is a try with what decides of its answer.
type posted struct {
	store.Attempt
	retryAfter time.Duration // 0: not said
}

// asksForPatience reports whether the endpoint said when to come back, which
// uses up no try.
func (a posted) asksForPatience() bool {
	return a.retryAfter > 0 && (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable)
}

// afterPost turns an answer into what becomes of the delivery.
func (s *Server) afterPost(j store.DeliveryJob, route store.DeliveryRoute, a posted) store.Outcome {
	try := &a.Attempt
	switch {
	case a.Error == "":
		o := store.Outcome{
			State: store.DeliveryStateDelivered, Mode: route.Mode, Tries: j.Tries + 1, Thin: j.Thin, Attempt: try,
		}
		o.KeepUntil = s.rawUntil(j, route.Mode)
		return o
	case a.Status == http.StatusGone:
		o := s.hold(j, route.Mode, store.HoldEndpointGone)
		o.Attempt, o.Gone = try, route.Version
		o.Event = store.Event{Type: store.EventWebhookDisabled, Detail: "the endpoint answered 410"}
		return o
	case a.Status == http.StatusRequestEntityTooLarge && !j.Thin:
		o := s.wait(j, 0)
		o.Mode, o.Thin, o.Attempt = route.Mode, true, try
		return o
	case a.asksForPatience():
		if next := s.c.Now().Add(a.retryAfter); next.Before(j.Since.Add(webhookSchedule().end)) {
			o := s.wait(j, a.retryAfter)
			o.Mode, o.Attempt = route.Mode, try
			return o
		}
	}
	return s.retry(j, route.Mode, try)
}

// outgoing is what a webhook gets.
type outgoing struct {
	url     string
	secrets []store.Secret
	id      string
	text    []byte
}

// post sends a payload and returns the try; its Error is "" for a 2xx.
func post(ctx context.Context, client *http.Client, o outgoing, now func() time.Time) (a posted) {
	a = posted{Attempt: store.Attempt{At: now()}}
	started := time.Now()
	defer func() { a.Took = time.Since(started) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(o.text))
	if err != nil {
		a.Error = "the webhook address cannot be used"
		return a
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "domaind")
	if err := sign(req.Header, o.id, a.At, o.text, o.secrets); err != nil {
		a.Error = "the payload could not be signed"
		return a
	}
	res, err := client.Do(req)
	if err != nil {
		a.Error = failure(err)
		return a
	}
	defer res.Body.Close()
	a.Status = res.StatusCode
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	a.Answer = parse.Printable(string(answer), keptAnswer)
	a.retryAfter = retryAfter(res.Header.Get("Retry-After"), now())
	switch {
	case res.StatusCode/100 != 2:
		a.Error = "the endpoint answered " + strconv.Itoa(res.StatusCode)
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		// The status stands: the endpoint has taken it.
		a.Answer = ""
	}
	return a
}

// failure says in one line why there was no answer. The address is known to
// whoever reads it, so it stays out.
func failure(err error) string {
	var outer interface{ Unwrap() error }
	if errors.As(err, &outer) {
		if inner := outer.Unwrap(); inner != nil {
			err = inner
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within 15 s"
	}
	return parse.Printable(err.Error(), 300)
}

// sign sets the headers of Standard Webhooks, with one signature for each
// secret.
func sign(h http.Header, id string, now time.Time, text []byte, secrets []store.Secret) error {
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	var list []string
	for _, secret := range secrets {
		wh, err := standardwebhooks.NewWebhookRaw(signingKey(secret.Reveal()))
		if err != nil {
			return err
		}
		signature, err := wh.Sign(id, now, text)
		if err != nil {
			return err
		}
		list = append(list, signature)
	}
	if len(list) > 0 {
		h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(list, " "))
	}
	return nil
}

// signingKey decodes a secret of the form whsec_… as the specification says;
// any other is used as it is.
func signingKey(secret string) []byte {
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if key, err := base64.StdEncoding.DecodeString(text); err == nil {
			return key
		}
	}
	return []byte(secret)
}

// retryAfter reads the header field (RFC 9110 section 10.2.3); 0 means that it
// says nothing. It is never below a second nor above a day.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	d := time.Duration(-1)
	if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if t, err := http.ParseTime(value); err == nil {
		d = max(t.Sub(now), 0)
	}
	if d < 0 {
		return 0
	}
	return min(max(d, time.Second), maxRetryAfter)
}

// testEvent is the body of TestRoute.
type testEvent struct {
	Schema int    `json:"schema"`
	Domain string `json:"domain"`
	Mode   string `json:"mode"`
}

// TestRoute posts a signed endpoint.test to the webhook of a domain's route
// and returns the try; nothing is queued. store.ErrNotFound as for a domain,
// store.ErrNoEndpoint when the route has no webhook.
func (s *Server) TestRoute(ctx context.Context, t store.Tenant, domain string) (store.Attempt, error) {
	id, err := s.c.Store.DomainID(ctx, t, domain)
	if err != nil {
		return store.Attempt{}, err
	}
	route, err := s.c.Store.DeliveryRoute(ctx, id)
	if err != nil {
		return store.Attempt{}, err
	}
	if route.WebhookURL == "" {
		return store.Attempt{}, store.ErrNoEndpoint
	}
	text, err := encode(body{
		Type: "endpoint.test", Timestamp: stamp(s.c.Now()),
		Data: testEvent{Schema: 1, Domain: domain, Mode: string(route.Mode)},
	})
	if err != nil {
		return store.Attempt{}, err
	}
	o := outgoing{url: route.WebhookURL, secrets: route.Secrets, id: s.c.Store.NewMessageID(), text: text}
	return post(ctx, s.client, o, s.c.Now).Attempt, nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/smtp"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/domaind/domaind/gen/client"
)

const (
	demoSender  = "ann@sender.example"
	demoSubject = "Hello from the demo"
)

// demoLoopback is where the demo's webhook is.
func demoLoopback() prefixList { return prefixList{netip.MustParsePrefix("127.0.0.0/8")} }

// demoHook is the customer's endpoint: it hands on what it is sent.
type demoHook struct {
	url   string
	calls chan demoCall
	end   func() error
}

type demoCall struct {
	header http.Header
	body   []byte
}

func newDemoHook(ctx context.Context) (*demoHook, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", demoIP+":0")
	if err != nil {
		return nil, err
	}
	h := &demoHook{url: "http://" + l.Addr().String() + "/hook", calls: make(chan demoCall, 8)}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		select {
		case h.calls <- demoCall{r.Header, body}:
		default: // nobody listens any more
		}
		w.WriteHeader(http.StatusNoContent)
	})}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	h.end = func() error {
		err := s.Close()
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	}
	return h, nil
}

// mail sends a message to the active domain, and shows it at the webhook and
// in the store.
func (d demo) mail(ctx context.Context, api *client.ClientWithResponses) (err error) {
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	hook, err := newDemoHook(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hook.end()) }()

	d.say("\n4. Its mail goes to a webhook and to the store: PUT /v2/domains/%s/route", demoDomain)
	routed, err := api.PutRouteWithResponse(ctx, demoDomain, nil, client.PutRouteRequest{
		UserID: demoUser, ForwardMode: client.ForwardModeWebhookThenStore, WebhookURL: &hook.url,
	})
	if err != nil {
		return err
	}
	if routed.JSON200 == nil || routed.JSON200.Route.WebhookSecret == nil {
		return fmt.Errorf("route: %s: %s", routed.Status(), routed.Body)
	}
	secret := *routed.JSON200.Route.WebhookSecret
	d.say("   %s, signed with the secret %s…, which only this answer shows", hook.url, secret[:10])

	to := "inbox@" + demoDomain
	d.say("\n5. Somebody writes to %s: SMTP at %s", to, d.smtp)
	message := "From: Ann <" + demoSender + ">\r\nTo: " + to + "\r\nSubject: " + demoSubject + "\r\n\r\nIt works.\r\n"
	if err := smtp.SendMail(d.smtp, nil, demoSender, []string{to}, []byte(message)); err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	d.say("   250: it is durable")

	d.say("\n6. It arrives at the webhook:")
	select {
	case call := <-hook.calls:
		if err := d.arrived(call, secret); err != nil {
			return err
		}
	case <-ctx.Done():
		return fmt.Errorf("nothing came to the webhook: %w", ctx.Err())
	}
	d.say("\n7. And it is in the store: GET /v2/domains/%s/messages", demoDomain)
	return d.stored(ctx, api)
}

// arrived verifies what the webhook got, as its owner does.
func (d demo) arrived(call demoCall, secret string) error {
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return fmt.Errorf("read webhook secret: %w", err)
	}
	if err := verifier.Verify(call.body, call.header); err != nil {
		return fmt.Errorf("verify webhook: %w", err)
	}
	var event struct {
		Type string
		Data struct {
			Subject string
			Text    struct{ Content string }
			Auth    struct{ SPF struct{ Result string } }
		}
	}
	if err := json.Unmarshal(call.body, &event); err != nil {
		return fmt.Errorf("read webhook: %w", err)
	}
	if event.Data.Subject != demoSubject {
		return fmt.Errorf("the webhook got another message: %q", event.Data.Subject)
	}
	d.say("   %s %q, text %q, spf=%s", event.Type, event.Data.Subject, strings.TrimSpace(event.Data.Text.Content), event.Data.Auth.SPF.Result)
	d.say("   webhook-id %s, signature verified by the Standard Webhooks library", call.header.Get(standardwebhooks.HeaderWebhookID))
	return nil
}

// stored waits until the message is shown as delivered, and shows it.
func (d demo) stored(ctx context.Context, api *client.ClientWithResponses) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := api.ListMessagesWithResponse(ctx, demoDomain, &client.ListMessagesParams{UserID: demoUser})
		if err != nil {
			return err
		}
		if list.JSON200 == nil || len(list.JSON200.Messages) != 1 || len(list.JSON200.Messages[0].Deliveries) != 1 {
			return fmt.Errorf("messages: %s: %s", list.Status(), list.Body)
		}
		m := list.JSON200.Messages[0]
		if state := m.Deliveries[0].State; state == client.DeliveryStateDelivered {
			d.say("   %s  from %s  to %s  %q  webhook %s", m.ID, m.MailFrom, m.RcptTo, m.Subject, state)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the message was not delivered in time: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/domaind/domaind/inbound"
	"github.com/domaind/domaind/store"
)

// eventFlags say where the operator is told what happens to the domains.
type eventFlags struct {
	EventsWebhookURL    string `name:"events-webhook-url" env:"DOMAIND_EVENTS_WEBHOOK_URL" placeholder:"URL" help:"Webhook that gets the events of all domains (default: none)."`
	EventsWebhookSecret string `name:"events-webhook-secret" env:"DOMAIND_EVENTS_WEBHOOK_SECRET" placeholder:"SECRET" help:"Signs them; whsec_… as Standard Webhooks says, any other as it is."`
}

// The bounds of a webhook secret, as for those of the routes.
const (
	minWebhookSecret = 8
	maxWebhookSecret = 256
)

// sendsEvents reports whether anybody is told.
func (f eventFlags) sendsEvents() bool { return f.EventsWebhookURL != "" }

// validate says what parsing alone cannot; the error names the variable, and
// shows neither the address, which may have a token, nor the secret.
func (f eventFlags) validate(private prefixList) error {
	if !f.sendsEvents() {
		if f.EventsWebhookSecret != "" {
			return errors.New("DOMAIND_EVENTS_WEBHOOK_URL (--events-webhook-url): is needed with DOMAIND_EVENTS_WEBHOOK_SECRET")
		}
		return nil
	}
	if fault := eventURLFault(f.EventsWebhookURL, private); fault != "" {
		return fmt.Errorf("DOMAIND_EVENTS_WEBHOOK_URL (--events-webhook-url): %s", fault)
	}
	if fault := secretFault(f.EventsWebhookSecret); fault != "" {
		return fmt.Errorf("DOMAIND_EVENTS_WEBHOOK_SECRET (--events-webhook-secret): %s", fault)
	}
	return nil
}

// eventURLFault says what is wrong with the address; "" for nothing. Unlike a
// customer's it may be a name that only the operator's own DNS knows; what it
// leads to is judged at every dial.
func eventURLFault(s string, private prefixList) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "this is no absolute https URL"
	case u.Scheme == "http" && len(private) == 0:
		return "http is for the addresses of DOMAIND_ALLOW_PRIVATE_WEBHOOKS only"
	case u.User != nil:
		return "a webhook URL has no user name or password"
	case u.Fragment != "":
		return "a webhook URL has no fragment"
	}
	return ""
}

// secretFault says what is wrong with a secret; "" for nothing.
func secretFault(s string) string {
	text, encoded := strings.CutPrefix(s, "whsec_")
	switch {
	case s == "":
		return "is needed with DOMAIND_EVENTS_WEBHOOK_URL"
	case len(s) < minWebhookSecret || len(s) > maxWebhookSecret:
		return fmt.Sprintf("must have %d to %d characters", minWebhookSecret, maxWebhookSecret)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }):
		return "must be printable ASCII"
	}
	if _, err := base64.StdEncoding.DecodeString(text); encoded && err != nil {
		return "what follows whsec_ must be base64"
	}
	return ""
}

// newNotifier sets a.notifier, which stays nil where nobody is told.
func (a *app) newNotifier(c serveCmd, m *metrics) (err error) {
	if !c.sendsEvents() {
		return nil
	}
	a.notifier, err = inbound.NewNotifier(inbound.NotifierConfig{
		Store: a.store, URL: c.EventsWebhookURL, Secret: store.NewSecret(c.EventsWebhookSecret),
		AllowPrivate: c.AllowPrivateWebhooks, Log: a.log, OnEvent: m.event,
	})
	return err
}

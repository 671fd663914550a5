package store

import "time"

// ForwardMode says what happens to inbound mail.
type ForwardMode string

// The four modes; frozen.
const (
	ForwardModeStore            ForwardMode = "store"
	ForwardModeWebhook          ForwardMode = "webhook"
	ForwardModeWebhookThenStore ForwardMode = "webhook_then_store"
	ForwardModeForwardEmail     ForwardMode = "forward_email"
)

// Route says how a domain's inbound mail is handled.
type Route struct {
	Mode             ForwardMode
	WebhookURL       string
	ForwardTo        string
	HasWebhookSecret bool
	// NewSecret is a secret that this very call generated: shown once.
	NewSecret string
	Version   int64 // for the ETag
	UpdatedAt time.Time
}

// PutRoute replaces a route. Its values have been checked by the caller.
type PutRoute struct {
	Mode       ForwardMode
	WebhookURL string
	ForwardTo  string
	// Secret: nil keeps the one that stands, "" clears it.
	Secret *string
	// IfMatch, where it is not 0, is the only version that may be replaced.
	IfMatch int64
}

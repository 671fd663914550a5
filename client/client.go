// Package client calls a domaind service. It is the generated client of
// gen/client with what every program would write around it: the key, the user,
// one error type for all refusals, tries again when the service asks to wait,
// pages read as one sequence, and waiting until a domain is active.
//
// Every method returns a *[Problem] when the service answered with anything but
// 2xx, and an error of net/http when there was no answer.
package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	gen "github.com/domaind/domaind/gen/client"
)

type (
	// Domain is one user's claim on one name.
	Domain = gen.Domain
	// DomainDetails is a domain with its records and its route.
	DomainDetails = gen.DomainDetails
	// DomainStatus is pending, active or failed.
	DomainStatus = gen.DomainStatus
	// DNSRecord is one record to publish, and what is known of it.
	DNSRecord = gen.DNSRecord
	// Route says what happens to inbound mail.
	Route = gen.PutRouteRequest
	// Message is mail that came in, without its content.
	Message = gen.Message
	// Delivery is one recipient's mail on its way.
	Delivery = gen.Delivery
	// DeliveryState is queued, delivered, stored, held, dead or failed.
	DeliveryState = gen.DeliveryState
	// Event is one entry of a domain's history.
	Event = gen.Event
)

// The defaults of a Client.
const (
	// DefaultTimeout bounds one request, with its answer.
	DefaultTimeout = time.Minute
	// DefaultRetries is how often a request is sent again.
	DefaultRetries = 4
	// DefaultPoll is how long Watch waits between two looks.
	DefaultPoll = 2 * time.Second
)

// Client calls one service for one user. It is safe for concurrent use.
type Client struct {
	// API has every call of the contract, also those without a method here. It
	// sends the key, tries again and returns *Problem just as the methods do;
	// the user is an argument of each call.
	API *gen.ClientWithResponses

	user string
	poll time.Duration
}

// Option changes what New makes.
type Option func(*settings)

type settings struct {
	doer doer
	user string
	poll time.Duration
}

// WithKey sends an API key with every request.
func WithKey(key string) Option { return func(s *settings) { s.doer.key = key } }

// WithUser sets the user that the methods speak for. Every call but the probes
// needs one, also with a key that is bound to it.
func WithUser(user string) Option { return func(s *settings) { s.user = user } }

// WithHTTPClient sends the requests through c, such as one with a proxy or a
// certificate pool. It should not follow redirects: they would carry the key.
func WithHTTPClient(c *http.Client) Option { return func(s *settings) { s.doer.http = c } }

// WithRetries sets how often a request is sent again; 0 is never.
func WithRetries(n int) Option { return func(s *settings) { s.doer.retries = n } }

// WithPoll sets how long Watch and WaitActive wait between two looks.
func WithPoll(d time.Duration) Option { return func(s *settings) { s.poll = d } }

// New returns a client of the service at an http or https URL. It does not
// connect.
func New(server string, options ...Option) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("read the server's URL: %w", err)
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no http or https URL", server)
	}
	s := settings{poll: DefaultPoll, doer: doer{
		http: &http.Client{Timeout: DefaultTimeout, CheckRedirect: stay}, retries: DefaultRetries, wait: sleep,
	}}
	for _, o := range options {
		o(&s)
	}
	if s.poll <= 0 {
		return nil, errors.New("the time between two looks must be above zero")
	}
	api, err := gen.NewClientWithResponses(server, gen.WithHTTPClient(&s.doer))
	if err != nil {
		return nil, err
	}
	return &Client{API: api, user: s.user, poll: s.poll}, nil
}

// stay takes a redirect for the answer: net/http would send the key along to
// whatever host it names.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// As returns a client that speaks for another user.
func (c *Client) As(user string) *Client {
	other := *c
	other.user = user
	return &other
}

package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// TestOperatorIsTold creates and activates a domain, and wants the operator's
// webhook to hear of it, signed, from the first event to the one that matters.
func TestOperatorIsTold(t *testing.T) {
	t.Parallel()
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	wh := must[*standardwebhooks.Webhook](t)(standardwebhooks.NewWebhook(secret))
	heard := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = wh.Verify(body, r.Header)
		}
		var e struct {
			Type string
			Data struct{ Domain string }
		}
		if err != nil || json.Unmarshal(body, &e) != nil || e.Data.Domain != mailDomain {
			t.Errorf("%v: %s", err, body)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		heard <- e.Type
	}))
	t.Cleanup(hook.Close)
	s := serve(t, mailSettings(t,
		"DOMAIND_EVENTS_WEBHOOK_URL="+hook.URL+"/events", "DOMAIND_EVENTS_WEBHOOK_SECRET="+secret)...)
	s.activate(t)
	late := time.After(30 * time.Second)
	for first := ""; ; {
		select {
		case got := <-heard:
			if first == "" {
				first = got
			}
			if got == "domain.activated" && first == "domain.created" {
				s.wantMetrics(t, `domaind_event_deliveries_total{result="delivered"} `)
				return
			}
		case <-late:
			t.Fatal("the activation was not told")
		}
	}
}

package main_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// latencyCalls are the kinds of calls, in the order of a round.
func latencyCalls() []*measured {
	get := func(status int, path func(s *sized) string) func(*testing.T, *sized) asked {
		return func(_ *testing.T, s *sized) asked { return asked{http.MethodGet, path(s), "", status} }
	}
	of := func(what string) func(*testing.T, *sized) asked {
		return get(http.StatusOK, func(s *sized) string {
			d := s.next()
			return "/v2/domains/" + d.name + "/" + what + "?user_id=" + d.user
		})
	}
	list := func(more string) func(*testing.T, *sized) asked {
		return get(http.StatusOK, func(*sized) string { return "/v2/domains?user_id=" + bigUser + more })
	}
	plain := func(path string) func(*testing.T, *sized) asked {
		return get(http.StatusOK, func(*sized) string { return path })
	}
	const reads, writes, creates = 30, 25, 6
	return []*measured{
		{name: "info", times: reads, ask: of("info")},
		{name: "dns", times: reads, ask: of("dns")},
		{name: "zone", times: reads, ask: of("zone")},
		{name: "events", times: reads, ask: of("events")},
		{name: "messages", times: reads, ask: of("messages")},
		{name: "deliveries", times: reads, ask: of("deliveries")},
		{name: "list", times: reads, ask: list("")},
		{name: "list, later page", times: reads, ask: get(http.StatusOK, func(s *sized) string {
			return "/v2/domains?user_id=" + bigUser + "&cursor=" + s.later
		})},
		{name: "list by status", times: reads, ask: list("&status=active")},
		{name: "list by status, none", times: reads, ask: list("&status=failed")},
		{name: "list by organization", times: reads, ask: list("&organization_id=" + fewOrg)},
		{name: "list by both", times: reads, ask: list("&status=pending&organization_id=" + fewOrg)},
		{name: "list of few", times: reads, ask: get(http.StatusOK, func(s *sized) string {
			return "/v2/domains?user_id=" + s.next().user
		})},
		{name: "readyz", times: reads, ask: plain("/readyz")},
		{name: "metrics", times: reads, ask: plain("/metrics")},
		{name: "create", times: creates, ask: askCreate, before: awaitKeys},
		{name: "delete", times: creates, ask: askDelete},
		{name: "route", times: writes, ask: askRoute},
		{name: "mark", times: writes, ask: askMark},
		{name: "verify", times: writes, ask: askVerify},
	}
}

// askCreate is measured while no key is made, which takes a whole processor.
func askCreate(_ *testing.T, s *sized) asked {
	s.made = append(s.made, fmt.Sprintf("n%x.latency-new.net", s.random.Uint64()))
	name := s.made[len(s.made)-1]
	return asked{http.MethodPost, "/v2/domain", fmt.Sprintf(`{"domain":%q,"user_id":%q}`, name, bigUser), http.StatusCreated}
}

func askDelete(_ *testing.T, s *sized) asked {
	name := s.made[0]
	s.made = s.made[1:]
	return asked{http.MethodPost, "/v2/domains/delete", fmt.Sprintf(`{"domain":%q,"user_id":%q}`, name, bigUser), http.StatusOK}
}

func askRoute(_ *testing.T, s *sized) asked {
	d := s.next()
	body := fmt.Sprintf(`{"user_id":%q,"forward_mode":"webhook","webhook_url":"https://hooks.example.org/%d","webhook_secret":"long enough"}`,
		d.user, s.turn)
	return asked{http.MethodPut, "/v2/domains/" + d.name + "/route", body, http.StatusOK}
}

// askMark changes the DMARC record back and forth, which DNS then leaves alone.
func askMark(_ *testing.T, s *sized) asked {
	d := s.nextPending()
	status := "verified"
	if d.marked {
		status = "disabled"
	}
	d.marked = !d.marked
	body := fmt.Sprintf(`{"user_id":%q,"id":%d,"status":%q}`, d.user, d.dmarc, status)
	return asked{http.MethodPost, "/v2/domains/" + d.name + "/dns/mark", body, http.StatusOK}
}

// askVerify checks a domain of which nothing is in DNS.
func askVerify(_ *testing.T, s *sized) asked {
	d := s.nextPending()
	return asked{http.MethodPost, "/v2/domains/" + d.name + "/dns/verify", fmt.Sprintf(`{"user_id":%q}`, d.user), http.StatusOK}
}

// awaitKeys returns when the pool of DKIM keys is full, and the program makes no
// further one in advance: it takes no processor time.
func awaitKeys(t *testing.T, s *sized) {
	t.Helper()
	const idle = 0.02 // seconds of a tick; the question takes a part of it
	used := 0.0
	eventually(t, time.Minute, "the pool of keys is full", func() bool {
		before := used
		used = s.gauge(t, "process_cpu_seconds_total")
		return used-before < idle && s.gauge(t, "domaind_dkim_pool_keys") >= latencyPool
	})
}

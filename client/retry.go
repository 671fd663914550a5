package client

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	gen "github.com/domaind/domaind/gen/client"
)

const (
	// maxWait is the longest pause before a request is sent again; a service
	// that asks for more gets its answer returned.
	maxWait   = time.Minute
	firstWait = time.Second
)

// doer sends the requests of the generated client. An answer other than 2xx
// becomes an error, so that no caller has to look at each status.
type doer struct {
	http    gen.HttpRequestDoer
	key     string
	retries int
	wait    func(context.Context, time.Duration) error
}

// Do sends a request until it has an answer that stands.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	if d.key != "" {
		req.Header.Set("x-api-key", d.key)
	}
	for try := 0; ; try++ {
		resp, err := d.http.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode/100 == 2 {
			return resp, nil
		}
		problem := readProblem(resp)
		pause := pauseAfter(problem, try)
		if try >= d.retries || pause > maxWait || !mayRepeat(req, problem.Status) || d.wait(req.Context(), pause) != nil {
			return nil, problem
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, err
			}
		}
	}
}

// mayRepeat reports whether sending a request again can do no harm and may
// help. What was refused for its rate was not done; a service that was unwell
// may have done what it was told.
func mayRepeat(req *http.Request, status int) bool {
	switch status {
	case http.StatusTooManyRequests:
		return true
	case http.StatusServiceUnavailable:
		return idempotent(req)
	}
	return false
}

// idempotent reports whether a request may be made twice: by its method
// (RFC 9110 section 9.2.2), or because the contract says so.
func idempotent(req *http.Request) bool {
	if req.Method != http.MethodPost {
		return true
	}
	return strings.HasSuffix(req.URL.Path, "/v2/domain") || strings.HasSuffix(req.URL.Path, "/dns/verify")
}

// pauseAfter is what the service asks for, else a time that doubles, spread so
// that clients which were refused together do not come back together.
func pauseAfter(p *Problem, try int) time.Duration {
	if p.RetryAfter > 0 {
		return p.RetryAfter
	}
	pause := firstWait << min(try, 5)
	return pause/2 + rand.N(pause/2+1)
}

// sleep waits, and does not even begin when ctx would end first.
func sleep(ctx context.Context, d time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

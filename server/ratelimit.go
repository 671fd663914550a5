package server

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The limits beside Config.RateLimit.
const (
	verifyPerHour    = 60 // check-now calls of a user
	testsPerHour     = 60 // test calls of a user's webhooks
	badKeysPerMinute = 60 // wrong keys from an address, before 401 turns into 429

	badLinksPerMinute    = 20 // wrong links from an address, before 404 turns into 429
	setupChecksPerMinute = 6  // check-now calls of a setup page's domain
)

// maxBuckets bounds the memory of one set of buckets.
const maxBuckets = 50_000

// limits holds the rate limits; a nil set lifts its limit.
type limits struct {
	requests, verifies, tests, badKeys *buckets
	badLinks, setupChecks              *buckets
	policy                             []string // the header that describes requests
}

func newLimits(perMinute int, now func() time.Time) *limits {
	if perMinute <= 0 {
		return &limits{}
	}
	return &limits{
		policy:   []string{fmt.Sprintf(`"requests";q=%d;w=60`, perMinute)},
		requests: newBuckets(perMinute, time.Minute, now),
		verifies: newBuckets(verifyPerHour, time.Hour, now),
		tests:    newBuckets(testsPerHour, time.Hour, now),
		badKeys:  newBuckets(badKeysPerMinute, time.Minute, now),

		badLinks:    newBuckets(badLinksPerMinute, time.Minute, now),
		setupChecks: newBuckets(setupChecksPerMinute, time.Minute, now),
	}
}

// request takes one request of a key, and says in the answer's header what is
// left, and to whom there is nothing left what the policy is
// (draft-ietf-httpapi-ratelimit-headers).
func (l *limits) request(keyID string, h http.Header) error {
	if l.requests == nil {
		return nil
	}
	left, wait := l.requests.take(keyID)
	h["Ratelimit"] = []string{`"requests";r=` + strconv.Itoa(left) + ";t=" + strconv.Itoa(l.requests.refill(left))}
	if wait > 0 {
		h["Ratelimit-Policy"] = l.policy
	}
	return tooMany(wait)
}

// verify takes one check-now call of a user.
func (l *limits) verify(userID string) error {
	if l.verifies == nil {
		return nil
	}
	_, wait := l.verifies.take(userID)
	return tooMany(wait)
}

// test takes one test call of a user's webhook.
func (l *limits) test(userID string) error {
	if l.tests == nil {
		return nil
	}
	_, wait := l.tests.take(userID)
	return tooMany(wait)
}

// badKey takes one call with a key that is not valid.
func (l *limits) badKey(address string) error {
	if l.badKeys == nil {
		return nil
	}
	_, wait := l.badKeys.take(network(address))
	return tooMany(wait)
}

// badLink takes one call with a link that never was.
func (l *limits) badLink(address string) error {
	if l.badLinks == nil {
		return nil
	}
	_, wait := l.badLinks.take(network(address))
	return tooMany(wait)
}

// setupCheck takes one check-now call of a setup page.
func (l *limits) setupCheck(domainID int64) error {
	if l.setupChecks == nil {
		return nil
	}
	_, wait := l.setupChecks.take(strconv.FormatInt(domainID, 10))
	return tooMany(wait)
}

// network is what one client has at hand: an IPv4 address, or the /64 of an
// IPv6 address.
func network(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Unmap().Is4() {
		return address
	}
	p, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

// tooMany is a 429 for a wait, nil for none.
func tooMany(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	seconds := int(math.Ceil(wait.Seconds()))
	return newProblem(codeRateLimited).header("Retry-After", strconv.Itoa(max(seconds, 1)))
}

// buckets is one token bucket for each name.
type buckets struct {
	quota  int
	window time.Duration
	now    func() time.Time

	mu     sync.Mutex
	byName map[string]*rate.Limiter
}

func newBuckets(quota int, window time.Duration, now func() time.Time) *buckets {
	return &buckets{quota: quota, window: window, now: now, byName: map[string]*rate.Limiter{}}
}

// take takes a token: how many are left, and how long to wait when there was
// none; then nothing is taken.
func (b *buckets) take(name string) (left int, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	l := b.byName[name]
	if l == nil {
		b.forget(now)
		l = rate.NewLimiter(rate.Limit(float64(b.quota)/b.window.Seconds()), b.quota)
		b.byName[name] = l
	}
	r := l.ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return max(int(l.TokensAt(now)), 0), wait
}

// refill is how many seconds a bucket with so many tokens needs to be full.
func (b *buckets) refill(left int) int {
	return int(math.Ceil(float64(b.quota-left) * b.window.Seconds() / float64(b.quota)))
}

// forget makes room: a full bucket is the same as none. Where that does not
// help, all go, which forgives rather than refuses.
func (b *buckets) forget(now time.Time) {
	if len(b.byName) < maxBuckets {
		return
	}
	for name, l := range b.byName {
		if l.TokensAt(now) >= float64(b.quota) {
			delete(b.byName, name)
		}
	}
	if len(b.byName) > maxBuckets/2 { // else every new name would look at all
		clear(b.byName)
	}
}

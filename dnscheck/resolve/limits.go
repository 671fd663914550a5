package resolve

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// What one server's address may get from us, whatever zones it serves: big
// providers serve a million of them.
const (
	serverRate  = rate.Limit(5) // queries a second
	serverBurst = 10
	maxLimiters = 4096
)

// limits has a limiter for each address asked of late.
type limits struct {
	mu     sync.Mutex
	byAddr map[netip.Addr]*rate.Limiter
}

func newLimits() *limits {
	return &limits{byAddr: make(map[netip.Addr]*rate.Limiter)}
}

// wait returns when the address may be asked; its error says that this is not
// before ctx ends.
func (l *limits) wait(ctx context.Context, ip netip.Addr) error {
	return l.of(ip).Wait(ctx)
}

func (l *limits) of(ip netip.Addr) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lim := l.byAddr[ip]; lim != nil {
		return lim
	}
	if len(l.byAddr) >= maxLimiters {
		l.sweep()
	}
	lim := rate.NewLimiter(serverRate, serverBurst)
	l.byAddr[ip] = lim
	return lim
}

// sweep drops limiters that have nothing to remember, and if there are none,
// any half: forgetting is better than growing.
func (l *limits) sweep() {
	for ip, lim := range l.byAddr {
		if lim.Tokens() >= serverBurst {
			delete(l.byAddr, ip)
		}
	}
	for ip := range l.byAddr {
		if len(l.byAddr) < maxLimiters/2 {
			return
		}
		delete(l.byAddr, ip)
	}
}

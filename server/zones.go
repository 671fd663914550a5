package server

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Zone is the zone that a domain lies in, and who serves it.
type Zone struct {
	Name    string   // its apex, without the final dot
	Servers []string // the hosts of its NS records
}

// How the setup page asks for a zone: it never waits long, and not often.
const (
	zoneTimeout  = 500 * time.Millisecond
	zoneKept     = 10 * time.Minute
	zoneTryAgain = 30 * time.Second
	maxZones     = 10_000
)

// zones remembers the zones of domains. It is safe for concurrent use.
type zones struct {
	lookup func(ctx context.Context, domain string) (Zone, error)
	now    func() time.Time

	mu    sync.Mutex
	known map[string]knownZone
}

type knownZone struct {
	zone  Zone
	until time.Time
}

func newZones(lookup func(context.Context, string) (Zone, error), now func() time.Time) *zones {
	return &zones{lookup: lookup, now: now, known: map[string]knownZone{}}
}

// of returns the zone of a domain; the zero Zone when it is not known.
func (z *zones) of(ctx context.Context, domain string) Zone {
	if z.lookup == nil {
		return Zone{}
	}
	now := z.now()
	z.mu.Lock()
	k, ok := z.known[domain]
	z.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.zone
	}
	ctx, cancel := context.WithTimeout(ctx, zoneTimeout)
	defer cancel()
	found, err := z.lookup(ctx, domain)
	kept := zoneKept
	if err != nil || len(found.Servers) == 0 {
		kept = zoneTryAgain
		if found = k.zone; err == nil { // a definite no; else what was known still helps
			found = Zone{}
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(z.known) >= maxZones {
		clear(z.known)
	}
	z.known[domain] = knownZone{found, now.Add(kept)}
	return found
}

// host gives a name as it is entered in the zone: relative to its apex, "@"
// for the apex. Where the zone is not known, it is the given one.
func (z Zone) host(name, relative string) string {
	switch host, below := strings.CutSuffix(name, "."+z.Name); {
	case z.Name == "":
		return relative
	case name == z.Name:
		return "@"
	case below:
		return host
	default:
		return relative
	}
}

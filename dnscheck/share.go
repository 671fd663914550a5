package dnscheck

// When the resolver is taken to be ill by the checks that ended.
const (
	shareWindow  = 200 // checks that are looked at
	shareMinimum = 50  // so many there must be
	shareOfAll   = 5   // more than one of so many taught nothing
	healthyInRow = 20  // checks with an answer after which it is well again
)

// share tells from the last checks whether too many of them taught nothing.
// Its user locks.
type share struct {
	failed   [shareWindow]bool
	next     int
	seen     int
	failures int
	open     bool
	healthy  int // in a row while it is open
}

// record takes the next check: ok when it taught something, be it a no.
func (s *share) record(ok bool) {
	if s.open {
		s.heal(ok)
		return
	}
	if s.failed[s.next] {
		s.failures--
	}
	s.failed[s.next] = !ok
	s.next = (s.next + 1) % shareWindow
	s.seen = min(s.seen+1, shareWindow)
	if !ok {
		s.failures++
	}
	s.open = s.seen >= shareMinimum && s.failures*shareOfAll > s.seen
}

// heal closes after enough good checks in a row, with a clean window.
func (s *share) heal(ok bool) {
	if !ok {
		s.healthy = 0
		return
	}
	if s.healthy++; s.healthy == healthyInRow {
		*s = share{}
	}
}

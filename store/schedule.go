package store

import "time"

// Schedule holds the operator's times. All schedules scale with Unit.
type Schedule struct {
	Unit        time.Duration // DOMAIND_CHECK_MIN; 0 means one minute
	DemoteAfter time.Duration // DOMAIND_DEMOTE_AFTER; 0 means 24 h
	PendingFor  time.Duration // DOMAIND_PENDING_FOR; 0 means 72 h
}

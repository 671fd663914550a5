package inbound

import "time"

// schedule is when the tries of a delivery are made, by its age.
type schedule struct {
	ages []time.Duration // of the first tries; the last gap repeats
	end  time.Duration   // the age of the last try
}

func webhookSchedule() schedule {
	return schedule{
		ages: []time.Duration{
			0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
			10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour, 48 * time.Hour,
		},
		end: 7 * 24 * time.Hour,
	}
}

func forwardSchedule() schedule {
	return schedule{
		ages: []time.Duration{
			0, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
		},
		end: 5 * 24 * time.Hour,
	}
}

// next returns when to try again after a number of tries, false when the last
// one has been made. The wait is the gap between two steps, so that a delivery
// which slept through some of them does not make up for them in a rush; r, from
// 0 to below 1, spreads it by ±10 %.
func (s schedule) next(since, now time.Time, tries int, r float64) (time.Time, bool) {
	end := since.Add(s.end)
	if !now.Before(end) {
		return time.Time{}, false
	}
	i := min(max(tries, 1), len(s.ages)-1)
	gap := time.Duration(float64(s.ages[i]-s.ages[i-1]) * (0.9 + 0.2*r))
	if at := now.Add(gap); at.Before(end) {
		return at, true
	}
	return end, true
}

package dnscheck

import "testing"

func TestShare(t *testing.T) {
	type run struct {
		n  int
		ok bool
	}
	for name, tt := range map[string]struct {
		runs []run
		open bool
	}{
		"nothing seen":           {},
		"too few":                {runs: []run{{49, false}}},
		"all fail":               {runs: []run{{50, false}}, open: true},
		"just a fifth":           {runs: []run{{160, true}, {40, false}}},
		"more than a fifth":      {runs: []run{{160, true}, {41, false}}, open: true},
		"old failures slide out": {runs: []run{{49, true}, {12, false}, {200, true}, {40, false}}},
		"good ones close it":     {runs: []run{{50, false}, {20, true}}},
		"a bad one between":      {runs: []run{{50, false}, {19, true}, {1, false}, {19, true}}, open: true},
		"it starts anew":         {runs: []run{{50, false}, {20, true}, {49, false}}},
		"and opens anew":         {runs: []run{{50, false}, {20, true}, {50, false}, {19, true}}, open: true},
	} {
		t.Run(name, func(t *testing.T) {
			var s share
			for _, r := range tt.runs {
				for range r.n {
					s.record(r.ok)
				}
			}
			if s.open != tt.open {
				t.Errorf("open is %v", s.open)
			}
		})
	}
}

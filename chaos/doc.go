// Package chaos is the reliability harness: its tests run the real program,
// take away what it stands on while clients are busy, and compare what was
// acknowledged with what is there. `make chaos` prints the figures.
//
//	CHAOS_TIME   how long each part is under load (2s; `make chaos`: 8s)
//	CHAOS_SEED   repeats the choices of a run, as far as they are ours
//	CHAOS_RACE   any value: the program has the race detector, and is slower
package chaos

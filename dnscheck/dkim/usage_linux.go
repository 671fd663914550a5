package dkim

import (
	"syscall"
	"time"
)

// rusageThread is RUSAGE_THREAD of getrusage(2).
const rusageThread = 1

// processorTime asks the kernel; it costs a microsecond or two.
func processorTime() usage {
	return usage{process: spent(syscall.RUSAGE_SELF), thread: spent(rusageThread)}
}

func spent(who int) time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(who, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

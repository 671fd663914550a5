//go:build !linux

package dkim

import (
	"runtime"
	"time"
)

var started = time.Now()

// processorTime cannot tell: half of a processor is always for the others.
func processorTime() usage {
	return usage{process: time.Since(started) * time.Duration(runtime.GOMAXPROCS(0)) / restFactor}
}

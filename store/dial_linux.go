package store

import "syscall"

// unanswered is how long sent data may stay unacknowledged: behind a cut
// network a statement would else hang for a quarter of an hour.
const unanswered = 5_000 // ms

// tcpUserTimeout is TCP_USER_TIMEOUT of RFC 5482, which syscall does not name.
const tcpUserTimeout = 0x12

func dropUnanswered(network, _ string, c syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var set error
	err := c.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, unanswered)
	})
	if err != nil {
		return err
	}
	return set
}

package resolve

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"time"
)

// exchangeTCP asks over a connection of its own (RFC 7766) and returns the
// message that answers. A few others on the connection are ignored; ctx ends it
// at once.
func exchangeTCP(ctx context.Context, addr netip.AddrPort, q query) ([]byte, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	id := randomID()
	out := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(q.wire)), uint16(len(q.wire)))
	out = append(out, q.wire...)
	binary.BigEndian.PutUint16(out[2:], id)
	if _, err := conn.Write(out); err != nil {
		return nil, err
	}
	for range maxMisfits {
		pkt, err := readTCP(conn)
		if err != nil {
			return nil, err
		}
		if len(pkt) >= headerSize && binary.BigEndian.Uint16(pkt) == id && q.matches(pkt) != matchNone {
			return pkt, nil
		}
	}
	return nil, errSuspect
}

// readTCP reads one message behind its length.
func readTCP(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	pkt := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, pkt)
	return pkt, err
}

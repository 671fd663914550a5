package lab

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// zones are the authority's zones, from the root down, each with the records
// that delegate what is below it.
var zones = []struct{ name, content string }{
	{"", "ns.root-servers.net. 1 A 127.0.0.1\n" + delegation("net")},
	{"net", delegation(parent)},
	{parent, delegation(Zone) + delegation(dead)},
	{Zone, ""},
}

func delegation(zone string) string {
	return fmt.Sprintf("%[1]s. 1 NS ns.%[1]s.\nns.%[1]s. 1 A 127.0.0.1\n", zone)
}

// master returns a zone's master file. Negative answers live one second.
func master(zone, content string) string {
	own := delegation(zone)
	if zone == "" {
		own = ". 1 NS ns.root-servers.net.\n"
	}
	soa := fmt.Sprintf("%s. 1 SOA ns.%s. hostmaster.%s. 1 3600 600 86400 1\n", zone, parent, parent)
	return soa + own + content
}

// knotConfig takes the directory, the listen address, the control socket.
const knotConfig = `server:
  rundir: %[1]q
  listen: %[2]s
  udp-workers: 1
  tcp-workers: 4
  background-workers: 1
control:
  listen: %[3]q
log:
  - target: stderr
    any: warning
database:
  storage: %[1]q
acl:
  - id: tests
    address: 127.0.0.1
    action: [update, transfer]
template:
  - id: default
    storage: %[1]q
    acl: tests
    semantic-checks: off
    zonefile-sync: -1
    journal-content: none
zone:
`

// startAuthority returns a Knot that serves the zones. The zone named dead is
// configured and has no file: Knot answers SERVFAIL for it.
func (l *Lab) startAuthority() (*process, error) {
	dir := filepath.Join(l.dir, "knot")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	var list strings.Builder
	for _, z := range zones {
		file := filepath.Join(dir, z.name+".zone")
		if err := os.WriteFile(file, []byte(master(z.name, z.content)), 0o600); err != nil {
			return nil, err
		}
		fmt.Fprintf(&list, "  - domain: %q\n    file: %q\n", z.name+".", file)
	}
	fmt.Fprintf(&list, "  - domain: %q\n    file: %q\n", dead+".", filepath.Join(dir, "absent"))

	return onFreePort(Zone, func(at netip.AddrPort) (*process, error) {
		l.Authority = at
		return runKnot(dir, at, list.String())
	})
}

// runKnot starts a Knot in dir with its list of zones.
func runKnot(dir string, at netip.AddrPort, list string) (*process, error) {
	config := fmt.Sprintf(knotConfig, dir, listenAt(at), filepath.Join(dir, "sock"))
	file := filepath.Join(dir, "knot.conf")
	if err := os.WriteFile(file, []byte(config+list), 0o600); err != nil {
		return nil, err
	}
	return start(dir, sbin("knotd"), "-c", file)
}

// listenAt writes an address as Knot and unbound do, with an @ for the colon.
func listenAt(at netip.AddrPort) string {
	return fmt.Sprintf("%s@%d", at.Addr(), at.Port())
}

// onFreePort starts a server on a free port and waits until it answers for a
// zone.
func onFreePort(zone string, run func(netip.AddrPort) (*process, error)) (*process, error) {
	var last error
	for range startTries {
		at, err := freePort()
		if err != nil {
			return nil, err
		}
		p, err := run(at)
		if err != nil {
			return nil, err
		}
		if last = answers(at, zone, p); last == nil {
			return p, nil
		}
		p.stop()
	}
	return nil, last
}

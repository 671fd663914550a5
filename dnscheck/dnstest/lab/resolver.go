package lab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// unboundConfig takes the directory, the port and the name of the bogus part.
// It has the settings that the service asks of its resolver, with the caching
// times brought down to what a test can wait for, and one thing that only a
// laboratory wants: an authority on loopback. The trust anchor matches no key,
// so that whatever is below it fails validation.
const unboundConfig = `server:
  directory: %[1]q
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  interface: 127.0.0.1
  port: %[2]d
  do-ip6: no
  num-threads: 1
  num-queries-per-thread: 512
  outgoing-range: 1024
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  module-config: "validator iterator"
  trust-anchor: "%[3]s. DS 12345 13 2 %[4]s"
  ede: yes
  val-log-level: 2
  cache-max-ttl: 1
  cache-max-negative-ttl: 0
  infra-host-ttl: 1
  aggressive-nsec: no
  serve-expired: no
  prefetch: no
  edns-buffer-size: 1232
  use-caps-for-id: yes
  harden-below-nxdomain: yes
  qname-minimisation: yes
  private-address: 10.0.0.0/8
  private-address: 172.16.0.0/12
  private-address: 192.168.0.0/16
  private-address: fe80::/10
`

// optional are settings that not every release has; without the first two a
// slow authority means silence and not SERVFAIL.
var optional = []string{"discard-timeout: 0", "wait-limit: 0"}

func (l *Lab) startResolver() error {
	dir := filepath.Join(l.dir, "unbound")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := l.copyUnbound(); err != nil {
		return fmt.Errorf("copy unbound: %w", err)
	}
	p, err := onFreePort(Zone, func(at netip.AddrPort) (*process, error) {
		l.Resolver = at
		if err := l.writeResolverConfig(dir); err != nil {
			return nil, err
		}
		return l.runUnbound()
	})
	if err != nil {
		return err
	}
	l.unbound = p
	return nil
}

func (l *Lab) runUnbound() (*process, error) {
	dir := filepath.Join(l.dir, "unbound")
	return start(dir, l.unboundCopy(), "-d", "-c", filepath.Join(dir, "unbound.conf"))
}

// unboundCopy is the program that runs. Where Debian's AppArmor profile is
// loaded, /usr/sbin/unbound itself reads no configuration outside /etc.
func (l *Lab) unboundCopy() string { return filepath.Join(l.dir, "unbound", "unbound") }

func (l *Lab) copyUnbound() error {
	path, err := exec.LookPath(sbin("unbound"))
	if err != nil {
		return err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(l.unboundCopy(), program, 0o700)
}

// writeResolverConfig writes unbound's file, with a stub for every zone:
// following the delegations would lead to port 53.
func (l *Lab) writeResolverConfig(dir string) error {
	file := filepath.Join(dir, "unbound.conf")
	config := fmt.Sprintf(unboundConfig, dir, l.Resolver.Port(), Bogus, strings.Repeat("0f", 32))
	for _, setting := range optional {
		if knows(dir, setting) {
			config += "  " + setting + "\n"
		}
	}
	names := []string{dead}
	for _, z := range zones {
		names = append(names, z.name)
	}
	for _, name := range names {
		config += fmt.Sprintf("stub-zone:\n  name: %q\n  stub-addr: %s\n", name+".", listenAt(l.Authority))
	}
	return os.WriteFile(file, []byte(config), 0o600)
}

// knows reports whether the installed unbound has a setting.
func knows(dir, setting string) bool {
	file := filepath.Join(dir, "probe.conf")
	if err := os.WriteFile(file, []byte("server:\n  "+setting+"\n"), 0o600); err != nil {
		return false
	}
	return exec.Command(sbin("unbound-checkconf"), file).Run() == nil
}

// stopResolver ends whatever answers at the resolver's address.
func (l *Lab) stopResolver() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unbound != nil {
		l.unbound.stop()
		l.unbound = nil
	}
	if l.standIn != nil {
		l.standIn.close()
		l.standIn = nil
	}
}

package main_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/domaind/domaind/dnscheck/dnstest/lab"
)

// toolWithin bounds one run of another project's tool.
const toolWithin = 30 * time.Second

// needTool fails or skips, as lab.Require does, where a program is missing.
func needTool(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing(t, program, pkg)
	}
}

// needModule is needTool for what a program needs beside itself; the program
// with these arguments must end well.
func needModule(t *testing.T, pkg, program string, args ...string) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), program, args...).Run(); err != nil {
		missing(t, program+" "+strings.Join(args, " "), pkg)
	}
}

func missing(t *testing.T, what, pkg string) {
	t.Helper()
	if os.Getenv("DOMAIND_REQUIRE_SERVERS") == "1" {
		t.Fatalf("%s is missing: apt-get install %s", what, pkg)
	}
	t.Skipf("SKIPPED: %s is missing: apt-get install %s", what, pkg)
}

// outsider runs programs that know no resolver but that of /etc/resolv.conf,
// on port 53: each sees a file of its own there, in a mount namespace that
// ends with it, and the machine's own stays as it is.
type outsider struct{ address, resolvConf string }

// newOutsider has the lab's resolver on port 53 of some loopback address. It
// skips the test, loudly, for a user who may not do that.
func newOutsider(t *testing.T, l *lab.Lab) outsider {
	t.Helper()
	const unshare = "unshare"
	if err := exec.Command(unshare, "-m", "true").Run(); err != nil {
		t.Skipf("SKIPPED: %s -m: %v; run as root", unshare, err)
	}
	address := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	if err := relay(t, net.JoinHostPort(address, "53"), l.Resolver.String()); err != nil {
		t.Skipf("SKIPPED: %v; run as root, with port 53 free", err)
	}
	o := outsider{address, filepath.Join(t.TempDir(), "resolv.conf")}
	if err := os.WriteFile(o.resolvConf, []byte("nameserver "+address+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return o
}

// run returns all that the program printed.
func (o outsider) run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), toolWithin)
	defer cancel()
	const mounted = `mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`
	args = append([]string{"-m", "sh", "-c", mounted, "sh", o.resolvConf, program}, args...)
	cmd := exec.CommandContext(ctx, "unshare", args...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// relay passes questions on from one address to another until the test ends.
func relay(t *testing.T, from, to string) error {
	udp, err := net.ListenPacket("udp", from)
	if err != nil {
		return err
	}
	tcp, err := net.Listen("tcp", from)
	if err != nil {
		return errors.Join(err, udp.Close())
	}
	for _, s := range []*dns.Server{{PacketConn: udp}, {Listener: tcp}} {
		client := &dns.Client{Net: "tcp", Timeout: toolWithin}
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			reply, _, err := client.Exchange(q, to)
			if err != nil {
				reply = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			}
			if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
				reply.Truncate(room(q))
			}
			_ = w.WriteMsg(reply)
		})
		ended := make(chan error, 1)
		go func() { ended <- s.ActivateAndServe() }()
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-ended
		})
	}
	return nil
}

// room is how long an answer over UDP may be.
func room(q *dns.Msg) int {
	if opt := q.IsEdns0(); opt != nil {
		return int(max(opt.UDPSize(), dns.MinMsgSize))
	}
	return dns.MinMsgSize
}

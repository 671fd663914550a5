package inbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/domaind/domaind/store"
)

// postfix is an instance of its own in a temporary directory; it never touches
// that of the machine. Its files are found below POSTFIX_ROOT.
type postfix struct{ addr string }

const postfixMain = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
daemon_directory = %[2]s/usr/lib/postfix/sbin
command_directory = %[2]s/usr/sbin
shlib_directory = %[2]s/usr/lib/postfix
mail_owner = nobody
setgid_group = mail
default_privs = games
import_environment = MAIL_CONFIG=%[1]s LD_LIBRARY_PATH=%[2]s/usr/lib/postfix
maillog_file = %[1]s/data/mail.log
maillog_file_prefixes = %[1]s
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.example
mydestination =
alias_maps =
relay_domains = static:ALL
mynetworks = 127.0.0.0/8
disable_dns_lookups = yes
smtpd_peername_lookup = no
local_header_rewrite_clients =
default_transport = error:no such route
transport_maps = inline:{ %[3]s }
`

const postfixMaster = `%s inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// startPostfix starts an instance that hands the mail of each domain to an
// address.
func startPostfix(t *testing.T, routes map[string]string) *postfix {
	t.Helper()
	root := strings.TrimSuffix(os.Getenv("POSTFIX_ROOT"), "/")
	master := root + "/usr/lib/postfix/sbin/master"
	if _, err := os.Stat(master); err != nil || os.Getuid() != 0 {
		t.Skip("needs Postfix, and root to start it")
	}
	dir, err := os.MkdirTemp("", "postfix-") // t.TempDir is closed to its user
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	free := listen(t)
	p := &postfix{addr: free.Addr().String()}
	_ = free.Close()
	var list []string
	for domain, addr := range routes {
		host, port, _ := net.SplitHostPort(addr)
		list = append(list, fmt.Sprintf("{ %s = smtp:[%s]:%s }", domain, host, port))
	}
	p.lay(t, dir, map[string]string{
		"main.cf":   fmt.Sprintf(postfixMain, dir, root, strings.Join(list, ", ")),
		"master.cf": fmt.Sprintf(postfixMaster, p.addr),
	})
	cmd := exec.CommandContext(context.Background(), master, "-c", dir, "-d")
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+dir, "LD_LIBRARY_PATH="+root+"/usr/lib/postfix")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return p
}

// lay makes the directories and files of an instance.
func (p *postfix) lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	owner, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	all := []string{".", "data", "queue", "queue/pid", "queue/public", "queue/maildrop"}
	for _, d := range strings.Fields("active bounce corrupt defer deferred flush hold incoming private saved trace") {
		all = append(all, "queue/"+d)
	}
	for _, d := range all {
		path := filepath.Join(dir, d)
		err = errors.Join(err, os.MkdirAll(path, 0o755)) //nolint:gosec // its processes have users of their own
		if d != "." && d != "queue" && d != "queue/pid" {
			err = errors.Join(err, os.Chown(path, uid, -1))
		}
	}
	err = errors.Join(err, os.Chmod(dir, 0o755)) //nolint:gosec // as above
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)) //nolint:gosec // as above
	}
	if err != nil {
		t.Fatal(err)
	}
}

// send hands a message to the instance, once it listens.
func (p *postfix) send(t *testing.T, text string, to ...string) {
	t.Helper()
	until(t, "Postfix to take mail", func() bool { return smtp.SendMail(p.addr, nil, sender, to, []byte(text)) == nil })
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	end := time.After(20 * time.Second)
	for !done() {
		select {
		case <-ticker.C:
		case <-end:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Postfix is the sender, the smarthost, and who reports that the target refused
// what it had taken.
func TestPostfix(t *testing.T) {
	hop, back := startHop(t, nil), startHop(t, nil)
	w := newWorld(t, func(c *Config) { c.Relay.Mode = RelaySmarthost })
	p := startPostfix(t, map[string]string{
		"customer.example": w.addr, "mx.example.com": w.addr, "target.example": hop.addr, "sender.example": back.addr,
	})
	w.c.Relay.Addr = p.addr
	w.publish(`sender.example. 60 IN TXT "v=spf1 ip4:127.0.0.1 -all"`)
	w.active("u1", "customer.example")
	w.route("u1", "customer.example", store.PutRoute{Mode: store.ForwardModeForwardEmail, ForwardTo: "carol@target.example"})
	text := signed(t, w, letter(100_000)+".dot\r\n")
	p.send(t, text, "bob@customer.example")
	until(t, "the message", func() bool { return len(w.deliveries("u1", "customer.example")) == 1 })
	w.once()
	until(t, "the target to have it", func() bool { return len(hop.mails()) == 1 })
	d, got := w.delivery("u1", "customer.example"), hop.mails()[0]
	if d.State != store.DeliveryStateDelivered || got.from != w.returnPath(d.ID) || !strings.HasSuffix(string(got.data), text) {
		t.Fatalf("%+v from %s, %d octets end with %d", d, got.from, len(got.data), len(text))
	}
	hop.answers(&gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"})
	p.send(t, letter(500), "ann@customer.example")
	until(t, "the second message", func() bool { return len(w.deliveries("u1", "customer.example")) == 2 })
	w.once()
	until(t, "its report", func() bool { w.once(); return len(back.mails()) == 1 })
	report := back.mails()[0]
	if report.from != "" || report.to != sender || !strings.Contains(string(report.data), "Action: failed") {
		t.Errorf("%+v", report)
	}
	for _, d := range w.deliveries("u1", "customer.example") {
		if want := d.RcptTo == "ann@customer.example"; (d.State == store.DeliveryStateFailed) != want {
			t.Errorf("%+v", d)
		}
	}
}

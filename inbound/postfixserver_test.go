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
	"syscall"
	"testing"
)

// postfix is an instance of its own in a temporary directory; it never touches
// that of the machine.
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
in_flow_delay = 0
%[4]s
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
lmtp unix - - n - - lmtp
tlsmgr unix - - n 1000? 1 tlsmgr
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`

// postfixOptions are where an instance sends the mail of each domain, in the
// form of its transport table, and lines of its main.cf.
type postfixOptions struct {
	routes   map[string]string
	settings []string
}

// over is the transport to an SMTP server.
func over(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return "smtp:[" + host + "]:" + port
}

// postfixRoot returns what stands before the paths of an installed Postfix:
// POSTFIX_ROOT, or nothing; and whether there is one that can be started.
func postfixRoot() (root string, ok bool) {
	root = strings.TrimSuffix(os.Getenv("POSTFIX_ROOT"), "/")
	_, err := os.Stat(root + "/usr/lib/postfix/sbin/master")
	return root, err == nil && os.Getuid() == 0
}

// startPostfix starts an instance, or skips the test.
func startPostfix(t *testing.T, o postfixOptions) *postfix {
	t.Helper()
	root, ok := postfixRoot()
	switch {
	case !ok && os.Getenv("DOMAIND_REQUIRE_SERVERS") != "":
		t.Fatal("Postfix is required here, and root to start it")
	case !ok:
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
	for domain, transport := range o.routes {
		list = append(list, fmt.Sprintf("{ %s = %s }", domain, transport))
	}
	if len(o.settings) == 0 || !strings.HasPrefix(o.settings[0], "maillog_file") {
		o.settings = append(o.settings, "maillog_file = "+dir+"/data/mail.log", "maillog_file_prefixes = "+dir)
	}
	p.lay(t, dir, map[string]string{
		"main.cf":   fmt.Sprintf(postfixMain, dir, root, strings.Join(list, ", "), strings.Join(o.settings, "\n")),
		"master.cf": fmt.Sprintf(postfixMaster, p.addr),
	})
	cmd := exec.CommandContext(context.Background(), root+"/usr/lib/postfix/sbin/master", "-c", dir, "-d")
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+dir, "LD_LIBRARY_PATH="+root+"/usr/lib/postfix")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its children are to end with it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if log, err := os.ReadFile(filepath.Join(dir, "data", "mail.log")); err == nil && t.Failed() {
			t.Logf("its log:\n%s", log)
		}
	})
	until(t, "Postfix to listen", func() bool {
		c, err := smtp.Dial(p.addr)
		if err != nil {
			return false
		}
		return c.Quit() == nil
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

// send hands a message to the instance.
func (p *postfix) send(t *testing.T, text string, to ...string) {
	t.Helper()
	if err := smtp.SendMail(p.addr, nil, sender, to, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

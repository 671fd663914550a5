package main_test

import (
	"net/smtp"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/domaind/domaind/dnscheck/dnstest"
)

// TestClientScripts runs the commands that call a service, all against one
// that runs as `domaind serve`. Beside the commands of TestScripts:
//
//	letter FROM TO FILE   sends the file by SMTP, its lines ended by CRLF
//	firstid FILE          sets $ID to that of the first row of a table
func TestClientScripts(t *testing.T) {
	dns, err := dnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dns.Close)
	s := serve(t, "DOMAIND_API_KEY="+labKey, "DOMAIND_MX_HOST=mx.mail.example", "DOMAIND_DKIM_POOL=2", "DOMAIND_CHECK_MIN=1s",
		"DOMAIND_DNS_SERVERS="+dns.Addr().String(), "DOMAIND_ALLOW_SPECIAL_USE=true", "DOMAIND_SMTP_LISTEN=127.0.0.1:0",
		"DOMAIND_ALLOW_PRIVATE_WEBHOOKS=127.0.0.0/8")
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "client"),
		Setup: func(e *testscript.Env) error {
			e.Values[serverKey{}] = dns
			e.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("DOMAIND_SERVER", s.url)
			e.Setenv("ADDRESS", strings.TrimPrefix(s.url, "http://"))
			e.Setenv("DOMAIND_API_KEY", labKey)
			e.Setenv("DOMAIND_USER", "user_"+filepath.Base(e.WorkDir))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits, "oneline": scriptOneLine, "publish": scriptPublish,
			"firstid": scriptFirstID,
			"letter": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 3 {
					ts.Fatalf("usage: letter FROM TO FILE")
				}
				text := strings.ReplaceAll(ts.ReadFile(args[2]), "\n", "\r\n")
				ts.Check(smtp.SendMail(s.smtp, nil, args[0], args[1:2], []byte(text)))
			},
		},
		Condition: func(cond string) (bool, error) {
			_, err := exec.LookPath(cond)
			return err == nil, nil
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func scriptFirstID(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: firstid FILE")
	}
	lines := strings.Split(ts.ReadFile(args[0]), "\n")
	if len(lines) < 3 {
		ts.Fatalf("no row in %s", args[0])
	}
	ts.Setenv("ID", strings.Fields(lines[1])[0])
}

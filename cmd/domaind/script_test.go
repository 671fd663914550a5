package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/domaind/domaind/dnscheck"
	"github.com/domaind/domaind/dnscheck/dkim"
	"github.com/domaind/domaind/dnscheck/dnstest"
	"github.com/domaind/domaind/store"
)

// TestScripts runs the program as an operator does: each script has a
// directory, a database that its first command makes, and a DNS server.
//
//	exits N domaind …          runs a command that must end with that code
//	oneline TEXT…              says that stderr is one line that has each text
//	publish FILE               sets the file's records
//	fault NAME BEHAVIOUR       has the server behave so for a name
//	create USER DOMAIN FILE    makes a domain, writes its zone to the file, and
//	                           sets $SELECTOR and $KEY to those of its DKIM
//	idof FILE NAME             sets $ID to that of a key in a key list
//	secretof FILE              sets $SECRET to what the file holds
//	mode FILE OCTAL            says that the file has these permissions
//	refuses VARIABLE VALUE     says that serve refuses the value
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			server, err := dnstest.Start()
			if err != nil {
				return err
			}
			e.Defer(server.Close)
			e.Values[serverKey{}] = server
			e.Setenv("PATH", filepath.Dir(binary)+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("DOMAIND_DNS_SERVERS", server.Addr().String())
			e.Setenv("DOMAIND_DATABASE", filepath.Join(e.WorkDir, "domaind.db"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits, "oneline": scriptOneLine, "publish": scriptPublish,
			"fault": scriptFault, "create": scriptCreate, "idof": scriptIDOf,
			"secretof": scriptSecretOf, "mode": scriptMode, "refuses": scriptRefuses,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

type serverKey struct{}

func scriptServer(ts *testscript.TestScript) *dnstest.Server {
	return ts.Value(serverKey{}).(*dnstest.Server)
}

// scriptExits is exec with an exit code.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func scriptOneLine(ts *testscript.TestScript, neg bool, texts []string) {
	text := ts.ReadFile("stderr")
	if neg || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "domaind: ") {
		ts.Fatalf("stderr is not one line of domaind's: %q", text)
	}
	for _, s := range texts {
		if !strings.Contains(text, s) {
			ts.Fatalf("stderr is %q, want %q in it", text, s)
		}
	}
}

// scriptRefuses starts the service with one variable set; without a value, to
// nothing.
func scriptRefuses(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: refuses VARIABLE [VALUE]")
	}
	scriptExits(ts, false, []string{"2", "env", args[0] + "=" + strings.Join(args[1:], ""), "domaind", "serve"})
	scriptOneLine(ts, false, args[:1])
}

func scriptPublish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: publish FILE")
	}
	ts.Check(scriptServer(ts).Set(strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")...))
}

func scriptFault(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fault NAME BEHAVIOUR")
	}
	scriptServer(ts).Fault(args[0], dnstest.Behaviour(args[1]))
}

func scriptCreate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: create USER DOMAIN FILE")
	}
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{
		Database: ts.Getenv("DOMAIND_DATABASE"),
		Service:  dnscheck.Service{MXHost: "mx.mail.example", MXPriority: 10, SPF: "v=spf1 mx ~all", DMARC: "v=DMARC1; p=none;"},
		NewKey:   func(context.Context) (dkim.Key, error) { return dkim.Generate() },
	})
	ts.Check(err)
	d, _, err := db.CreateDomain(ctx, store.Tenant{UserID: args[0]}, store.NewDomain{Name: args[1], Unicode: args[1]})
	ts.Check(errors.Join(err, db.Close()))
	var planned []dnscheck.PlannedRecord
	for _, r := range d.Records {
		planned = append(planned, dnscheck.PlannedRecord{Type: r.Type, Name: r.Name, Value: r.Value, Priority: r.Priority, TTL: r.TTL})
		if r.Purpose == dnscheck.PurposeDKIM {
			ts.Setenv("SELECTOR", strings.TrimSuffix(r.Host, "._domainkey"))
			ts.Setenv("KEY", r.Value[strings.Index(r.Value, "p=")+len("p="):])
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(dnscheck.Zone(planned)), 0o600))
}

// scriptIDOf sets $ID to that of the key with a name, out of a key list.
func scriptIDOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: idof FILE NAME")
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if fields := strings.Fields(line); slices.Contains(fields, args[1]) {
			ts.Setenv("ID", fields[0])
			return
		}
	}
	ts.Fatalf("no key %s in %s", args[1], args[0])
}

func scriptSecretOf(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: secretof FILE")
	}
	ts.Setenv("SECRET", strings.TrimSpace(ts.ReadFile(args[0])))
}

func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}

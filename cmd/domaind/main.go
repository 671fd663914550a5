// Command domaind runs the control plane for managed mail domains.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes of every command.
const (
	exitOK    = 0 // yes
	exitNo    = 1 // no
	exitError = 2 // could not
)

// errNo ends a command that could do its work and whose answer is no.
var errNo = errors.New("no")

// cli lists the commands.
type cli struct {
	Serve     serveCmd     `cmd:"" help:"Run the service."`
	Demo      demoCmd      `cmd:"" help:"Show the whole journey on loopback, then clean up."`
	Domain    domainCmd    `cmd:"" help:"Create, check, route and delete domains of a running service."`
	Message   messageCmd   `cmd:"" help:"Read the mail that a running service keeps."`
	Check     checkCmd     `cmd:"" help:"Check one domain's DNS: exit 0 all match, 1 not, 2 could not tell."`
	Key       keyCmd       `cmd:"" help:"Manage API keys."`
	DKIM      dkimCmd      `cmd:"" name:"dkim" help:"Export DKIM keys to the signers."`
	Demotions demotionsCmd `cmd:"" help:"Count the demotions that the sweep guard holds, or let them go."`
	Backup    backupCmd    `cmd:"" help:"Write a consistent copy of an SQLite database and its mail, while it is used."`
	Migrate   migrateCmd   `cmd:"" help:"Bring the database's schema up, or show it."`
	Version   versionCmd   `cmd:"" help:"Print the version."`

	Completion completionCmd `cmd:"" help:"Print a shell's completion of these commands."`
}

// streams are where a command writes.
type streams struct {
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process: it parses args, runs one command
// and returns the exit code. A failure is one line on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("domaind"),
		kong.Description("A self-hosted control plane for the mail domains that customers bring along."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams{out: stdout, err: stderr}),
	)
	if err != nil {
		return fail(stderr, err)
	}
	command, err := parser.Parse(args)
	switch {
	case exited >= 0: // --help printed its text
		return exited
	case err != nil:
		return fail(stderr, err)
	}
	err = command.Run()
	refused, hasReason := errors.AsType[refusedError](err)
	switch {
	case hasReason:
		fail(stderr, refused)
		return exitNo
	case errors.Is(err, errNo):
		return exitNo
	case err != nil:
		return fail(stderr, err)
	}
	return exitOK
}

func fail(stderr io.Writer, err error) int {
	line := strings.Join(strings.Fields(err.Error()), " ")
	_, _ = fmt.Fprintln(stderr, "domaind: "+line)
	return exitError
}

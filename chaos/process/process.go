// Package process runs the program as a user does, for tests that kill it,
// stop it and start it again.
package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// StartWithin is how long the program may take to say where it listens.
	StartWithin = 30 * time.Second
	// DrainWithin is how long it may take to end after SIGTERM.
	DrainWithin = 25 * time.Second
)

// Build compiles the program into dir with some more flags of go build, and
// returns its file.
func Build(dir string, flags ...string) (string, error) {
	binary := filepath.Join(dir, "domaind")
	args := append([]string{"build", "-o", binary}, flags...)
	args = append(args, "github.com/domaind/domaind/cmd/domaind")
	out, err := exec.CommandContext(context.Background(), "go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return binary, nil
}

// Process is a running `domaind serve`.
type Process struct {
	PID  int
	URL  string // of the API
	SMTP string // where it takes mail, "off" when it does not
	Log  *Log

	cmd *exec.Cmd
}

// Start runs the program in dir with only these settings, on a free port of
// the loopback, and returns when it listens. The error has the end of its log.
func Start(binary, dir string, settings ...string) (*Process, error) {
	p, err := Launch(binary, dir, settings...)
	if err != nil {
		return nil, err
	}
	select {
	case s := <-p.Log.serving:
		p.URL, p.SMTP = "http://"+s.Address, s.SMTP
		return p, nil
	case <-p.Log.done:
		_ = p.cmd.Wait()
		return nil, fmt.Errorf("domaind ended:\n%s", p.Log)
	case <-time.After(StartWithin):
		p.Kill()
		return nil, fmt.Errorf("domaind does not say where it listens:\n%s", p.Log)
	}
}

// Launch is Start for a program that may die before it listens: it returns at
// once, and the URL is not known.
func Launch(binary, dir string, settings ...string) (*Process, error) {
	cmd := exec.CommandContext(context.Background(), binary, "serve") // it ends by Kill or Stop
	cmd.Dir = dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"DOMAIND_LISTEN=127.0.0.1:0",
		"DOMAIND_LOG_FORMAT=json",
	}, settings...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &Process{PID: cmd.Process.Pid, Log: follow(stderr), cmd: cmd}, nil
}

// Kill ends the program as a crash does, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.Log.done
	_ = p.cmd.Wait()
}

// Stop asks the program to end as an operator does, and returns an error when
// it did not end cleanly in time; it is gone either way.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.Log.done:
	case <-time.After(DrainWithin):
		p.Kill()
		return fmt.Errorf("domaind did not end within %v of SIGTERM", DrainWithin)
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("domaind ended with %w", err)
	}
	return nil
}

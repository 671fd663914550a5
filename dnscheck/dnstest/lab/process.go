package lab

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopWithin is how long a server may take to end before it is killed.
const stopWithin = 5 * time.Second

// process is one server that runs in the foreground, its output in a file.
type process struct {
	cmd  *exec.Cmd
	out  string
	done chan struct{} // closed when it has ended
}

func start(dir, name string, args ...string) (*process, error) {
	out := filepath.Join(dir, filepath.Base(name)+".log")
	file, err := os.Create(out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, out: out, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended stands in its log
	}()
	return p, nil
}

// stop ends the process and waits until it is gone.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// log returns the end of what the process has written.
func (p *process) log() string {
	const most = 2000
	text, err := os.ReadFile(p.out)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

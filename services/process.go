//go:build services

package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// command says what to start.
type command struct {
	name string // for messages
	dir  string
	env  []string
	args []string
}

// process is a running service. It leads a process group of its own, so that a signal reaches its children as well, and
// dies with the test binary however that ends.
type process struct {
	name    string
	cmd     *exec.Cmd
	journal *journal
	exited  chan struct{} // closed once err is set
	err     error
}

func launch(c command, awaited string) (*process, error) {
	p := &process{
		name:    c.name,
		cmd:     exec.Command(c.args[0], c.args[1:]...),
		journal: newJournal(awaited),
		exited:  make(chan struct{}),
	}
	p.cmd.Dir = c.dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "LC_ALL=C.UTF-8"}, c.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.journal, p.journal
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: unprivileged, Gid: unprivileged}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// ready waits for the awaited words in what the process prints.
func (p *process) ready(ctx context.Context) error {
	select {
	case <-p.journal.found:
		return nil
	case <-p.exited:
		return fmt.Errorf("%s ended before it was ready: %w\n%s", p.name, p.err, p.journal)
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s: %w\n%s", p.name, ctx.Err(), p.journal)
	}
}

// signal sends a signal to the process and its children.
func (p *process) signal(s syscall.Signal) error {
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signalling %s: %w", p.name, err)
	}
	return nil
}

// kill ends the process at once.
func (p *process) kill() error {
	err := p.signal(syscall.SIGKILL)
	<-p.exited
	return err
}

// terminate asks the process to end, if it has not ended already, and kills it when that takes too long.
func (p *process) terminate(patience time.Duration) error {
	select {
	case <-p.exited:
		return nil // its id may be another's by now
	default:
	}
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
		return p.signal(syscall.SIGKILL) // what its children left running
	case <-timer.C:
		return errors.Join(fmt.Errorf("%s did not end within %s", p.name, patience), p.kill())
	}
}

// runTool runs a command to its end and returns what it printed.
func runTool(ctx context.Context, c command) (string, error) {
	p, err := launch(c, "")
	if err != nil {
		return "", err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		return "", errors.Join(fmt.Errorf("running %s: %w", c.name, ctx.Err()), p.kill())
	}
	if p.err != nil {
		return "", fmt.Errorf("running %s: %w\n%s", c.name, p.err, p.journal)
	}
	return p.journal.String(), nil
}

// journal keeps the last lines that a process printed and notices the awaited words among them.
type journal struct {
	found chan struct{} // closed once a line held the awaited words

	mu      sync.Mutex
	awaited string
	partial []byte
	lines   []string
}

const journalLines = 200 // lines kept: a Java stack trace with its causes

func newJournal(awaited string) *journal {
	return &journal{found: make(chan struct{}), awaited: awaited}
}

// Write implements io.Writer.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.partial = append(j.partial, b...)
	for {
		line, rest, complete := bytes.Cut(j.partial, []byte("\n"))
		if !complete {
			return len(b), nil
		}
		j.keep(string(line))
		j.partial = rest
	}
}

func (j *journal) keep(line string) {
	if len(j.lines) == journalLines {
		j.lines = append(j.lines[:0], j.lines[1:]...)
	}
	j.lines = append(j.lines, line)
	if j.awaited != "" && strings.Contains(line, j.awaited) {
		j.awaited = ""
		close(j.found)
	}
}

// String returns the lines kept.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(append(j.lines[:len(j.lines):len(j.lines)], string(j.partial)), "\n")
}

// freePorts returns TCP ports of the loopback address that nobody listens on. They lie below the range from which the
// system takes the ports of outgoing connections, so that a service that was killed finds its ports free again.
func freePorts(n int) ([]int, error) {
	const lowest, highest = 20_000, 32_000 // Linux takes outgoing ports from 32,768 up
	ports := make([]int, 0, n)
	taken := map[int]bool{}
	for range 1000 {
		port := lowest + rand.IntN(highest-lowest)
		if taken[port] {
			continue
		}
		listener, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			return nil, fmt.Errorf("trying port %d: %w", port, err)
		}
		taken[port] = true
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("finding free ports: all tried ones are taken")
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

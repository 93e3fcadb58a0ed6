//go:build services

package services

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Command says what to start.
type Command struct {
	Name string // for messages
	Dir  string // where it runs; its home as well
	Env  []string
	Args []string // the program first
}

// tidy has a JVM, started by itself or by a script, keep its temporary files in a folder: one that is killed leaves the libraries
// there that it unpacked. The files of its counters would have a place of their own.
func tidy(folder string) string {
	return "JDK_JAVA_OPTIONS=-Djava.io.tmpdir=" + folder + " -XX:-UsePerfData"
}

// Process is a running service. It leads a process group of its own, so that a signal reaches its children as well, and
// dies with the test binary however that ends.
type Process struct {
	name    string
	cmd     *exec.Cmd
	journal *journal
	exited  chan struct{} // closed once err is set
	err     error
}

// Launch starts a process, as the unprivileged user if the tests run as root. Ready waits for the awaited words in
// what it prints.
func Launch(c Command, awaited string) (*Process, error) {
	p := &Process{
		name:    c.Name,
		cmd:     exec.Command(c.Args[0], c.Args[1:]...),
		journal: newJournal(awaited),
		exited:  make(chan struct{}),
	}
	p.cmd.Dir = c.Dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.Dir, "LC_ALL=C.UTF-8", tidy(c.Dir)}, c.Env...)
	p.cmd.Stdout, p.cmd.Stderr = p.journal, p.journal
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: unprivileged, Gid: unprivileged}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// Ready waits for the awaited words in what the process prints.
func (p *Process) Ready(ctx context.Context) error {
	select {
	case <-p.journal.found:
		return nil
	case <-p.exited:
		return fmt.Errorf("%s ended before it was ready: %w\n%s", p.name, p.err, p.journal)
	case <-ctx.Done():
		return fmt.Errorf("waiting for %s: %w\n%s", p.name, ctx.Err(), p.journal)
	}
}

// Signal sends a signal to the process and its children.
func (p *Process) Signal(s syscall.Signal) error {
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signalling %s: %w", p.name, err)
	}
	return nil
}

// Exited is closed once the process has ended; Err says how.
func (p *Process) Exited() <-chan struct{} {
	return p.exited
}

// Err returns how a process ended that has ended: nil for status 0.
func (p *Process) Err() error {
	select {
	case <-p.exited:
		return p.err
	default:
		return nil
	}
}

// ID is the process id, which is the id of its process group as well.
func (p *Process) ID() int {
	return p.cmd.Process.Pid
}

// Output returns the last lines that the process and its children printed.
func (p *Process) Output() string {
	return p.journal.String()
}

// Kill ends the process at once.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.exited
	return err
}

// Terminate asks the process to end, if it has not ended already, and kills it when that takes too long.
func (p *Process) Terminate(patience time.Duration) error {
	select {
	case <-p.exited:
		return nil // its id may be another's by now
	default:
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.exited:
		return p.Signal(syscall.SIGKILL) // what its children left running
	case <-timer.C:
		return errors.Join(fmt.Errorf("%s did not end within %s", p.name, patience), p.Kill())
	}
}

// RunTool runs a command to its end and returns what it printed.
func RunTool(ctx context.Context, c Command) (string, error) {
	p, err := Launch(c, "")
	if err != nil {
		return "", err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		return "", errors.Join(fmt.Errorf("running %s: %w", c.Name, ctx.Err()), p.Kill())
	}
	if p.err != nil {
		return "", fmt.Errorf("running %s: %w\n%s", c.Name, p.err, p.journal)
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

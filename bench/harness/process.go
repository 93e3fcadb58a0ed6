package harness

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Processes are the process groups that were started and have not ended yet.
type Processes struct {
	mu   sync.Mutex
	live map[int]bool
}

// command is what to start.
type command struct {
	args   []string
	env    []string
	log    string // file for what it prints
	folder string
	pin    string // CPU list
}

// start runs a command in a process group of its own.
func (p *Processes) start(c command) (*exec.Cmd, error) {
	f, err := os.Create(c.log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	args := c.args
	if c.pin != "" {
		args = append([]string{"taskset", "-c", c.pin}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = f, f, c.folder
	cmd.Env = append(os.Environ(), c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %v: %w", args, err)
	}
	if p.live == nil {
		p.live = map[int]bool{}
	}
	p.live[cmd.Process.Pid] = true
	return cmd, nil
}

// KillAll ends what is left, and lets nothing start any more.
func (p *Processes) KillAll() {
	p.mu.Lock() // and keep it
	for group := range p.live {
		syscall.Kill(-group, syscall.SIGKILL)
	}
}

// stop asks a group to end, and makes it after 15 s. The error tells that it had to.
func (p *Processes) stop(c *exec.Cmd) error {
	if c == nil || c.Process == nil || c.ProcessState != nil {
		return nil
	}
	group := c.Process.Pid // Setpgid made it so
	syscall.Kill(-group, syscall.SIGTERM)
	done := make(chan struct{})
	go func() { c.Wait(); close(done) }()
	var err error
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		err = fmt.Errorf("%s did not end in 15 s after SIGTERM", c.Args[0])
		syscall.Kill(-group, syscall.SIGKILL)
		<-done
	}
	syscall.Kill(-group, syscall.SIGKILL) // children that are left over
	p.mu.Lock()
	delete(p.live, group)
	p.mu.Unlock()
	return err
}

// gone tells whether a child has ended; it may be a zombie still.
func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// waitLine waits for a line with the prefix in the file and returns the rest of it.
func waitLine(file, prefix string, patience time.Duration, c *exec.Cmd) (string, error) {
	end := time.Now().Add(patience)
	for time.Now().Before(end) {
		if rest, ok := findLine(file, prefix); ok {
			return rest, nil
		}
		if gone(c.Process.Pid) {
			return "", fmt.Errorf("ended early, see %s", file)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return "", fmt.Errorf("no %q in %s after %s", prefix, file, patience)
}

func findLine(file, prefix string) (string, bool) {
	f, err := os.Open(file)
	if err != nil {
		return "", false
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		if rest, ok := strings.CutPrefix(sc.Text(), prefix); ok {
			return rest, true
		}
	}
	return "", false
}

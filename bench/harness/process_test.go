package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProcesses(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	var p Processes
	c, err := p.start(command{args: []string{"bash", "-c", "echo READY $WORD; exec sleep 300"}, env: []string{"WORD=now"}, log: log})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := waitLine(log, "READY ", time.Minute, c)
	if err != nil || rest != "now" {
		t.Fatalf("%q, %v", rest, err)
	}
	group, _, rss, ok := stat(c.Process.Pid)
	if !ok || group != c.Process.Pid || rss <= 0 || peakOf(c.Process.Pid) <= 0 {
		t.Errorf("group %d of %d, %d bytes", group, c.Process.Pid, rss)
	}
	if err := p.stop(c); err != nil || !gone(c.Process.Pid) {
		t.Errorf("stopping: %v", err)
	}
	if err := p.stop(c); err != nil {
		t.Errorf("stopping again: %v", err)
	}
	if c, err = p.start(command{args: []string{"bash", "-c", "echo no"}, log: log}); err != nil {
		t.Fatal(err)
	}
	if _, err := waitLine(log, "READY ", time.Minute, c); err == nil || !strings.Contains(err.Error(), "ended early") {
		t.Errorf("a program that ends: %v", err)
	}
	if err := p.stop(c); err != nil {
		t.Error(err)
	}
	if _, err := p.start(command{args: []string{"/no/such/program"}, log: os.DevNull}); err == nil {
		t.Error("a program that is not there starts")
	}
}

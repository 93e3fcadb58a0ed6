package harness

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ticks are CPU seconds so far, and memory, at one time.
type ticks struct {
	at               time.Time
	peer             float64 // all processes of the peer
	rss              int64
	broker, receiver float64
	busy             float64 // the machine
}

// sample looks at the processes. The peer's are those of its process groups.
func sample(groups []int, broker *exec.Cmd, receivers []*receiver) ticks {
	t := ticks{at: time.Now()}
	if len(groups) > 0 {
		ds, _ := os.ReadDir("/proc")
		for _, d := range ds {
			pid, err := strconv.Atoi(d.Name())
			if err != nil {
				continue
			}
			if g, cpu, rss, ok := stat(pid); ok && slices.Contains(groups, g) {
				t.peer += cpu
				t.rss += rss
			}
		}
	}
	_, t.broker, _, _ = stat(broker.Process.Pid)
	for _, r := range receivers {
		_, cpu, _, _ := stat(r.cmd.Process.Pid)
		t.receiver += cpu
	}
	t.busy = busy()
	return t
}

// busy is what the machine's cores have worked, in seconds.
func busy() (sum float64) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for k, f := range strings.Fields(line) {
		if k == 0 || k == 4 || k == 5 || k >= 9 { // the name, idle, iowait, guest
			continue
		}
		v, _ := strconv.ParseFloat(f, 64)
		sum += v / 100
	}
	return sum
}

// stat reads the group, the CPU seconds (with reaped children) and the memory.
func stat(pid int) (group int, cpu float64, rss int64, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0, false
	}
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:]) // f[0] is the third field
	if len(f) < 22 {
		return 0, 0, 0, false
	}
	group, _ = strconv.Atoi(f[2])
	for k := 11; k <= 14; k++ {
		v, _ := strconv.ParseFloat(f[k], 64)
		cpu += v / 100
	}
	pages, _ := strconv.ParseInt(f[21], 10, 64)
	return group, cpu, pages * int64(os.Getpagesize()), true
}

// peakOf is the most memory that a process ever had, by the kernel.
func peakOf(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for l := range strings.SplitSeq(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, "VmHWM:"); ok {
			k, _ := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return k * 1024
		}
	}
	return 0
}

// series are samples in the order of time.
type series []ticks

// at is what the samples say of a time between them, linearly.
func (s series) at(t time.Time) ticks {
	if len(s) == 0 {
		return ticks{at: t}
	}
	for i := 1; i < len(s); i++ {
		a, b := s[i-1], s[i]
		if !b.at.After(t) {
			continue
		}
		r := max(0, min(1, float64(t.Sub(a.at))/float64(b.at.Sub(a.at))))
		mix := func(x, y float64) float64 { return x + r*(y-x) }
		return ticks{at: t, peer: mix(a.peer, b.peer), rss: a.rss, broker: mix(a.broker, b.broker),
			receiver: mix(a.receiver, b.receiver), busy: mix(a.busy, b.busy)}
	}
	last := s[len(s)-1]
	last.at = t
	return last
}

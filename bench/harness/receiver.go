package harness

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// receiver is a running receiver and, once it has ended, what it counted.
type receiver struct {
	cmd     *exec.Cmd
	folder  string
	port    int
	path    string // of the endpoint that counts
	base    string
	summary *summary
}

// summary is what a receiver prints at its end.
type summary struct {
	Why         string              `json:"why"`
	Endpoints   map[string]endpoint `json:"endpoints"`
	CPU         float64             `json:"cpu_s"`
	Connections int                 `json:"connections"`
}

// endpoint is what came to one path.
type endpoint struct {
	Bodies     int     `json:"bodies"`
	Bytes      float64 `json:"bytes"`
	Sessions   int     `json:"sessions"`
	Distinct   int     `json:"distinct"`
	Duplicates int     `json:"duplicates"`
	Missing    int     `json:"missing"`
	Rejected   int     `json:"rejected"`
	Altered    int     `json:"altered"`
	Unknown    int     `json:"unknown"`
	MaxBody    int     `json:"max_body"`
	P50Body    int     `json:"p50_body"`
	MaxCount   int     `json:"max_sessions"`
	Over       int     `json:"bodies_over_896000"`
	Over1000   int     `json:"bodies_over_1000"`
	FirstNS    int64   `json:"first_ns"`
	LastNS     int64   `json:"last_ns"`
	EndNS      int64   `json:"end_ns"`
	T95NS      int64   `json:"t95_ns"`
	D95        int     `json:"d95"`
}

// Arrival is a request that a receiver saw.
type Arrival struct {
	First    int64 `json:"first_ns"` // when it began to arrive
	Last     int   `json:"last"`     // index of its last session
	Sessions int   `json:"sessions"`
	Bytes    int   `json:"bytes"` // without compression
}

// startReceiver starts the i-th receiver of a run.
func (b *Bench) startReceiver(i int, p Peer, k *Broker, folder string, extra []string) (*receiver, error) {
	r := &receiver{folder: filepath.Join(folder, fmt.Sprintf("receiver-%d", i)), port: b.ReceiverPort + i, path: p.Paths[i]}
	if err := os.MkdirAll(r.folder, 0o755); err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", r.port)
	args := []string{filepath.Join(b.Bin, "receiver"), "-addr", addr, "-certs", b.certs(), "-crc", k.crcFile(),
		"-expect", strconv.Itoa(k.sessions()), "-complete", strconv.Itoa(k.expected(p.Zone)),
		"-timeout", b.Timeout.String(), "-idle", b.Idle.String(),
		"-o", filepath.Join(r.folder, "summary.json"), "-arrivals", filepath.Join(r.folder, "arrivals.json")}
	r.base = "https://" + addr
	if p.Plain {
		r.base = "http://" + addr
		args = append(args, "-http")
	}
	args = append(append(args, p.Recv...), extra...)
	args = append(args, strings.Fields(b.ReceiverFlags)...)
	log := filepath.Join(r.folder, "receiver.log")
	var err error
	if r.cmd, err = b.procs.start(command{args: args, log: log, pin: b.PinInfra}); err != nil {
		return nil, err
	}
	if _, err := waitLine(log, "READY ", time.Minute, r.cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("starting a receiver: %w", err), b.procs.stop(r.cmd))
	}
	return r, nil
}

// done tells whether the receiver has ended, and reads its summary then.
func (r *receiver) done() bool {
	if r.summary != nil {
		return true
	}
	b, err := os.ReadFile(filepath.Join(r.folder, "summary.json"))
	if err != nil || len(b) == 0 || b[len(b)-1] != '\n' {
		return false
	}
	var s summary
	if json.Unmarshal(b, &s) != nil {
		return false
	}
	r.summary = &s
	return true
}

// finish asks the receiver for its summary without waiting for more.
func (r *receiver) finish() { syscall.Kill(r.cmd.Process.Pid, syscall.SIGTERM) }

// arrivals reads the requests that came, in their order.
func (r *receiver) arrivals() (all []Arrival, err error) {
	b, err := os.ReadFile(filepath.Join(r.folder, "arrivals.json"))
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(b, &all)
	return all, err
}

// Package harness starts a broker, receivers and a peer, samples what they
// spend, and makes one row of figures of it.
package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Bench is where and how runs take place.
type Bench struct {
	Bin           string        // folder of the built programs
	Work          string        // scratch folder
	ReceiverPort  int           // of the first receiver; the others follow
	Timeout       time.Duration // for a run
	Idle          time.Duration // a receiver gives up when nothing came for so long
	ReceiverFlags string        // more of them for every receiver
	PinPeer       string        // CPU list of the peer
	PinInfra      string        // CPU list of broker and receivers
	Label         string        // of the rows
	Warn          func(error)   // hears of what does not end a run

	procs Processes
}

// KillAll ends everything that runs.
func (b *Bench) KillAll() { b.procs.KillAll() }

// Run is one run of a peer.
type Run struct {
	Peer     Peer
	Broker   *Broker
	Receiver []string // more receiver flags
	Steady   float64  // produce the sessions ahead at this rate once the peer has joined
	Gate     bool     // let fetches wait until every instance has joined
	Repeat   int
}

func (b *Bench) certs() string { return filepath.Join(b.Work, "certs") }

// attempt is a run under way.
type attempt struct {
	Run
	b         *Bench
	folder    string
	group     string // what the peer is told
	receivers []*receiver
	peers     []*exec.Cmd
	samples   series
	began     time.Time // start of the peer, or of the fetches where they waited
	peak      int64
	steady    [2]time.Time // when producing began and ended
}

// Measure runs a peer once.
func (b *Bench) Measure(r Run) (Row, error) {
	a := &attempt{Run: r, b: b, folder: filepath.Join(b.Work, r.Peer.Name)}
	a.group = fmt.Sprintf("bench-%s-%d-%d", r.Peer.Name, os.Getpid(), time.Now().UnixNano()%1e6)
	if err := os.RemoveAll(a.folder); err != nil {
		return Row{}, err
	}
	defer func() {
		for _, c := range a.receivers {
			a.warn(b.procs.stop(c.cmd))
		}
	}()
	for i := range r.Peer.Paths {
		c, err := b.startReceiver(i, r.Peer, r.Broker, a.folder, r.Receiver)
		if err != nil {
			return Row{}, err
		}
		a.receivers = append(a.receivers, c)
	}
	row, err := a.run()
	for _, c := range a.peers {
		a.warn(b.procs.stop(c))
	}
	if err != nil {
		return Row{}, err
	}
	if err := a.conclude(&row); err != nil {
		return Row{}, err
	}
	return row, nil
}

func (a *attempt) warn(err error) {
	if err != nil && a.b.Warn != nil {
		a.b.Warn(fmt.Errorf("%s: %w", a.Peer.Name, err))
	}
}

// run starts the peer and samples until every receiver has ended.
func (a *attempt) run() (Row, error) {
	if a.Gate {
		if err := a.Broker.gate(true); err != nil {
			return Row{}, err
		}
		defer func() { a.warn(a.Broker.gate(false)) }()
	}
	a.began = time.Now()
	a.sample()
	if err := a.startPeers(); err != nil {
		return Row{}, err
	}
	events := make(chan error, 1)
	go func() { events <- a.lead() }()
	var ended time.Time
	for !a.done() {
		a.sample()
		select {
		case err := <-events:
			if err != nil {
				return Row{}, err
			}
		default:
		}
		if ended.IsZero() && a.anyGone() {
			ended = time.Now()
		}
		if !ended.IsZero() && time.Since(ended) > 3*time.Second {
			for _, r := range a.receivers {
				r.finish()
			}
		}
		if time.Since(a.began) > a.b.Timeout+30*time.Second {
			return Row{}, errors.New("no summary")
		}
		time.Sleep(40 * time.Millisecond)
	}
	a.sample()
	return a.row()
}

// lead does what a run wants of the broker once the peer has joined.
func (a *attempt) lead() error {
	if !a.Gate && a.Steady == 0 {
		return nil
	}
	if err := a.Broker.waitMembers(a.group+a.Peer.Group, a.Peer.Instances); err != nil {
		return err
	}
	if a.Gate {
		return a.Broker.gate(false)
	}
	a.steady[0] = time.Now()
	err := a.Broker.produce(a.Broker.Topic.Ahead, a.Steady)
	a.steady[1] = time.Now()
	return err
}

func (a *attempt) startPeers() error {
	for i := range a.Peer.Instances {
		work := filepath.Join(a.folder, fmt.Sprintf("peer-%d", i))
		if err := os.MkdirAll(work, 0o755); err != nil {
			return err
		}
		c, err := a.b.procs.start(command{args: []string{"bash", "-c", a.Peer.Cmd}, env: a.env(work),
			log: filepath.Join(work, "peer.log"), folder: a.Peer.folder, pin: a.b.PinPeer})
		if err != nil {
			return err
		}
		a.peers = append(a.peers, c)
	}
	return nil
}

// env are the variables that the peer's command sees.
func (a *attempt) env(work string) []string {
	first := a.receivers[0]
	port := strconv.Itoa(first.port)
	vars := []string{
		fmt.Sprintf("BROKER=127.0.0.1:%d", a.Broker.port), "TOPIC=sessions", "GROUP=" + a.group,
		"BASE=" + first.base, "URL=" + first.base + first.path, "HOSTPORT=127.0.0.1:" + port, "RHOST=127.0.0.1",
		"RPORT=" + port, "URLPATH=" + first.path, "CA=" + filepath.Join(a.b.certs(), "ca.pem"), "WORK=" + work, "BIN=" + a.b.Bin,
		"N=" + strconv.Itoa(a.Broker.sessions()), "SEED=" + fmt.Sprint(a.Broker.Topic.Seed),
	}
	var urls []string
	for _, r := range a.receivers {
		urls = append(urls, r.base+r.path)
	}
	return append(vars, "URLS="+strings.Join(urls, " "))
}

func (a *attempt) sample() {
	var groups []int
	var peaks int64
	for _, c := range a.peers {
		groups = append(groups, c.Process.Pid)
		peaks += peakOf(c.Process.Pid)
	}
	s := sample(groups, a.Broker.cmd, a.receivers)
	a.samples = append(a.samples, s)
	a.peak = max(a.peak, s.rss, peaks)
}

func (a *attempt) done() bool {
	all := true
	for _, r := range a.receivers {
		all = r.done() && all
	}
	return all
}

func (a *attempt) anyGone() bool {
	for _, c := range a.peers {
		if gone(c.Process.Pid) {
			return true
		}
	}
	return false
}

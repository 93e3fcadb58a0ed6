package harness

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// newBench builds what a run needs and finds ports for it.
func newBench(t *testing.T) *Bench {
	t.Helper()
	b := &Bench{Bin: t.TempDir(), Work: t.TempDir(), ReceiverPort: freePorts(t, 3), Timeout: 5 * time.Minute, Idle: 3 * time.Minute,
		Warn: func(err error) { t.Log(err) }}
	t.Cleanup(b.KillAll)
	for _, build := range [][]string{
		{"-C", "..", "-o", b.Bin + string(filepath.Separator), "./broker", "./receiver", "./limit"},
		{"-C", "../..", "-o", filepath.Join(b.Bin, "session-export"), "./cmd/session-export"},
	} {
		if out, err := exec.Command("go", append([]string{"build"}, build...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", build, err, out)
		}
	}
	return b
}

// freePorts finds the first of n free ports in a row.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port, open := first.Addr().(*net.TCPAddr).Port, []net.Listener{first}
		for i := 1; i < n; i++ {
			if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i)); err == nil {
				open = append(open, l)
			}
		}
		for _, l := range open {
			_ = l.Close()
		}
		if len(open) == n {
			return port
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

func peerNamed(t *testing.T, name string) Peer {
	t.Helper()
	peers, err := LoadPeers("../peers")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(peers, func(p Peer) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no peer %s", name)
	}
	return peers[i]
}

// TestMeasure runs a reference, three sinks and a steady rate, and holds the
// rows against what has to come of them.
func TestMeasure(t *testing.T) {
	b := newBench(t)
	const sessions = 1500
	broker, err := b.StartBroker(Topic{Name: "full", Sessions: sessions}, freePorts(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	for name, sinks := range map[string]int{"limit-chain-h1-4": 1, "session-export-three": 3} {
		r, err := b.Measure(Run{Peer: peerNamed(t, name), Broker: broker})
		if err != nil {
			t.Fatal(err)
		}
		if r.Missing != 0 || r.Duplicates != 0 || r.Altered != 0 || r.Unknown != 0 || r.Why != "complete" || r.Bodies < 7*sinks {
			t.Errorf("%+v", r)
		}
		if r.Rate <= 0 || r.PeakMB < 5 || r.CPU <= 0 || r.StartToFirst <= 0 || r.StartToEnd < r.StartToFirst {
			t.Errorf("%+v", r)
		}
		if name != "limit-chain-h1-4" && r.Lag != 0 {
			t.Errorf("%d sessions are not committed", r.Lag)
		}
	}
	const ahead, rate = 1000, 2000
	steady, err := b.StartBroker(Topic{Name: "steady", Ahead: ahead, Linger: "0s"}, freePorts(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Measure(Run{Peer: peerNamed(t, "session-export-http"), Broker: steady, Steady: rate})
	if err != nil {
		t.Fatal(err)
	}
	if r.Missing != 0 || r.Altered != 0 || r.Sessions != ahead || len(r.Latencies) == 0 || len(r.Latencies)+r.NotFull != r.Bodies || r.Cores <= 0 {
		t.Errorf("%+v", r)
	}
	for i, ms := range r.Latencies {
		if ms <= 0 || ms < r.AfterAcks[i] {
			t.Errorf("body %d: %v ms, from the acknowledgement %v ms", i, ms, r.AfterAcks[i])
		}
	}
	for _, k := range []*Broker{broker, steady} {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	}
}

package harness

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"bench/sessiongen"
)

func TestLatencies(t *testing.T) {
	const ms = int64(time.Millisecond)
	appended := [][2]int64{{10 * ms, 11 * ms}, {20 * ms, 22 * ms}, {30 * ms, 33 * ms}}
	arrivals := []Arrival{
		{First: 14 * ms, Last: 0, Sessions: 180, Bytes: 890_000},
		{First: 29 * ms, Last: 1, Sessions: 1000, Bytes: 400_000}, // closed by its count
		{First: 90 * ms, Last: 2, Sessions: 3, Bytes: 12_000},     // by the time
		{First: 91 * ms, Last: 3, Sessions: 180, Bytes: 890_000},  // of a session that nobody produced
		{First: 92 * ms, Last: -1, Sessions: 180, Bytes: 890_000},
	}
	sent, acknowledged, notFull := latencies(arrivals, appended)
	if !slices.Equal(sent, []float64{4, 9}) || !slices.Equal(acknowledged, []float64{3, 7}) || notFull != 3 {
		t.Errorf("sent %v, acknowledged %v, not full %d", sent, acknowledged, notFull)
	}
}

func TestSeriesBetweenSamples(t *testing.T) {
	zero := time.Unix(1000, 0)
	s := series{{at: zero, peer: 1, busy: 10}, {at: zero.Add(time.Second), peer: 3, busy: 12}, {at: zero.Add(2 * time.Second), peer: 3.5, busy: 13}}
	for _, c := range []struct {
		after time.Duration
		peer  float64
	}{{-time.Second, 1}, {0, 1}, {500 * time.Millisecond, 2}, {1500 * time.Millisecond, 3.25}, {time.Minute, 3.5}} {
		if got := s.at(zero.Add(c.after)).peer; math.Abs(got-c.peer) > 1e-9 {
			t.Errorf("after %s: %v CPU seconds, want %v", c.after, got, c.peer)
		}
	}
	if got := (series{}).at(zero).peer; got != 0 {
		t.Errorf("no samples: %v", got)
	}
}

func TestPeers(t *testing.T) {
	peers, err := LoadPeers("../peers")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, p := range peers {
		if names[p.Name] {
			t.Errorf("two peers are named %s", p.Name)
		}
		names[p.Name] = true
		if p.Instances < 1 || len(p.Paths) == 0 || p.Notes == "" {
			t.Errorf("%+v", p)
		}
	}
	if len(peers) < 20 {
		t.Errorf("%d peers", len(peers))
	}
	if _, err := LoadPeers(t.TempDir()); err != nil {
		t.Error(err)
	}
	p := Peer{MaxN: 10, Needs: []string{"${BIN}/nothing"}}
	bin := t.TempDir()
	if got := LeftOut(p, 11, bin); got != "it takes 10 sessions at most" {
		t.Error(got)
	}
	if got := LeftOut(p, 10, bin); got != "there is no "+bin+"/nothing" {
		t.Error(got)
	}
}

func TestSelected(t *testing.T) {
	for _, c := range []struct {
		patterns, name string
		want           bool
	}{
		{"*", "limit-chain-h1-4", true}, {"limit-*", "limit-chain-h1-4", true}, {"goscript-es, limit-*", "limit-bulk-h1-1", true},
		{"limit", "limit-bulk-h1-1", false}, {"", "limit-bulk-h1-1", false},
	} {
		if got := Selected(c.patterns, c.name); got != c.want {
			t.Errorf("%q has %q: %v", c.patterns, c.name, got)
		}
	}
}

// TestExpectedInZone holds the count by text against one by encoding/json.
func TestExpectedInZone(t *testing.T) {
	const n = 400
	zone := []string{`Shop \u0026 Checkout`, "Kundenportal Österreich"}
	want := 0
	g := sessiongen.New(1)
	for i := range n {
		var s struct {
			UserActions []struct{ Application string }
		}
		if err := json.Unmarshal(g.Append(nil, i), &s); err != nil {
			t.Fatal(err)
		}
		for _, a := range s.UserActions {
			if a.Application == "Shop & Checkout" || a.Application == "Kundenportal Österreich" {
				want++
				break
			}
		}
	}
	k := &Broker{Topic: Topic{Sessions: n / 2, Ahead: n / 2, Seed: 1}, inScope: map[string]int{}}
	for range 2 {
		if got := k.expected(zone); got != want || want == 0 || want == n {
			t.Errorf("%d sessions in scope, want %d", got, want)
		}
	}
	if got := k.expected(nil); got != n {
		t.Errorf("%d sessions without a zone", got)
	}
}

func TestRowAsLine(t *testing.T) {
	r := Row{Peer: "limit", Sessions: 10, Rate: 5, Lag: -1, Why: "complete"}
	const want = "| limit | 10 | 5 | 0.0 | 0.00 | 0.00 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0.00 | 0.00 | 0/0/0/0 | - | complete |"
	if got := r.String(); got != want {
		t.Errorf("%s", got)
	}
}

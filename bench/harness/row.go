package harness

import (
	"fmt"
	"strconv"
	"time"
)

// Row is what one run came to. Rates and CPU are counted against the bytes of
// the sessions as they were produced, however a peer wraps them.
type Row struct {
	Peer       string  `json:"peer"`
	Scenario   string  `json:"scenario,omitempty"`
	Label      string  `json:"label"`
	Time       string  `json:"time"`
	Sessions   int     `json:"n"`
	Partitions int     `json:"partitions"`
	Codec      string  `json:"codec"`
	Repeat     int     `json:"rep"`
	Why        string  `json:"why"`
	Rate       float64 `json:"sessions_per_s"`
	MBRate     float64 `json:"MB_per_s"`

	StartToFirst float64 `json:"start_to_first_s"`
	StartToEnd   float64 `json:"start_to_end_s"`

	CPU         float64 `json:"peer_cpu_s"`
	CPUPerGB    float64 `json:"peer_cpu_s_per_GB"`
	SteadyPerGB float64 `json:"peer_cpu_s_per_GB_steady"`
	BrokerPerGB float64 `json:"broker_cpu_s_per_GB"`
	ReceiverGB  float64 `json:"receiver_cpu_s_per_GB"`
	PeerPct     float64 `json:"peer_cpu_pct"`
	BrokerPct   float64 `json:"broker_cpu_pct"`
	ReceiverPct float64 `json:"receiver_cpu_pct"`
	OtherPct    float64 `json:"other_cpu_pct"`
	Wrapping    float64 `json:"arrived_per_produced"`
	PeakMB      float64 `json:"peak_rss_MB"`
	Duplicates  int     `json:"duplicates"`
	Missing     int     `json:"missing"`
	Altered     int     `json:"altered"`
	Rejected    int     `json:"rejected"`
	Unknown     int     `json:"unknown"`
	Bodies      int     `json:"bodies"`
	MaxBody     int     `json:"max_body"`
	P50Body     int     `json:"p50_body"`
	MaxCount    int     `json:"max_sessions"`
	Over        int     `json:"over_896000"`
	Over1000    int     `json:"over_1000"`
	Connections int     `json:"connections"`
	Lag         int64   `json:"lag_after_stop"` // -1: nothing was committed

	// Of a run at a steady rate.
	Cores      float64   `json:"steady_cores,omitempty"` // that the peer took while sessions were produced
	Latencies  []float64 `json:"latencies_ms,omitempty"` // of full bodies, from before their last session was produced
	AfterAcks  []float64 `json:"after_ack_ms,omitempty"` // the same from its acknowledgement
	NotFull    int       `json:"bodies_not_full,omitempty"`
	ReceiverX  string    `json:"recv_flags"`
	Pin        string    `json:"pin"`
	InstancesN int       `json:"instances"`
}

// row makes figures of the samples and the summaries. The rate counts from
// the first request until 95 % of the sessions have come, to all receivers.
func (a *attempt) row() (Row, error) {
	r := Row{Peer: a.Peer.Name, Label: a.b.Label, Time: a.began.Format(time.RFC3339), Sessions: a.Broker.sessions(), Repeat: a.Repeat,
		Partitions: a.Broker.Topic.Partitions, Codec: a.Broker.Topic.Codec, ReceiverX: a.b.ReceiverFlags, Pin: a.b.PinPeer + "/" + a.b.PinInfra,
		InstancesN: a.Peer.Instances}
	var first, t95, end int64
	var d95, distinct, sessions int
	var bytes float64
	for _, c := range a.receivers {
		e, ok := c.summary.Endpoints[c.path]
		if !ok {
			return Row{}, fmt.Errorf("nothing arrived at %s (%s); see %s", c.path, c.summary.Why, a.folder)
		}
		if e.EndNS == 0 {
			e.EndNS = e.LastNS
		}
		if e.T95NS == 0 { // 95 % never came: what did
			e.T95NS, e.D95 = e.LastNS, e.Distinct
		}
		if first == 0 || e.FirstNS < first {
			first = e.FirstNS
		}
		t95, end = max(t95, e.T95NS), max(end, e.EndNS)
		d95, distinct, sessions, bytes = d95+e.D95, distinct+e.Distinct, sessions+e.Sessions, bytes+e.Bytes
		r.Why = c.summary.Why
		r.Duplicates, r.Missing, r.Altered = r.Duplicates+e.Duplicates, r.Missing+e.Missing, r.Altered+e.Altered
		r.Rejected, r.Unknown, r.Bodies = r.Rejected+e.Rejected, r.Unknown+e.Unknown, r.Bodies+e.Bodies
		r.MaxBody, r.P50Body, r.MaxCount = max(r.MaxBody, e.MaxBody), max(r.P50Body, e.P50Body), max(r.MaxCount, e.MaxCount)
		r.Over, r.Over1000 = r.Over+e.Over, r.Over1000+e.Over1000
		r.Connections += c.summary.Connections
	}
	average := a.Broker.bytes / float64(a.Broker.sessions())
	at := func(ns int64) ticks { return a.samples.at(time.Unix(0, ns)) }
	from, to, last := at(first), at(t95), at(end)
	seconds := max(float64(t95-first)/1e9, 0.001)
	gb := average * float64(distinct) / 1e9
	r.Rate, r.MBRate = round(float64(d95)/seconds, 0), round(float64(d95)*average/1e6/seconds, 1)
	r.StartToFirst = round(time.Unix(0, first).Sub(a.began).Seconds(), 3)
	r.StartToEnd = round(time.Unix(0, end).Sub(a.began).Seconds(), 3)
	r.CPU, r.CPUPerGB = round(last.peer, 2), per(last.peer, gb)
	r.SteadyPerGB = per(to.peer-from.peer, float64(d95)*average/1e9)
	r.BrokerPerGB, r.ReceiverGB = per(last.broker-a.samples[0].broker, gb), per(last.receiver-a.samples[0].receiver, gb)
	share := func(x float64) float64 { return round(100*x/max(seconds, 0.01), 0) }
	peer, broker, receiver := to.peer-from.peer, to.broker-from.broker, to.receiver-from.receiver
	r.PeerPct, r.BrokerPct, r.ReceiverPct = share(peer), share(broker), share(receiver)
	r.OtherPct = share(max(0, to.busy-from.busy-peer-broker-receiver))
	r.Wrapping = round(bytes/float64(max(1, sessions))/average, 3)
	r.PeakMB = round(float64(a.peak)/1e6, 1)
	return r, nil
}

// conclude adds what can be asked once the peer has ended.
func (a *attempt) conclude(r *Row) error {
	r.Lag = a.Broker.lag(a.group + a.Peer.Group)
	if a.Steady == 0 {
		return nil
	}
	span := a.steady[1].Sub(a.steady[0]).Seconds()
	r.Cores = round((a.samples.at(a.steady[1]).peer-a.samples.at(a.steady[0]).peer)/max(span, 0.001), 3)
	times, err := a.Broker.appended()
	if err != nil {
		return err
	}
	arrivals, err := a.receivers[0].arrivals()
	if err != nil {
		return err
	}
	r.Latencies, r.AfterAcks, r.NotFull = latencies(arrivals, times)
	return nil
}

func per(x, gb float64) float64 {
	if gb <= 0 {
		return -1
	}
	return round(x/gb, 3)
}

func round(f float64, digits int) float64 {
	s, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'f', digits, 64), 64)
	return s
}

// Header is the head of a table of rows.
const Header = `| peer | n | sess/s | MB/s | CPU s/GB | steady | RSS MB | dup | missing | altered | bodies | max body | p50 body | max sess | >896k | first s | end s | peer/brk/recv/other CPU % | lag | why |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|`

// String is the row as a line of that table.
func (r Row) String() string {
	lag := "-"
	if r.Lag >= 0 {
		lag = strconv.FormatInt(r.Lag, 10)
	}
	return fmt.Sprintf("| %s | %d | %.0f | %.1f | %.2f | %.2f | %.0f | %d | %d | %d | %d | %d | %d | %d | %d | %.2f | %.2f | %.0f/%.0f/%.0f/%.0f | %s | %s |",
		r.Peer, r.Sessions, r.Rate, r.MBRate, r.CPUPerGB, r.SteadyPerGB, r.PeakMB, r.Duplicates, r.Missing, r.Altered, r.Bodies, r.MaxBody,
		r.P50Body, r.MaxCount, r.Over, r.StartToFirst, r.StartToEnd, r.PeerPct, r.BrokerPct, r.ReceiverPct, r.OtherPct, lag, r.Why)
}

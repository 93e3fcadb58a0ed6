package web

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sessionexport/consumer"
	"sessionexport/dispatcher"
)

// Source is what the operating surface shows; a dispatcher.Manager is one.
type Source interface {
	Status() []dispatcher.SinkStatus
}

const namespace = "session_export_"

// collector makes the metrics from a snapshot at each scrape: the series of a
// sink that is gone are gone as well, and nothing is counted twice.
type collector struct {
	source  Source
	version string
	config  func() Config
	now     func() time.Time
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+name, help, labels, nil)
}

// What is counted per sink; the labels are never a URL. docs/metrics.md is
// checked against this list.
var (
	descBuild = desc("build_info", "What runs, always 1.", "version", "config")

	descReloadGood    = desc("config_reload_successful", "1 unless the last reload failed: then the configuration before it is in force.")
	descReloadSince   = desc("config_reload_success_timestamp_seconds", "Since when the configuration in force is: the last good reload, or the start.")
	descReloads       = desc("config_reloads_total", "Reloads of the configuration by their result.", "result")
	descReloadRestart = desc("config_reload_restart_keys", "Keys of the file that differ from what is in force and take a restart.")

	descRead        = desc("sessions_read_total", "Records with a value read from Kafka: the left side of the conservation equation.", "environment", "sink", "partition")
	descDelivered   = desc("sessions_delivered_total", "Sessions that the destination accepted.", "environment", "sink", "partition")
	descOutOfScope  = desc("sessions_out_of_scope_total", "Sessions outside the export's management zone.", "environment", "sink", "partition")
	descDeadLetters = desc("sessions_dead_lettered_total", "Sessions that are durable dead letters.", "environment", "sink", "partition")
	descDiscarded   = desc("sessions_discarded_total", "Sessions dropped by onFailure=discard.", "environment", "sink", "partition")
	descHandedBack  = desc("sessions_handed_back_total", "Sessions read and given back unfinished with their partition; its next owner reads them again.", "environment", "sink", "partition")
	descWaiting     = desc("sessions_waiting", "Sessions read and not finished yet.", "environment", "sink", "partition")
	descTombstones  = desc("tombstones_total", "Records without a value, skipped; not among the sessions read.", "environment", "sink", "partition")

	descBytesRead      = desc("session_bytes_read_total", "Bytes of sessions in scope.", "environment", "sink")
	descBytesDelivered = desc("body_bytes_delivered_total", "Bytes of delivered sessions with their framing, before compression.", "environment", "sink")
	descBatches        = desc("batches_total", "Batches sent, by what made them leave.", "environment", "sink", "trigger")
	descAttempts       = desc("attempts_total", "Attempts by their verdict, HTTP status (0: no answer) and reason.", "environment", "sink", "verdict", "status", "reason")
	descFailures       = desc("delivery_failures_total", "Failures that raised an alert, by reason.", "environment", "sink", "reason")
	descRejected       = desc("records_rejected_total", "Records that never got into a batch, by kind.", "environment", "sink", "kind")
	descRetries        = desc("retries_total", "Attempts that were repeated after a back-off.", "environment", "sink")
	descProbes         = desc("probes_total", "Probes sent while holding.", "environment", "sink")
	descConflicts      = desc("bulk_conflicts_total", "Items that were there already (opType=create), counted as delivered.", "environment", "sink")
	descLatency        = desc("delivery_latency_seconds", "From a record's timestamp to its delivery.", "environment", "sink")
	descDuration       = desc("attempt_duration_seconds", "Duration of attempts.", "environment", "sink")
	descLetterFailures = desc("dead_letter_write_failures_total", "Writes of dead letters that failed.", "environment", "sink")
	descLettersWait    = desc("dead_letters_waiting", "Dead letters that are not durable yet.", "environment", "sink")

	descState       = desc("sink_state", "1 for the state that the sink is in.", "environment", "sink", "state")
	descHold        = desc("sink_hold", "1 while the sink holds, with the reason; absent otherwise.", "environment", "sink", "reason")
	descHoldSince   = desc("sink_hold_seconds", "How long the hold has lasted; 0 without one.", "environment", "sink")
	descInFlight    = desc("batches_in_flight", "Attempts on the wire.", "environment", "sink")
	descInFlightMax = desc("batches_in_flight_limit", "Batches that may be in flight; below maxInFlight in a slow start.", "environment", "sink")
	descQueued      = desc("batches_queued", "Batches that are not finished.", "environment", "sink")
	descSuspects    = desc("sessions_suspect", "Sessions that were refused and wait for a witness.", "environment", "sink")
	descByteLimit   = desc("body_bytes_limit", "Largest body that is made, smaller when the destination taught it.", "environment", "sink")
	descOldest      = desc("oldest_undelivered_age_seconds", "Age of the oldest session read and not finished; 0 without one.", "environment", "sink")
	descLastSuccess = desc("last_success_timestamp_seconds", "When a session was last accepted.", "environment", "sink")

	descTokens        = desc("token_fetches_total", "Fetches of OAuth 2.0 tokens by result.", "environment", "sink", "result")
	descTokensDropped = desc("tokens_dropped_total", "Tokens that the endpoint refused.", "environment", "sink")

	descLag           = desc("kafka_lag_records", "Records of the partition that are not committed.", "environment", "sink", "partition")
	descCommitAge     = desc("kafka_commit_age_seconds", "Age of the partition's last commit by this instance.", "environment", "sink", "partition")
	descUncommitted   = desc("kafka_uncommitted_seconds", "For how long something finished waits to be committed.", "environment", "sink", "partition")
	descPosition      = desc("kafka_position", "Offset that is fetched next.", "environment", "sink", "partition")
	descOwned         = desc("kafka_partitions_owned", "Partitions that this instance reads.", "environment", "sink")
	descMemberState   = desc("kafka_member_state", "1 for the state of the group membership.", "environment", "sink", "state")
	descRebalances    = desc("kafka_rebalances_total", "Completed rebalances.", "environment", "sink")
	descCommitsBehind = desc("kafka_commits_behind", "1 while so much is delivered and uncommitted that reading waits for a commit.", "environment", "sink")
	descCommitFails   = desc("kafka_commit_failures_total", "Commits that failed and were tried again.", "environment", "sink")
	descThrottled     = desc("kafka_throttled_seconds_total", "How long brokers asked to wait.", "environment", "sink")
	descFetched       = desc("kafka_fetched_bytes_total", "Bytes fetched, as compressed on the wire.", "environment", "sink")
	descFetchHeld     = desc("kafka_fetched_bytes_held", "Fetched bytes in memory.", "environment", "sink")
	descAborted       = desc("kafka_aborted_records_total", "Records of aborted transactions, passed over.", "environment", "sink")
	descOutOfRange    = desc("kafka_out_of_range_total", "Positions that were not in the log.", "environment", "sink")
	descSkipped       = desc("kafka_skipped_records_total", "Offsets that Kafka deleted before they were read.", "environment", "sink")
	descCorrupt       = desc("kafka_corrupt_batches_total", "Record batches that could not be read, each try.", "environment", "sink")
	descTooLargeTotal = desc("kafka_records_too_large_total", "Records larger than the largest session.", "environment", "sink")
)

// The states that are shown, each as a series of its own: the one with the
// value 1 is the state.
var (
	sinkStates   = []dispatcher.State{dispatcher.Flowing, dispatcher.SlowStart, dispatcher.Throttled, dispatcher.Held, dispatcher.Stopping}
	memberStates = []consumer.State{
		consumer.StateIdle, consumer.StateConnecting, consumer.StateTopicMissing, consumer.StateRefused, consumer.StateJoining,
		consumer.StateStable, consumer.StateRevoking, consumer.StateStopped, consumer.StateFenced,
	}
)

// Describe sends nothing: which series there are depends on the sinks.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect makes all series from one snapshot.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.process(ch)
	now := c.now()
	for _, s := range c.source.Status() {
		e := emitter{ch: ch, labels: []string{s.Environment, s.Sink}}
		e.sessions(&s)
		e.sending(&s, now)
		e.kafka(&s, now)
	}
}

// process sends the series of the process.
func (c *collector) process(ch chan<- prometheus.Metric) {
	g := c.config()
	e := emitter{ch: ch}
	e.gauge(descBuild, 1, c.version, g.Hash)
	e.gauge(descReloadGood, one(len(g.Problems) == 0))
	e.gauge(descReloadSince, float64(g.Since.UnixMilli())/1000)
	e.count(descReloads, g.Reloads, "ok")
	e.count(descReloads, g.Failures, "failed")
	e.gauge(descReloadRestart, float64(len(g.Restart)))
}

// emitter sends the series of one sink.
type emitter struct {
	ch     chan<- prometheus.Metric
	labels []string
}

func (e emitter) send(d *prometheus.Desc, t prometheus.ValueType, v float64, more ...string) {
	e.ch <- prometheus.MustNewConstMetric(d, t, v, append(e.labels[:len(e.labels):len(e.labels)], more...)...)
}

func (e emitter) count(d *prometheus.Desc, v int64, more ...string) {
	e.send(d, prometheus.CounterValue, float64(v), more...)
}

func (e emitter) gauge(d *prometheus.Desc, v float64, more ...string) {
	e.send(d, prometheus.GaugeValue, v, more...)
}

func (e emitter) histogram(d *prometheus.Desc, l *dispatcher.Latency) {
	e.ch <- prometheus.MustNewConstHistogram(d, l.Count, float64(l.Sum)/1000, l.Cumulative(), e.labels...)
}

func (e emitter) sessions(s *dispatcher.SinkStatus) {
	for n, p := range s.Partitions {
		partition := strconv.Itoa(int(n))
		e.count(descRead, p.Read, partition)
		e.count(descDelivered, p.Delivered, partition)
		e.count(descOutOfScope, p.OutOfScope, partition)
		e.count(descDeadLetters, p.DeadLetters, partition)
		e.count(descDiscarded, p.Discarded, partition)
		e.count(descHandedBack, p.HandedBack, partition)
		e.gauge(descWaiting, float64(p.Waiting()), partition)
		e.count(descTombstones, p.Tombstones, partition)
	}
	e.count(descBytesRead, s.BytesRead)
	e.count(descBytesDelivered, s.BytesDelivered)
	e.histogram(descLatency, &s.Latency)
	for kind, n := range s.Rejected {
		e.count(descRejected, n, kind)
	}
}

func (e emitter) sending(s *dispatcher.SinkStatus, now time.Time) {
	for trigger, n := range s.Batches {
		e.count(descBatches, n, string(trigger))
	}
	for k, n := range s.Attempts {
		e.count(descAttempts, n, k.Kind, strconv.Itoa(k.Status), k.Reason)
	}
	for reason, n := range s.Failures {
		e.count(descFailures, n, reason)
	}
	e.count(descRetries, s.Retries)
	e.count(descProbes, s.Probes)
	e.count(descConflicts, s.Conflicts)
	e.histogram(descDuration, &s.Duration)
	e.count(descLetterFailures, s.LetterFailures)
	e.gauge(descLettersWait, float64(s.LettersWait))
	for _, state := range sinkStates {
		e.gauge(descState, one(s.State == state), string(state))
	}
	if s.State == dispatcher.Held {
		e.gauge(descHold, 1, s.Cause.Reason)
		e.gauge(descHoldSince, age(now, s.Since))
	} else {
		e.gauge(descHoldSince, 0)
	}
	e.gauge(descInFlight, float64(s.InFlight))
	e.gauge(descInFlightMax, float64(s.InFlightLimit))
	e.gauge(descQueued, float64(s.Queued))
	e.gauge(descSuspects, float64(s.Suspects))
	e.gauge(descByteLimit, float64(s.ByteLimit))
	e.gauge(descOldest, age(now, s.Oldest))
	if !s.LastSuccess.IsZero() {
		e.gauge(descLastSuccess, float64(s.LastSuccess.UnixMilli())/1000)
	}
	if s.Tokens.Active {
		e.count(descTokens, int64(s.Tokens.Fetches), "ok")      //nolint:gosec // far below
		e.count(descTokens, int64(s.Tokens.Failures), "failed") //nolint:gosec // far below
		e.count(descTokensDropped, int64(s.Tokens.Dropped))     //nolint:gosec // far below
	}
}

func (e emitter) kafka(s *dispatcher.SinkStatus, now time.Time) {
	m := &s.Member
	for _, p := range m.Partitions {
		partition := strconv.Itoa(int(p.Claim.Partition))
		if p.HighWatermark >= 0 {
			e.gauge(descLag, float64(p.Lag), partition)
		}
		if !p.CommittedAt.IsZero() {
			e.gauge(descCommitAge, p.CommitAge.Seconds(), partition)
		}
		e.gauge(descUncommitted, age(now, p.UncommittedSince), partition)
		if p.Position >= 0 {
			e.gauge(descPosition, float64(p.Position), partition)
		}
	}
	e.gauge(descOwned, float64(len(m.Partitions)))
	for _, state := range memberStates {
		e.gauge(descMemberState, one(m.State == state), string(state))
	}
	e.gauge(descCommitsBehind, one(m.CommitsBehind))
	e.count(descRebalances, m.Rebalances)
	e.count(descCommitFails, m.CommitFailures)
	e.send(descThrottled, prometheus.CounterValue, m.Throttled.Seconds())
	e.count(descFetched, m.Bytes)
	e.gauge(descFetchHeld, float64(m.Held))
	e.count(descAborted, m.Aborted)
	e.count(descOutOfRange, m.OutOfRange)
	e.count(descSkipped, m.Skipped)
	e.count(descCorrupt, m.Corrupt)
	e.count(descTooLargeTotal, m.TooLarge)
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// age is how long ago t was, in seconds; 0 for no time.
func age(now, t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(now.Sub(t).Seconds(), 0)
}

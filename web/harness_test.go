package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sessionexport/batcher"
	"sessionexport/consumer"
	"sessionexport/dispatcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time at which every test looks.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// sinks is a Source that shows what it holds.
type sinks []dispatcher.SinkStatus

func (s *sinks) Status() []dispatcher.SinkStatus { return *s }

// busy is a sink that shows everything that can be shown: it holds, has
// dead letters, tokens and every kind of count.
func busy(id string) dispatcher.SinkStatus {
	s := dispatcher.SinkStatus{
		Name: "Shop, JSON lines", Group: "session-export." + id,
		Tokens: dispatcher.TokenStatus{Active: true, Fetches: 7, Failures: 2, Dropped: 1, LastError: "the token endpoint answered 503", Expiry: noon.Add(time.Hour)},
	}
	s.Status = dispatcher.Status{
		Environment: "default", Sink: id, Topic: "sessions", Format: "json", Policy: dispatcher.Hold,
		State: dispatcher.Held, Cause: dispatcher.Cause{Reason: "connection", Status: 503, Text: "connection refused"},
		Since: noon.Add(-time.Minute), NextProbe: noon.Add(10 * time.Second),
		Partitions: map[int32]dispatcher.PartitionCounts{
			0: {Read: 100, Delivered: 70, OutOfScope: 10, DeadLetters: 4, Discarded: 3, HandedBack: 2, Tombstones: 5},
			3: {Read: 9, Delivered: 9},
		},
		Batches:  map[batcher.Trigger]int64{batcher.BySessions: 1, batcher.ByBytes: 2, batcher.ByIdle: 3, batcher.ByAge: 4},
		Attempts: map[dispatcher.AttemptKey]int64{{Kind: "delivered", Status: 200}: 8, {Kind: "retryable", Reason: "timeout"}: 2},
		Failures: map[string]int64{"connection": 1}, Rejected: map[string]int64{"malformed": 4},
		BytesRead: 500_000, BytesDelivered: 400_000, Conflicts: 6, Retries: 5, Probes: 2, LetterFailures: 1,
		InFlight: 1, InFlightLimit: 2, Queued: 3, Filling: 4, Suspects: 5, LettersWait: 6, ByteLimit: 896_000,
		Oldest: noon.Add(-90 * time.Second), Last: dispatcher.Last{Trigger: batcher.ByBytes, Sessions: 190, Bytes: 895_900},
		LastError: dispatcher.Cause{Reason: "timeout", Text: "Request timeout"}, LastErrorAt: noon.Add(-30 * time.Second),
		LastSuccess: noon.Add(-2 * time.Minute),
	}
	s.Latency.Buckets[3], s.Latency.Sum, s.Latency.Count = 79, 790, 79
	s.Duration.Buckets[18], s.Duration.Sum, s.Duration.Count = 1, 90_000_000, 1
	for _, p := range s.Partitions {
		s.Total = s.Total.Plus(p)
	}
	s.Member = consumer.Status{
		State: consumer.StateStable, Generation: 4, Throttled: 1500 * time.Millisecond, Rebalances: 3, CommitFailures: 2,
		Bytes: 300_000, Aborted: 1, TooLarge: 2, OutOfRange: 3, Skipped: 30, Corrupt: 4, Held: 1000, CommitsBehind: true,
		Partitions: []consumer.PartitionStatus{
			{
				Claim: consumer.Claim{Partition: 0, Epoch: 1}, Position: 120, Committed: 80, HighWatermark: 125, Lag: 45,
				UncommittedSince: noon.Add(-3 * time.Second), CommittedAt: noon.Add(-4 * time.Second), CommitAge: 4 * time.Second,
			},
			{Claim: consumer.Claim{Partition: 3, Epoch: 1}, Position: -1, Committed: -1, HighWatermark: -1, Trouble: "no leader"},
		},
	}
	return s
}

// fresh is a sink that has done nothing yet.
func fresh(id string) dispatcher.SinkStatus {
	s := dispatcher.SinkStatus{Group: "session-export." + id}
	s.Status = dispatcher.Status{
		Environment: "default", Sink: id, Topic: "sessions", Format: "ndjson", Policy: dispatcher.Discard,
		State: dispatcher.Flowing, InFlightLimit: 4, ByteLimit: 896_000,
	}
	s.Member.State = consumer.StateConnecting
	return s
}

// inForce is a configuration that was reloaded; the last reload failed.
func inForce() Config {
	return Config{
		Hash: "0a1b2c3d", Since: noon.Add(-time.Hour), Reloads: 3, Failures: 2, FailedAt: noon,
		Problems: []string{"config.yaml:3:1: version: is missing"}, Restart: []string{"kafka.brokers"},
	}
}

// start serves on a free port until the test ends.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	o.Logger = slog.New(slog.DiscardHandler)
	o.Version, o.Config = "1.2.3", inForce
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(context.Background()); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

// get asks for a page.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

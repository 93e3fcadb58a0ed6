package web

import (
	"encoding/json"
	"net/http"
	"time"

	"sessionexport/consumer"
	"sessionexport/dispatcher"
)

// statusDocument is the answer of /status.
type statusDocument struct {
	Version string       `json:"version"`
	Config  string       `json:"config"`
	Started time.Time    `json:"started"`
	Ready   bool         `json:"ready"`
	Reload  reloadStatus `json:"reload"`
	Sinks   []sinkStatus `json:"sinks"`
}

type reloadStatus struct {
	Since    time.Time  `json:"since"` // the configuration is in force
	Reloads  int64      `json:"reloads"`
	Failures int64      `json:"failures"`
	FailedAt *time.Time `json:"failedAt,omitempty"`
	Problems []string   `json:"problems,omitempty"` // of the last reload, if it failed
	Restart  []string   `json:"restartKeys,omitempty"`
}

type sinkStatus struct {
	ID          string            `json:"id"`
	Name        string            `json:"name,omitempty"`
	Environment string            `json:"environment"`
	Topic       string            `json:"topic"`
	Group       string            `json:"group"`
	Format      string            `json:"format"`
	OnFailure   string            `json:"onFailure"`
	State       string            `json:"state"`
	Hold        *holdStatus       `json:"hold,omitempty"`
	PausedUntil *time.Time        `json:"pausedUntil,omitempty"`
	Fatal       string            `json:"fatal,omitempty"`
	Sessions    sessionCounts     `json:"sessions"`
	InFlight    int               `json:"inFlight"`
	InFlightMax int               `json:"inFlightLimit"`
	Queued      int               `json:"queuedBatches"`
	Suspects    int               `json:"suspects"`
	ByteLimit   int               `json:"byteLimit"`
	Oldest      *time.Time        `json:"oldestUndelivered,omitempty"`
	LastBatch   *lastBatch        `json:"lastBatch,omitempty"`
	LastSuccess *time.Time        `json:"lastSuccess,omitempty"`
	LastError   *lastError        `json:"lastError,omitempty"`
	Kafka       kafkaStatus       `json:"kafka"`
	Token       *tokenStatus      `json:"token,omitempty"`
	Partitions  []partitionStatus `json:"partitions"`
}

type holdStatus struct {
	Reason    string    `json:"reason"`
	Error     string    `json:"error"`
	Status    int       `json:"status,omitempty"`
	Since     time.Time `json:"since"`
	NextProbe time.Time `json:"nextProbe"`
}

type sessionCounts struct {
	Read        int64 `json:"read"`
	Delivered   int64 `json:"delivered"`
	OutOfScope  int64 `json:"outOfScope"`
	DeadLetters int64 `json:"deadLetters"`
	Discarded   int64 `json:"discarded"`
	HandedBack  int64 `json:"handedBack"`
	Waiting     int64 `json:"waiting"`
	Tombstones  int64 `json:"tombstones"`
}

type lastBatch struct {
	Trigger  string `json:"trigger"`
	Sessions int    `json:"sessions"`
	Bytes    int    `json:"bytes"`
}

type lastError struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	Status int       `json:"status,omitempty"`
	Error  string    `json:"error"`
}

type kafkaStatus struct {
	State      string `json:"state"`
	Error      string `json:"error,omitempty"`
	Generation int32  `json:"generation"`
	Rebalances int64  `json:"rebalances"`
	Lag        *int64 `json:"lag"` // null while it is not known
}

type tokenStatus struct {
	Fetches  uint64     `json:"fetches"`
	Failures uint64     `json:"failures"`
	Error    string     `json:"error,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"`
}

type partitionStatus struct {
	Partition     int32  `json:"partition"`
	Position      int64  `json:"position"`
	Committed     int64  `json:"committed"`
	HighWatermark int64  `json:"highWatermark"`
	Lag           int64  `json:"lag"`
	Trouble       string `json:"trouble,omitempty"`
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	g := s.o.Config()
	doc := statusDocument{
		Version: s.o.Version, Config: g.Hash, Started: s.started, Ready: s.unready("") == "", Sinks: []sinkStatus{},
		Reload: reloadStatus{
			Since: g.Since, Reloads: g.Reloads, Failures: g.Failures, FailedAt: moment(g.FailedAt), Problems: g.Problems, Restart: g.Restart,
		},
	}
	for _, sink := range s.o.Source.Status() {
		doc.Sinks = append(doc.Sinks, describe(&sink))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(doc) // whoever asked is gone
}

func describe(s *dispatcher.SinkStatus) sinkStatus {
	t := s.Total
	d := sinkStatus{
		ID: s.Sink, Name: s.Name, Environment: s.Environment, Topic: s.Topic, Group: s.Group, Format: s.Format,
		OnFailure: string(s.Policy), State: string(s.State), Fatal: s.Fatal,
		Sessions: sessionCounts{
			Read: t.Read, Delivered: t.Delivered, OutOfScope: t.OutOfScope, DeadLetters: t.DeadLetters,
			Discarded: t.Discarded, HandedBack: t.HandedBack, Waiting: t.Waiting(), Tombstones: t.Tombstones,
		},
		InFlight: s.InFlight, InFlightMax: s.InFlightLimit, Queued: s.Queued, Suspects: s.Suspects, ByteLimit: s.ByteLimit,
		Oldest: moment(s.Oldest), LastSuccess: moment(s.LastSuccess), PausedUntil: moment(s.PausedTo),
		Kafka: kafkaStatus{
			State: string(s.Member.State), Error: s.Member.LastError, Generation: s.Member.Generation, Rebalances: s.Member.Rebalances,
		},
		Partitions: []partitionStatus{},
	}
	if lag, known := s.Lag(); known {
		d.Kafka.Lag = &lag
	}
	if s.State == dispatcher.Held {
		d.Hold = &holdStatus{Reason: s.Cause.Reason, Error: s.Cause.Text, Status: s.Cause.Status, Since: s.Since, NextProbe: s.NextProbe}
	}
	if s.Last.Sessions > 0 {
		d.LastBatch = &lastBatch{Trigger: string(s.Last.Trigger), Sessions: s.Last.Sessions, Bytes: s.Last.Bytes}
	}
	if !s.LastErrorAt.IsZero() {
		d.LastError = &lastError{At: s.LastErrorAt, Reason: s.LastError.Reason, Status: s.LastError.Status, Error: s.LastError.Text}
	}
	if s.Tokens.Active {
		d.Token = &tokenStatus{Fetches: s.Tokens.Fetches, Failures: s.Tokens.Failures, Error: s.Tokens.LastError, Expires: moment(s.Tokens.Expiry)}
	}
	for _, p := range s.Member.Partitions {
		d.Partitions = append(d.Partitions, partition(p))
	}
	return d
}

func partition(p consumer.PartitionStatus) partitionStatus {
	return partitionStatus{
		Partition: p.Claim.Partition, Position: p.Position, Committed: p.Committed,
		HighWatermark: p.HighWatermark, Lag: p.Lag, Trouble: p.Trouble,
	}
}

// moment is nil for no time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

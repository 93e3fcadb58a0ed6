package app

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"sessionexport/alerts"
	"sessionexport/dispatcher"
	"sessionexport/egress"
	"sessionexport/settings"
)

const (
	certificatesEvery = 24 * time.Hour
	certificatesFirst = time.Minute // after a start, which has enough to do
	certificateAgain  = time.Hour   // after a look that failed
	topicsEvery       = time.Minute
	topicTimeout      = 20 * time.Second
)

// certificateWatch looks at the endpoints' certificates once a day.
type certificateWatch struct {
	log *slog.Logger

	mu      sync.Mutex
	targets map[string]certificateTarget // by sink
	found   map[string]alerts.Certificate
	changed chan struct{}
}

type certificateTarget struct {
	export  *settings.Export
	key     string // two are the same when nothing differs
	options egress.Options
}

func (w *certificateWatch) use(file *settings.File) {
	targets := map[string]certificateTarget{}
	rules := rulesOf(file)
	for i := range file.Environments {
		for k := range file.Environments[i].Exports {
			e := &file.Environments[i].Exports[k]
			if !e.Enabled() {
				continue
			}
			material := e.Custom.Material()
			targets[e.ID] = certificateTarget{
				export: e, key: fmt.Sprintf("%s %v %v", e.Fingerprint(), rules.Allow, rules.Deny),
				options: egress.Options{Rules: rules, RootCAs: material.RootCAs(), Certificates: material.Certificates(), Logger: w.log},
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	found, news := map[string]alerts.Certificate{}, false
	for sink, t := range targets {
		// A sink that did not change is not looked at again, nor is a look put off.
		if before, known := w.targets[sink]; !known || before.key != t.key {
			news = true
		} else {
			targets[sink] = before
			if c, seen := w.found[sink]; seen {
				found[sink] = c
			}
		}
	}
	w.targets, w.found = targets, found
	if w.changed == nil {
		w.changed = make(chan struct{}, 1)
	}
	if !news {
		return
	}
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// of returns the certificate of a sink's endpoint, once it was seen.
func (w *certificateWatch) of(sink string) []alerts.Certificate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c, ok := w.found[sink]; ok {
		return []alerts.Certificate{c}
	}
	return nil
}

func (w *certificateWatch) run(ctx context.Context) {
	timer := time.NewTimer(certificatesFirst)
	defer timer.Stop()
	soon := true // a look is due within certificatesFirst: news do not put it off
	for {
		select {
		case <-w.changed:
			if !soon {
				timer.Reset(certificatesFirst)
			}
			soon = true
		case <-timer.C:
			soon = false
			timer.Reset(w.look(ctx))
		case <-ctx.Done():
			return
		}
	}
}

// looksAtOnce is how many endpoints are looked at side by side: one that does
// not answer keeps few others waiting.
const looksAtOnce = 8

func (w *certificateWatch) look(ctx context.Context) (again time.Duration) {
	w.mu.Lock()
	targets := w.targets
	w.mu.Unlock()
	var looks sync.WaitGroup
	var failed atomic.Bool
	turns := make(chan struct{}, looksAtOnce)
	for sink, t := range targets {
		turns <- struct{}{}
		looks.Go(func() {
			defer func() { <-turns }()
			if !w.lookAt(ctx, sink, t) {
				failed.Store(true)
			}
		})
	}
	looks.Wait()
	if failed.Load() {
		return certificateAgain
	}
	return certificatesEvery
}

// lookAt looks at one endpoint; false when the look failed.
func (w *certificateWatch) lookAt(ctx context.Context, sink string, t certificateTarget) bool {
	c, err := alerts.EndpointCertificate(ctx, t.options, t.export.EndpointDefinition.EndpointURL.Parsed())
	if err != nil {
		if ctx.Err() == nil {
			// What is wrong shows in the deliveries; here it is only not known.
			w.log.Debug("looking at an endpoint's certificate failed, tried again later", "sink", sink, "error", err)
		}
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.targets[sink].export == t.export {
		w.found[sink] = c
	}
	return true
}

// topicWatch looks at what Kafka deletes of the topics.
type topicWatch struct {
	client *kafka.Client
	log    *slog.Logger

	mu     sync.Mutex
	topics map[string]*topicView
}

// topicView is what is known of one topic.
type topicView struct {
	retention time.Duration // 0: for ever, or not known
	bounded   bool
	starts    map[int32]int64
	ends      map[int32]int64
	pacer     alerts.Pacer
}

func (w *topicWatch) use(topics []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	views := map[string]*topicView{}
	for _, t := range topics {
		if views[t] = w.topics[t]; views[t] == nil {
			views[t] = &topicView{starts: map[int32]int64{}, ends: map[int32]int64{}}
		}
	}
	w.topics = views
}

func (w *topicWatch) run(ctx context.Context) {
	ticker := time.NewTicker(topicsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		w.mu.Lock()
		names := make([]string, 0, len(w.topics))
		for t := range w.topics {
			names = append(names, t)
		}
		w.mu.Unlock()
		// Side by side: a topic that does not answer keeps no other one waiting.
		var looks sync.WaitGroup
		for _, t := range names {
			looks.Go(func() {
				look, cancel := context.WithTimeout(ctx, topicTimeout)
				defer cancel()
				if err := w.look(look, t); err != nil && ctx.Err() == nil {
					w.log.Debug("looking at a topic's retention failed, tried again in a minute", "topic", t, "error", err)
				}
			})
		}
		looks.Wait()
	}
}

// look asks for the retention of a topic and, when it is bounded by size, for
// where its partitions start and end.
func (w *topicWatch) look(ctx context.Context, topic string) error {
	answer, err := w.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		ConfigNames: []string{"retention.ms", "retention.bytes", "cleanup.policy"},
	}}})
	if err != nil {
		return err
	}
	config := map[string]string{}
	for _, r := range answer.Resources {
		if r.Error != nil {
			return r.Error
		}
		for _, e := range r.ConfigEntries {
			config[e.ConfigName] = e.ConfigValue
		}
	}
	retention, bounded := retentionOf(config)
	var starts, ends map[int32]int64
	if bounded {
		if starts, ends, err = w.extents(ctx, topic); err != nil {
			return err
		}
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.topics[topic]
	if v == nil {
		return nil
	}
	v.retention, v.bounded, v.starts, v.ends = retention, bounded, starts, ends
	for p, offset := range starts {
		v.pacer.See(now, p, offset)
	}
	return nil
}

// retentionOf reads a topic's settings: how long records are kept, 0 for ever,
// and whether their size is bounded. What is only compacted is not deleted.
func retentionOf(config map[string]string) (retention time.Duration, bounded bool) {
	if config["cleanup.policy"] == "compact" {
		return 0, false
	}
	if ms, err := strconv.ParseInt(config["retention.ms"], 10, 64); err == nil && ms > 0 {
		const most = int64(1<<63-1) / int64(time.Millisecond)
		retention = time.Duration(min(ms, most)) * time.Millisecond
	}
	bytes, err := strconv.ParseInt(config["retention.bytes"], 10, 64)
	return retention, err == nil && bytes >= 0
}

func (w *topicWatch) extents(ctx context.Context, topic string) (starts, ends map[int32]int64, err error) {
	meta, err := w.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, nil, err
	}
	var ask []kafka.OffsetRequest
	for _, t := range meta.Topics {
		for _, p := range t.Partitions {
			ask = append(ask, kafka.FirstOffsetOf(p.ID), kafka.LastOffsetOf(p.ID))
		}
	}
	answer, err := w.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ask}})
	if err != nil {
		return nil, nil, err
	}
	starts, ends = map[int32]int64{}, map[int32]int64{}
	for _, p := range answer.Topics[topic] {
		if p.Error == nil {
			starts[int32(p.Partition)], ends[int32(p.Partition)] = p.FirstOffset, p.LastOffset //nolint:gosec // from an int32
		}
	}
	return starts, ends, nil
}

// backlog is what a sink has before it in its topic.
func (w *topicWatch) backlog(now time.Time, topic string, s *dispatcher.SinkStatus) alerts.Backlog {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.topics[topic]
	if v == nil {
		return alerts.Backlog{}
	}
	b := alerts.Backlog{Retention: v.retention, Oldest: s.Oldest, Bounded: v.bounded}
	if !v.bounded {
		return b
	}
	for _, p := range s.Member.Partitions {
		at := p.Claim.Partition
		first, known := v.starts[at]
		if !known || p.Committed < 0 {
			continue
		}
		l := alerts.Left{Partition: at, Start: first, Committed: p.Committed, End: v.ends[at]}
		l.Pace, l.Leap = v.pacer.Pace(now, at)
		b.Left = append(b.Left, l)
	}
	return b
}

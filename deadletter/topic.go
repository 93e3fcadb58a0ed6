package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	// DefaultPartitions of a topic that Ensure creates. More can be had when
	// it is created by hand; its number must not change while it holds
	// letters, or a letter and its tombstone part.
	DefaultPartitions = 3

	wantReplicas = 3 // or as many as there are brokers

	// largestSession in bytes; the reader of the sessions hands up nothing
	// larger. A source's own limit holds for its compressed batches and says
	// little about one session.
	largestSession = 16 << 20
	// letterOverhead in bytes: what key, headers and framing add at most.
	letterOverhead = 64 << 10

	// defaultMaxMessage is Kafka's max.message.bytes when nobody set one.
	defaultMaxMessage = 1_048_588

	// requestTimeout bounds one request. Half of it is the broker's time to
	// replicate; the client's own default of 500 ms is short of a replica
	// that restarts.
	requestTimeout = 30 * time.Second

	// DefaultRetryFor is how long a write is tried again inside Write while
	// leaders move: twice the 6 s after which a client of kafka-go looks for
	// leaders again by default. Longer trouble is the caller's to wait out.
	DefaultRetryFor = 12 * time.Second
)

// Options of the store.
type Options struct {
	Client       *kafka.Client // its metadata must not be limited to other topics
	Topic        string
	SourceTopics []string      // whose sessions are kept: their max.message.bytes is looked at
	Partitions   int           // of a topic that Ensure creates, 0: DefaultPartitions
	RetryFor     time.Duration // 0: DefaultRetryFor
	Logger       *slog.Logger  // nil: slog.Default()
}

// Topic is the store of dead letters in a topic of Kafka. It is safe for
// concurrent use.
type Topic struct {
	options Options
	client  *kafka.Client
	logger  *slog.Logger

	mu         sync.Mutex
	partitions []int // nil: not ensured
	maxMessage int   // bytes of a record batch that the topic takes
	warnings   []Warning
}

// Warning is a setting of an existing topic that may lose letters or their
// bodies. It does not keep the store from working.
type Warning struct {
	Setting string // such as cleanup.policy; "describe" when the settings could not be read
	Value   string
	Want    string
	Effect  string // what it does to the letters
}

// String is one line.
func (w Warning) String() string {
	return fmt.Sprintf("%s is %q, should be %q: %s", w.Setting, w.Value, w.Want, w.Effect)
}

// Open makes no request yet.
func Open(o Options) *Topic {
	if o.Partitions <= 0 {
		o.Partitions = DefaultPartitions
	}
	if o.RetryFor <= 0 {
		o.RetryFor = DefaultRetryFor
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	// An own copy: the time that the broker is given to replicate comes out of
	// the client's time-out.
	client := &kafka.Client{Addr: o.Client.Addr, Transport: o.Client.Transport, Timeout: requestTimeout}
	return &Topic{options: o, client: client, logger: o.Logger, maxMessage: defaultMaxMessage}
}

// Use makes other topics the ones whose sessions are kept. The next Ensure looks
// at them.
func (t *Topic) Use(sources []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.options.SourceTopics = slices.Clone(sources)
}

// Name of the topic.
func (t *Topic) Name() string { return t.options.Topic }

// Warnings are what the last Ensure found wrong with an existing topic.
func (t *Topic) Warnings() []Warning {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.warnings)
}

// Ensure creates the topic, or looks at the one that exists: what is wrong with
// it is logged and kept for Warnings. An error, of type *Error, means that no
// letter can be written now. Write calls it when it has not succeeded yet.
func (t *Topic) Ensure(ctx context.Context) error {
	meta, err := t.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{t.options.Topic}})
	if err != nil {
		return t.wrap("looking for the dead letters", err)
	}
	partitions, err := t.layout(meta)
	if err == nil {
		return t.adopt(ctx, partitions)
	}
	if classify(err) != Missing {
		return t.wrap("looking for the dead letters", err)
	}
	return t.create(ctx, len(meta.Brokers))
}

// layout reads the partitions of the topic out of the cluster's metadata.
func (t *Topic) layout(meta *kafka.MetadataResponse) ([]int, error) {
	for i := range meta.Topics {
		topic := &meta.Topics[i]
		if topic.Name != t.options.Topic {
			continue
		}
		if topic.Error != nil {
			return nil, topic.Error
		}
		if len(topic.Partitions) == 0 {
			return nil, kafka.LeaderNotAvailable
		}
		ids := make([]int, len(topic.Partitions))
		for j := range topic.Partitions {
			ids[j] = topic.Partitions[j].ID
		}
		slices.Sort(ids) // the hash of a key counts on their order
		return ids, nil
	}
	return nil, kafka.UnknownTopicOrPartition
}

// create makes the topic as it should be.
func (t *Topic) create(ctx context.Context, brokers int) error {
	const doing = "creating the dead letters"
	replicas := min(wantReplicas, max(brokers, 1))
	limit := t.wantedMessage(ctx)
	config := []kafka.ConfigEntry{
		{ConfigName: "cleanup.policy", ConfigValue: "compact"},
		{ConfigName: "retention.ms", ConfigValue: "-1"},
		{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(limit)},
	}
	if replicas == wantReplicas {
		// With fewer in sync, "all" of acks=all may be the leader alone.
		config = append(config, kafka.ConfigEntry{ConfigName: "min.insync.replicas", ConfigValue: "2"})
	}
	answer, err := t.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic:             t.options.Topic,
		NumPartitions:     t.options.Partitions,
		ReplicationFactor: replicas,
		ConfigEntries:     config,
	}}})
	if err == nil {
		err = answer.Errors[t.options.Topic]
	}
	switch {
	case err == nil:
		t.logger.Info("dead letter topic created", "topic", t.options.Topic,
			"partitions", t.options.Partitions, "replicas", replicas, "max_message_bytes", limit)
	case errors.Is(err, kafka.TopicAlreadyExists):
		// Another instance was quicker, or the topic is not shown to us.
	case classify(err) == Forbidden, errors.Is(err, kafka.PolicyViolation):
		return &Error{Kind: classify(err), Topic: t.options.Topic, Doing: doing, Err: err, Hint: fmt.Sprintf(
			"create it with cleanup.policy=compact, retention.ms=-1, max.message.bytes=%d and replication factor %d, and grant DESCRIBE and WRITE on it; or grant CREATE",
			limit, replicas)}
	default:
		return t.wrap(doing, err)
	}
	partitions, seen := t.await(ctx)
	if seen != nil {
		if err != nil { // it exists and stays out of sight
			return &Error{Kind: Forbidden, Topic: t.options.Topic, Doing: doing, Err: err, Hint: "it exists but is not shown: grant DESCRIBE and WRITE on it"}
		}
		return t.wrap(doing, seen)
	}
	if err != nil {
		return t.adopt(ctx, partitions)
	}
	t.settle(partitions, limit, nil)
	return nil
}

// await looks for a new topic until the client's metadata shows it.
func (t *Topic) await(ctx context.Context) ([]int, error) {
	var partitions []int
	err := t.retry(ctx, func() error {
		meta, err := t.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{t.options.Topic}})
		if err != nil {
			return err
		}
		partitions, err = t.layout(meta)
		return err
	})
	return partitions, err
}

// adopt takes an existing topic into use and names what is wrong with it.
func (t *Topic) adopt(ctx context.Context, partitions []int) error {
	settings, err := t.describe(ctx, t.options.Topic)
	if err != nil {
		if classify(err) == Unavailable {
			return t.wrap("reading the settings of the dead letters", err)
		}
		t.settle(partitions, defaultMaxMessage, []Warning{{
			Setting: "describe", Value: err.Error(), Want: "DESCRIBE_CONFIGS granted",
			Effect: "whether the topic keeps its letters could not be checked",
		}})
		return nil
	}
	limit := defaultMaxMessage
	if n, err := strconv.Atoi(settings["max.message.bytes"]); err == nil && n > 0 {
		limit = n
	}
	t.settle(partitions, limit, inspect(settings, t.wantedMessage(ctx)))
	return nil
}

func (t *Topic) settle(partitions []int, limit int, warnings []Warning) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partitions, t.maxMessage, t.warnings = partitions, limit, warnings
	for _, w := range warnings {
		t.logger.Warn("dead letter topic is not as it should be", "topic", t.options.Topic,
			"setting", w.Setting, "value", w.Value, "want", w.Want, "effect", w.Effect)
	}
}

// wantedMessage is what max.message.bytes has to be for the largest session of
// any source to fit. Sources that may not be described count as the largest.
func (t *Topic) wantedMessage(ctx context.Context) int {
	want := largestSession
	t.mu.Lock()
	sources := t.options.SourceTopics
	t.mu.Unlock()
	for _, source := range sources {
		settings, err := t.describe(ctx, source)
		if err != nil {
			t.logger.Debug("source topic not described", "topic", source, "error", err)
			continue
		}
		if n, err := strconv.Atoi(settings["max.message.bytes"]); err == nil {
			want = max(want, n)
		}
	}
	return want + letterOverhead
}

// describe reads a topic's settings.
func (t *Topic) describe(ctx context.Context, topic string) (map[string]string, error) {
	answer, err := t.client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
	}}})
	if err != nil {
		return nil, err
	}
	for _, resource := range answer.Resources {
		if resource.ResourceName != topic {
			continue
		}
		if resource.Error != nil {
			return nil, resource.Error
		}
		settings := make(map[string]string, len(resource.ConfigEntries))
		for _, entry := range resource.ConfigEntries {
			settings[entry.ConfigName] = entry.ConfigValue
		}
		return settings, nil
	}
	return nil, kafka.UnknownTopicOrPartition
}

// inspect names the settings that lose letters or their bodies. A setting that
// the broker does not mention is not judged.
func inspect(settings map[string]string, wantedMessage int) []Warning {
	var warnings []Warning
	warn := func(setting, want, effect string) {
		warnings = append(warnings, Warning{Setting: setting, Value: settings[setting], Want: want, Effect: effect})
	}
	policy := strings.Split(settings["cleanup.policy"], ",")
	for i := range policy {
		policy[i] = strings.TrimSpace(policy[i])
	}
	if policy[0] != "" {
		if !slices.Contains(policy, "compact") {
			warn("cleanup.policy", "compact", "a letter that is written twice stays twice, and redriven letters are not removed")
		}
		if slices.Contains(policy, "delete") {
			if v := settings["retention.ms"]; v != "" && v != "-1" {
				warn("retention.ms", "-1", "letters are deleted after that time, redriven or not")
			}
			if v := settings["retention.bytes"]; v != "" && v != "-1" {
				warn("retention.bytes", "-1", "letters are deleted beyond that size, redriven or not")
			}
		}
	}
	if n, err := strconv.Atoi(settings["max.message.bytes"]); err == nil && n < wantedMessage {
		warn("max.message.bytes", strconv.Itoa(wantedMessage), "a letter that does not fit is written without its body")
	}
	if settings["unclean.leader.election.enable"] == "true" {
		warn("unclean.leader.election.enable", "false", "an election may lose letters that were acknowledged")
	}
	return warnings
}

func (t *Topic) wrap(doing string, err error) error {
	e := &Error{Kind: classify(err), Topic: t.options.Topic, Doing: doing, Err: err}
	switch e.Kind {
	case Forbidden:
		e.Hint = "grant DESCRIBE and WRITE on it"
	case Missing:
		e.Hint = "it does not exist"
	case Unavailable, Refused:
	}
	return e
}

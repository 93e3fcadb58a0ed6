package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

const (
	// batchBytes is how much of letters goes into one record batch, below what
	// a topic takes whose limit nobody raised.
	batchBytes = 900_000

	// recordOverhead in bytes of a record beside key, value and headers, and of
	// each header; no less than the format needs.
	recordOverhead = 32

	retryFirst = 100 * time.Millisecond
	retryMost  = 2 * time.Second
)

// Write returns nil only when every letter is durable: acknowledged by all
// replicas in sync. After an error any of them may have been written; writing
// all of them again is right, as compaction keeps one of each key. The error
// is of type *Error, or the context's.
//
// Bodies are copied first: when the context ends, a request may still be on
// its way while the caller already uses its memory for something else.
func (t *Topic) Write(ctx context.Context, letters []Letter) error {
	if len(letters) == 0 {
		return nil
	}
	messages := make([]kafka.Message, len(letters))
	for i := range letters {
		messages[i] = Encode(&letters[i])
		messages[i].Value = bytes.Clone(messages[i].Value)
		if messages[i].Value == nil {
			messages[i].Value = []byte{}
		}
	}
	return t.publish(ctx, "writing dead letters", messages, func(i int) kafka.Message {
		small := letters[i]
		small.BodySize = len(small.Body)
		small.Body, small.BodyOmitted = nil, true
		return Encode(&small)
	})
}

// Tombstone says of letters, by ID.String, that they were redriven or dropped.
// It returns nil only when that is durable.
func (t *Topic) Tombstone(ctx context.Context, keys ...string) error {
	messages := make([]kafka.Message, len(keys))
	for i, key := range keys {
		if _, err := ParseID(key); err != nil {
			return &Error{Kind: Refused, Topic: t.options.Topic, Doing: "dropping dead letters", Err: err}
		}
		messages[i] = kafka.Message{Key: []byte(key)}
	}
	return t.publish(ctx, "dropping dead letters", messages, nil)
}

// publish writes messages to the partitions of their keys. smaller makes the
// message of one that does not fit; nil: there is none.
func (t *Topic) publish(ctx context.Context, doing string, messages []kafka.Message, smaller func(int) kafka.Message) error {
	if len(messages) == 0 {
		return nil
	}
	err := t.retry(ctx, func() error {
		partitions, limit, err := t.ready(ctx)
		if err != nil {
			return err
		}
		w := writer{topic: t, limit: min(limit, batchBytes), messages: messages, smaller: smaller}
		if err := w.all(ctx, partitions); err != nil {
			if stale(err) {
				t.forget()
			}
			return err
		}
		return nil
	})
	if err == nil {
		return nil
	}
	var typed *Error
	if errors.As(err, &typed) && ctx.Err() == nil {
		return typed
	}
	return t.wrap(doing, err)
}

// ready returns the partitions and the limit of the topic, and ensures it first
// when that has not succeeded yet.
func (t *Topic) ready(ctx context.Context) ([]int, int, error) {
	t.mu.Lock()
	partitions, limit := t.partitions, t.maxMessage
	t.mu.Unlock()
	if partitions != nil {
		return partitions, limit, nil
	}
	if err := t.Ensure(ctx); err != nil {
		return nil, 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.partitions, t.maxMessage, nil
}

// stale tells that the topic is no longer the one that was ensured.
func stale(err error) bool {
	return classify(err) == Missing || errors.Is(err, protocol.ErrNoPartition)
}

func (t *Topic) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partitions = nil
}

// retry does something again while its error is of the kind that time mends,
// for RetryFor at most.
func (t *Topic) retry(ctx context.Context, do func() error) error {
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(retryFirst),
		backoff.WithMaxInterval(retryMost),
		backoff.WithMaxElapsedTime(t.options.RetryFor),
	)
	var last error
	err := backoff.Retry(func() error {
		err := do()
		if err == nil {
			return nil
		}
		last = err
		switch classify(err) {
		case Unavailable, Missing: // a new topic takes a moment to be known everywhere
			return err
		case Forbidden, Refused:
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(policy, ctx))
	if last != nil && err != nil && ctx.Err() != nil && !errors.Is(last, ctx.Err()) {
		// Why it was being tried again says more than that the time is up.
		return fmt.Errorf("%w, before that: %w", ctx.Err(), last)
	}
	return err
}

// writer writes one call's messages.
type writer struct {
	topic    *Topic
	limit    int // bytes of a batch
	messages []kafka.Message
	smaller  func(int) kafka.Message
}

// all cuts the messages into batches by partition and size.
func (w *writer) all(ctx context.Context, partitions []int) error {
	hash := kafka.Murmur2Balancer{Consistent: true} // as other clients place a key
	byPartition := make(map[int][]int, len(partitions))
	for i := range w.messages {
		p := hash.Balance(w.messages[i], partitions...)
		byPartition[p] = append(byPartition[p], i)
	}
	for _, p := range partitions {
		rest := byPartition[p]
		for len(rest) > 0 {
			n := w.fitting(rest)
			if err := w.batch(ctx, p, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
	}
	return nil
}

// fitting is how many of the messages go into one batch, at least one.
func (w *writer) fitting(indexes []int) int {
	size := 0
	for n, i := range indexes {
		size += messageBytes(&w.messages[i])
		if size > w.limit && n > 0 {
			return n
		}
	}
	return len(indexes)
}

func messageBytes(m *kafka.Message) int {
	n := recordOverhead + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += recordOverhead + len(h.Key) + len(h.Value)
	}
	return n
}

// batch writes one record batch. One that is too large for the broker is
// halved; a single message goes without its body.
func (w *writer) batch(ctx context.Context, partition int, indexes []int) error {
	err := w.produce(ctx, partition, indexes)
	if !tooLarge(err) {
		return err
	}
	if len(indexes) > 1 {
		half := len(indexes) / 2
		if err := w.batch(ctx, partition, indexes[:half]); err != nil {
			return err
		}
		return w.batch(ctx, partition, indexes[half:])
	}
	i := indexes[0]
	if w.smaller == nil || len(w.messages[i].Value) == 0 {
		return err
	}
	w.messages[i] = w.smaller(i)
	w.topic.logger.Warn("dead letter written without its body", "topic", w.topic.options.Topic,
		"key", string(w.messages[i].Key), "error", err)
	return w.produce(ctx, partition, indexes)
}

// produce makes one request and waits for all replicas in sync.
func (w *writer) produce(ctx context.Context, partition int, indexes []int) error {
	records := make([]kafka.Record, len(indexes))
	for n, i := range indexes {
		m := &w.messages[i]
		records[n] = kafka.Record{Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value), Headers: m.Headers}
	}
	answer, err := w.topic.client.Produce(ctx, &kafka.ProduceRequest{
		Topic:        w.topic.options.Topic,
		Partition:    partition,
		RequiredAcks: kafka.RequireAll,
		Records:      kafka.NewRecordReader(records...),
		Compression:  kafka.Lz4,
	})
	if err != nil {
		return err
	}
	return answer.Error
}

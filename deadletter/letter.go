// Package deadletter keeps what was given up, with its cause, in a compacted
// topic of Kafka: the session as it came, and in headers all that a person or a
// redrive needs to know about it.
package deadletter

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Letter is one session that was given up, and why.
type Letter struct {
	Environment string
	Sink        string
	Kind        string    // what happened to it: rejected, suspect, poison, too_large, …
	Reason      string    // stable word of the cause, for counting
	Status      int       // of the endpoint's answer or the item's, 0 without one
	Error       string    // the cause in words; at most maxError bytes are kept
	Attempts    int       // how often it was sent
	First, Last time.Time // of those attempts, to the microsecond; zero without one
	Source      Source
	Format      string // how the sink sends it: json, ndjson, elasticsearch
	Session     string // names the session for people, such as its document id; may be empty
	Body        []byte // the session as it came
	BodyOmitted bool   // the session is too large for the topic: Source tells where it was
	BodySize    int    // bytes of the session; Encode takes it from Body unless BodyOmitted
}

// Source is where a session came from.
type Source struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time // of the record, to the millisecond; zero when unknown
}

// ID identifies a letter: the same session of the same sink has the same one
// however often it is given up, so that compaction keeps the last alone.
type ID struct {
	Environment string
	Sink        string
	Topic       string
	Partition   int32
	Offset      int64
}

// ID of the letter.
func (l *Letter) ID() ID {
	return ID{
		Environment: l.Environment, Sink: l.Sink,
		Topic: l.Source.Topic, Partition: l.Source.Partition, Offset: l.Source.Offset,
	}
}

// String is the key of the record: environment/sink/topic/partition/offset. A
// slash inside a name is escaped as in a URL.
func (id ID) String() string {
	return strings.Join([]string{
		url.PathEscape(id.Environment),
		url.PathEscape(id.Sink),
		url.PathEscape(id.Topic),
		strconv.FormatInt(int64(id.Partition), 10),
		strconv.FormatInt(id.Offset, 10),
	}, "/")
}

// ParseID reads what ID.String wrote.
func ParseID(key string) (ID, error) {
	const parts = 5
	fields := strings.Split(key, "/")
	if len(fields) != parts {
		return ID{}, fmt.Errorf("reading the key of a dead letter: %d parts instead of %d", len(fields), parts)
	}
	var id ID
	for i, into := range []*string{&id.Environment, &id.Sink, &id.Topic} {
		name, err := url.PathUnescape(fields[i])
		if err != nil {
			return ID{}, fmt.Errorf("reading the key of a dead letter: %w", err)
		}
		*into = name
	}
	partition, err := strconv.ParseInt(fields[3], 10, 32)
	if err != nil {
		return ID{}, fmt.Errorf("reading the partition in the key of a dead letter: %w", err)
	}
	offset, err := strconv.ParseInt(fields[4], 10, 64)
	if err != nil {
		return ID{}, fmt.Errorf("reading the offset in the key of a dead letter: %w", err)
	}
	if partition < 0 || offset < 0 {
		return ID{}, errors.New("reading the key of a dead letter: a negative position")
	}
	id.Partition, id.Offset = int32(partition), offset
	if id.String() != key {
		return ID{}, errors.New("reading the key of a dead letter: not in its canonical form")
	}
	return id, nil
}

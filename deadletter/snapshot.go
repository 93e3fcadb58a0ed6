package deadletter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"sessionexport/consumer"
)

const (
	// letterFetch in bytes is asked for at once; a broker sends one record batch
	// whole, however large it is.
	letterFetch = 256 << 10
	// letterWait is how long a broker may wait for bytes that it does not have;
	// it has them, as nothing behind the end of the snapshot is asked for.
	letterWait = 500 * time.Millisecond
)

// Log looks into the topic of the letters from outside of any group; a
// consumer.Topic is one.
type Log interface {
	Extents(ctx context.Context) ([]consumer.Extent, error)
	Read(ctx context.Context, partition int32, from, to int64, each func(*consumer.Record) bool) (consumer.Stretch, error)
}

// At is where a letter's own record is, in the topic of the letters.
type At struct {
	Partition int32
	Offset    int64
}

// Progress is told how much of a long work is done; it must be quick.
type Progress func(done, total int64)

// Snapshot is the letters that were there at one moment: of each key the newest
// record, unless it is a tombstone. It holds one bit a record, and no letter.
type Snapshot struct {
	topic *Topic
	parts []part
}

type part struct {
	partition int32
	letters   offsets
}

// Letters is how many there are.
func (s *Snapshot) Letters() int64 {
	n := int64(0)
	for i := range s.parts {
		n += s.parts[i].letters.count
	}
	return n
}

// Snapshot finds out which letters there are, by reading the topic once from
// its beginning to its present end (more often when a partition has more than
// 524,288 keys). The error is of type *Error.
func (t *Topic) Snapshot(ctx context.Context, log Log, progress Progress) (*Snapshot, error) {
	s, err := t.snapshot(ctx, log, keysAtOnce, progress)
	if err != nil {
		return nil, t.unread(err)
	}
	return s, nil
}

func (t *Topic) snapshot(ctx context.Context, log Log, keys int, progress Progress) (*Snapshot, error) {
	extents, err := log.Extents(ctx)
	if err != nil {
		return nil, err
	}
	total, done := int64(0), int64(0)
	for _, e := range extents {
		total += e.End - e.Start
	}
	s := &Snapshot{topic: t}
	for _, e := range extents {
		n := newest{most: keys}
		turns := int64(0)
		err := n.find(func(each func(*consumer.Record) bool) error {
			if turns++; turns > 1 {
				total += e.End - e.Start
			}
			begun := done
			for from := e.Start; from < e.End; {
				stretch, err := log.Read(ctx, e.Partition, from, e.End, func(r *consumer.Record) bool {
					if progress != nil {
						progress(begun+r.Offset-e.Start, total)
					}
					return each(r)
				})
				if err != nil {
					return err
				}
				if stretch.Next <= from {
					break // nothing but deleted records up to the end
				}
				from = stretch.Next
			}
			done = begun + e.End - e.Start
			return nil
		})
		if err != nil {
			return nil, err
		}
		s.parts = append(s.parts, part{partition: e.Partition, letters: n.live})
	}
	return s, nil
}

// Each calls each for every letter, partition by partition, in the order in
// which they were written. For a record that Decode does not understand it gets
// the error, of type *DecodeError, and a letter without meaning. Letters that
// were deleted since the snapshot are passed over. An error of each ends the
// reading and is returned as it is; another one is of type *Error.
//
// The letter, its body included, belongs to each.
func (s *Snapshot) Each(ctx context.Context, progress Progress, each func(At, *Letter, error) error) error {
	total, done := s.Letters(), int64(0)
	for i := range s.parts {
		p := &s.parts[i]
		for from := int64(0); ; {
			wanted, ok := p.letters.next(from)
			if !ok {
				break
			}
			next, err := s.read(ctx, p, wanted, func(at At, l *Letter, err error) error {
				if done++; progress != nil {
					progress(done, total)
				}
				return each(at, l, err)
			})
			if err != nil {
				return err
			}
			from = max(next, wanted+1)
		}
	}
	return nil
}

// read makes one fetch that begins with the record at wanted, and returns the
// offset behind the last record that it held.
func (s *Snapshot) read(ctx context.Context, p *part, wanted int64, each func(At, *Letter, error) error) (int64, error) {
	t := s.topic
	var answer *kafka.FetchResponse
	err := t.retry(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		var err error
		answer, err = t.client.Fetch(ctx, &kafka.FetchRequest{
			Topic: t.options.Topic, Partition: int(p.partition), Offset: wanted,
			MinBytes: 1, MaxBytes: letterFetch, MaxWait: letterWait, IsolationLevel: kafka.ReadUncommitted,
		})
		if err == nil {
			err = answer.Error
		}
		return err
	})
	if errors.Is(err, kafka.OffsetOutOfRange) {
		return wanted, nil // deleted since
	}
	if err != nil {
		return wanted, t.unread(err)
	}
	next := wanted
	for {
		record, err := answer.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return next, nil
		}
		if err != nil {
			return next, t.unread(err)
		}
		next = max(next, record.Offset+1)
		chosen := record.Offset >= wanted && p.letters.has(record.Offset)
		m, err := message(record, chosen)
		if err != nil {
			return next, t.unread(err)
		}
		if !chosen {
			continue
		}
		letter, err := Decode(m)
		if err := each(At{Partition: p.partition, Offset: record.Offset}, &letter, err); err != nil {
			return next, err
		}
	}
}

// message copies a record out of the client's memory and gives that back.
func message(record *protocol.Record, wanted bool) (m kafka.Message, err error) {
	m.Headers = record.Headers
	for _, part := range []struct {
		from protocol.Bytes
		into *[]byte
	}{{record.Key, &m.Key}, {record.Value, &m.Value}} {
		if part.from == nil {
			continue
		}
		if wanted && err == nil {
			if *part.into, err = protocol.ReadAll(part.from); err == nil && *part.into == nil {
				*part.into = []byte{}
			}
		}
		_ = part.from.Close()
	}
	if err != nil {
		return m, fmt.Errorf("reading record %d: %w", record.Offset, err)
	}
	return m, nil
}

// unread explains why letters could not be read.
func (t *Topic) unread(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	e := &Error{Kind: classify(err), Topic: t.options.Topic, Doing: "reading dead letters", Err: err}
	switch e.Kind {
	case Forbidden:
		e.Hint = "grant DESCRIBE and READ on it"
	case Missing:
		e.Hint = "no dead letter was ever written with this configuration"
	case Unavailable, Refused:
	}
	return e
}

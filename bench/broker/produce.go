package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func readAll(addr, topic string, n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer cl.Close()
	for got := 0; got < n; {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			return err
		}
		got += fs.NumRecords()
	}
	return nil
}

// produce adds the next n sessions, and notes their times if wanted.
func (s *server) produce(ctx context.Context, n int, rate float64, timed bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	crcs := make([]byte, 0, 4*n)
	first := s.next
	var errs []string
	var emu sync.Mutex
	t0 := time.Now()
	if timed {
		s.times = append(s.times, make([][2]int64, n)...)
	}
	times := s.times[max(0, len(s.times)-n):]
	for j := range n {
		if rate > 0 {
			if d := time.Until(t0.Add(time.Duration(float64(j) / rate * 1e9))); d > 0 {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(d):
				}
			}
		}
		i := s.next
		v := s.gen.Append(make([]byte, 0, 8192), i)
		crcs = binary.LittleEndian.AppendUint32(crcs, crc32.Checksum(v, castagnoli))
		s.next++
		s.bytes.Add(int64(len(v)))
		now := time.Now()
		if timed {
			times[j][0] = now.UnixNano()
		}
		s.cl.Produce(context.WithoutCancel(ctx), &kgo.Record{
			Key: s.gen.Key(nil, i), Value: v, Partition: int32(i % s.parts), Timestamp: now,
		}, func(_ *kgo.Record, err error) {
			if timed {
				times[j][1] = time.Now().UnixNano()
			}
			if err != nil {
				s.failed.Add(1)
				emu.Lock()
				errs = append(errs, err.Error())
				emu.Unlock()
				return
			}
			s.n.Add(1)
		})
	}
	if err := s.cl.Flush(context.Background()); err != nil {
		return err
	}
	if s.crc != nil {
		if _, err := s.crc.WriteAt(crcs, 4*int64(first)); err != nil {
			return err
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%d not produced: %s", len(errs), strings.Join(errs[:min(3, len(errs))], "; "))
	}
	return nil
}

// foretell writes the checksums of the next n sessions, which are to be
// produced later, and returns their bytes.
func (s *server) foretell(n int) (size int64, err error) {
	crcs := make([]byte, 0, 4*n)
	var v []byte
	for j := range n {
		v = s.gen.Append(v[:0], s.next+j)
		size += int64(len(v))
		crcs = binary.LittleEndian.AppendUint32(crcs, crc32.Checksum(v, castagnoli))
	}
	if s.crc != nil {
		_, err = s.crc.WriteAt(crcs, 4*int64(s.next))
	}
	return size, err
}

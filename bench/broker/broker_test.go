package main

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bench/sessiongen"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func newServer(t *testing.T) (*server, *kfake.Cluster) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "sessions"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("sessions"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	crc, err := os.Create(filepath.Join(t.TempDir(), "crc"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = crc.Close() })
	return &server{cl: cl, gen: sessiongen.New(1), topic: "sessions", parts: 2, crc: crc}, c
}

func TestTimesOfProducedSessions(t *testing.T) {
	s, _ := newServer(t)
	size, err := s.foretell(30)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now().UnixNano()
	for _, n := range []int{10, 20} {
		if err := s.produce(t.Context(), n, 1000, true); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.times) != 30 || s.bytes.Load() != size {
		t.Fatalf("%d times, %d bytes of %d", len(s.times), s.bytes.Load(), size)
	}
	for i, at := range s.times {
		if at[0] < began || at[1] < at[0] || i > 0 && at[0] < s.times[i-1][0] {
			t.Errorf("session %d: %v", i, at)
		}
	}
	b := make([]byte, 4)
	if _, err := s.crc.ReadAt(b, 4*29); err != nil || binary.LittleEndian.Uint32(b) != crc32.Checksum(s.gen.Append(nil, 29), castagnoli) {
		t.Errorf("checksum of the last session: %v, %v", b, err)
	}
}

func TestGate(t *testing.T) {
	s, c := newServer(t)
	if err := s.produce(t.Context(), 20, 0, false); err != nil {
		t.Fatal(err)
	}
	g := newGate(c)
	for range 2 { // it closes again
		g.set(true)
		cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("sessions"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if n := cl.PollFetches(short).NumRecords(); n != 0 {
			t.Errorf("%d records through the closed gate", n)
		}
		cancel()
		g.set(false)
		for got := 0; got < 20; {
			fs := cl.PollFetches(t.Context())
			if err := fs.Err0(); err != nil {
				t.Fatal(err)
			}
			got += fs.NumRecords()
		}
		cl.Close()
	}
}

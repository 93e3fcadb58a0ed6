package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"sessionexport/deadletter"
	"sessionexport/sinks/sinktest"
)

const (
	topic       = "sessions"
	letterTopic = "session-export.dead-letters"
	patience    = 2 * time.Minute // far beyond what anything takes, on a busy machine
)

// stage is what one test plays on: an embedded broker, an authority for the
// endpoints, and a folder with the configuration.
type stage struct {
	t         *testing.T
	cluster   *kfake.Cluster
	authority *sinktest.Authority
	client    *kgo.Client
	admin     *kadm.Client
	dir       string
	produced  []session // that a load left
}

// newStage starts a broker that has the topic. Partitions 0 leaves the topic
// out.
func newStage(t *testing.T, partitions int32, options ...kfake.Opt) *stage {
	t.Helper()
	options = append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(32 << 20)}),
	}, options...)
	if partitions > 0 {
		options = append(options, kfake.SeedTopics(partitions, topic))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	s := newOffline(t)
	s.connect(cluster)
	return s
}

// newOffline is a stage without a broker.
func newOffline(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, authority: sinktest.NewAuthority(t), dir: t.TempDir()}
	s.file("ca.pem", string(s.authority.PEM()))
	return s
}

func (s *stage) connect(cluster *kfake.Cluster) {
	s.t.Helper()
	var err error
	s.cluster = cluster
	s.client, err = kgo.NewClient(
		kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(time.Millisecond), kgo.ProducerBatchMaxBytes(31<<20), kgo.BrokerMaxWriteBytes(64<<20),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
	)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.client.Close)
	s.admin = kadm.NewClient(s.client)
}

func (s *stage) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// file writes a file of the configuration's folder.
func (s *stage) file(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// receiver starts a scripted endpoint of the stage's authority.
func (s *stage) receiver() *sinktest.Receiver {
	s.t.Helper()
	return sinktest.New(s.t, sinktest.Options{Authority: s.authority, ForgetBodies: true})
}

// session is one that was produced.
type session struct {
	key      string // as a receiver names it
	document string
}

// small makes sessions from..from+n-1, a few hundred bytes each.
func small(from, n int) []session {
	all := make([]session, n)
	for k := range all {
		i := from + k
		all[k] = session{
			key: fmt.Sprintf("acme-s%d-%d", i, 1_700_000_000_000+i),
			document: fmt.Sprintf(`{"tenantId":"acme","userSessionId":"s%d","startTime":%d,"userActions":[{"name":"click on %d","application":"Shop"}],"pad":%q}`,
				i, 1_700_000_000_000+i, i, strings.Repeat("x", i*37%300)),
		}
	}
	return all
}

// produce writes sessions to the partitions in turn.
func (s *stage) produce(all []session) {
	s.t.Helper()
	partitions := s.partitions()
	records := make([]*kgo.Record, len(all))
	for i, one := range all {
		records[i] = &kgo.Record{Value: []byte(one.document), Partition: int32(i) % partitions}
	}
	s.write(records...)
}

// write writes records to the partitions that they name.
func (s *stage) write(records ...*kgo.Record) {
	s.t.Helper()
	if err := s.client.ProduceSync(s.context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) partitions() int32 {
	s.t.Helper()
	topics, err := s.admin.ListTopics(s.context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	return int32(len(topics[topic].Partitions))
}

// lag is how many records a sink's group has not committed, of all partitions.
func (s *stage) lag(sink string) int64 {
	s.t.Helper()
	ends, err := s.admin.ListEndOffsets(s.context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	at := s.committed(sink)
	var lag int64
	ends.Each(func(end kadm.ListedOffset) { lag += end.Offset - at[end.Partition] })
	return lag
}

// committed is what a sink's group has committed.
func (s *stage) committed(sink string) map[int32]int64 {
	s.t.Helper()
	at := map[int32]int64{}
	offsets, err := s.admin.FetchOffsets(s.context(), "session-export."+sink)
	if err != nil {
		return at // there is no such group yet
	}
	for partition, o := range offsets[topic] {
		at[partition] = max(o.At, 0)
	}
	return at
}

// letters reads the dead letters: of each identity the last.
func (s *stage) letters() map[deadletter.ID]deadletter.Letter {
	s.t.Helper()
	all := map[deadletter.ID]deadletter.Letter{}
	for _, m := range s.messages(letterTopic) {
		l, err := deadletter.Decode(m)
		if err != nil {
			s.t.Fatalf("dead letter %s: %v", m.Key, err)
		}
		all[l.ID()] = l
	}
	return all
}

// messages reads a topic from its beginning to its present end.
func (s *stage) messages(name string) []kafka.Message {
	s.t.Helper()
	ctx := s.context()
	ends, err := s.admin.ListEndOffsets(ctx, name)
	if err != nil || ends.Error() != nil {
		return nil // there is no such topic yet
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	if left == 0 {
		return nil
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(64<<20), kgo.FetchMaxPartitionBytes(64<<20), kgo.FetchMaxWait(100*time.Millisecond),
	)
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	var out []kafka.Message
	for int64(len(out)) < left {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			m := kafka.Message{Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
			}
			out = append(out, m)
		})
	}
	return out
}

// until asks again and again, until the answer is yes.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// freePort returns a port of 127.0.0.1 that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // tcp
}

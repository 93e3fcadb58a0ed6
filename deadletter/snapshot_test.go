package deadletter

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"sessionexport/consumer"
)

// stored is a store with its log, on a broker of its own.
type stored struct {
	t       *testing.T
	cluster *kfake.Cluster
	kafka   *consumer.Kafka
	topic   *Topic
	log     *consumer.Topic
}

func store(t *testing.T, options ...kfake.Opt) *stored {
	t.Helper()
	c := cluster(t, options...)
	k := consumer.Connect(consumer.KafkaOptions{Brokers: c.ListenAddrs()})
	t.Cleanup(func() { _ = k.Close() })
	s := &stored{t: t, cluster: c, kafka: k, topic: open(t, k.Client()), log: k.Topic(topicName)}
	t.Cleanup(s.log.Close)
	return s
}

func (s *stored) write(all ...Letter) {
	s.t.Helper()
	if err := s.topic.Write(s.t.Context(), all); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stored) bury(all ...Letter) {
	s.t.Helper()
	keys := make([]string, len(all))
	for i := range all {
		keys[i] = all[i].ID().String()
	}
	if err := s.topic.Tombstone(s.t.Context(), keys...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stored) snapshot() *Snapshot {
	s.t.Helper()
	snap, err := s.topic.Snapshot(s.t.Context(), s.log, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return snap
}

// living are the letters that are there now, by key.
func (s *stored) living() map[string]Letter {
	s.t.Helper()
	all := map[string]Letter{}
	err := s.snapshot().Each(s.t.Context(), nil, func(_ At, l *Letter, err error) error {
		if _, twice := all[l.ID().String()]; twice {
			return fmt.Errorf("%s came twice", l.ID())
		}
		all[l.ID().String()] = *l
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func TestSnapshotHasTheNewestOfEachKey(t *testing.T) {
	s := store(t)
	all := letters(300, 500)
	s.write(all...)
	all[5].Attempts, all[6].Body, all[6].BodySize = 99, []byte{}, 0
	all[7].Body, all[7].BodyOmitted, all[7].BodySize = nil, true, 20<<20
	s.write(all[5:8]...)
	s.bury(all[10:20]...)
	s.write(all[12]) // given up anew after it was dropped
	got := s.living()
	if len(got) != 291 {
		t.Errorf("%d letters", len(got))
	}
	for i := range all {
		l, there := got[all[i].ID().String()]
		if gone := i >= 10 && i < 20 && i != 12; there == gone {
			t.Errorf("letter %d: there %v", i, there)
			continue
		}
		if there && (l.Attempts != all[i].Attempts || string(l.Body) != string(all[i].Body) || l.BodyOmitted != all[i].BodyOmitted) {
			t.Errorf("letter %d: %+v", i, l)
		}
	}
}

// A snapshot stays what it was: what comes later is not in it, and what is
// deleted under it is passed over.
func TestSnapshotStays(t *testing.T) {
	s := store(t)
	all := letters(40, 100)
	s.write(all[:30]...)
	snap := s.snapshot()
	s.write(all[30:]...)
	if n := snap.Letters(); n != 30 {
		t.Errorf("%d letters", n)
	}
	// As compaction does it: the first records of the log are gone.
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	from := kadm.Offsets{}
	for partition := range int32(DefaultPartitions) {
		from.AddOffset(topicName, partition, 2, -1)
	}
	deleted, err := kadm.NewClient(client).DeleteRecords(t.Context(), from)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	var last int64
	n := 0
	err = snap.Each(t.Context(), func(done, total int64) {
		if done <= last || done > total {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	}, func(at At, _ *Letter, err error) error {
		if at.Offset < 2 {
			t.Errorf("%+v was deleted", at)
		}
		n++
		return err
	})
	if err != nil || n == 0 || n > 30 {
		t.Errorf("%d letters, error %v", n, err)
	}
}

// Many keys and little room for them: the partitions are read in turns, and
// the progress never goes back.
func TestSnapshotInTurns(t *testing.T) {
	s := store(t)
	all := letters(500, 20)
	s.write(all...)
	s.write(all[100:200]...)
	s.bury(all[:50]...)
	last := int64(0)
	snap, err := s.topic.snapshot(t.Context(), s.log, 16, func(done, total int64) {
		if done < last || done > total {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last = done
	})
	if err != nil || snap.Letters() != 450 {
		t.Errorf("%d letters, error %v", snap.Letters(), err)
	}
	if last < 3*650 {
		t.Errorf("%d records were read: in one turn", last)
	}
}

func TestSnapshotOfStrangeRecords(t *testing.T) {
	s := store(t)
	s.write(letters(3, 10)...)
	foreign := Encode(&letters(9, 10)[8])
	foreign.Headers[0].Value = []byte("9")
	_, err := s.topic.client.Produce(t.Context(), &kafka.ProduceRequest{
		Topic: topicName, Partition: 0, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(
			kafka.Record{Value: kafka.NewBytes([]byte("no key"))},
			kafka.Record{Key: kafka.NewBytes(foreign.Key), Value: kafka.NewBytes(foreign.Value), Headers: foreign.Headers},
		),
	})
	if err != nil {
		t.Fatal(err)
	}
	snap := s.snapshot()
	chosen, err := snap.Choose(t.Context(), &Filter{}, nil)
	if err != nil || chosen.Unreadable != 2 || chosen.Size() != 3 {
		t.Errorf("chosen %+v, error %v", chosen, err)
	}
}

func TestChooseGroupsBySink(t *testing.T) {
	s := store(t)
	all := letters(60, 50)
	for i := range all {
		all[i].Sink = []string{"b", "a", "c"}[i%3]
		all[i].Kind = []string{"rejected", "poison"}[i%2]
	}
	all[4].Body, all[4].BodyOmitted, all[4].BodySize = nil, true, 1<<20
	s.write(all...)
	chosen, err := s.snapshot().Choose(t.Context(), &Filter{Kinds: []string{"rejected"}, Sinks: []string{"a", "b"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range chosen.Groups {
		n := 0
		err := g.Letters.Each(t.Context(), nil, func(_ At, l *Letter, err error) error {
			if l.Sink != g.Sink || l.Kind != "rejected" {
				t.Errorf("%s/%s among those of %s", l.Sink, l.Kind, g.Sink)
			}
			n++
			return err
		})
		if err != nil || int64(n) != g.Letters.Letters() {
			t.Errorf("%d of %d, error %v", n, g.Letters.Letters(), err)
		}
		got = append(got, fmt.Sprintf("%s %d %d", g.Sink, n, g.WithoutBody))
	}
	if strings.Join(got, ", ") != "a 10 1, b 10 0" {
		t.Errorf("groups %v", got)
	}
}

func TestSnapshotEndsWithEach(t *testing.T) {
	s := store(t)
	s.write(letters(20, 10)...)
	enough := errors.New("enough")
	n := 0
	err := s.snapshot().Each(t.Context(), nil, func(At, *Letter, error) error {
		if n++; n == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 3 {
		t.Errorf("%d letters, error %v", n, err)
	}
}

func TestSnapshotWithoutTopic(t *testing.T) {
	s := store(t)
	s.topic.options.RetryFor = 50 * time.Millisecond
	_, err := s.topic.Snapshot(t.Context(), s.log, nil)
	if kindOf(t, err) != Missing || !strings.Contains(err.Error(), topicName) {
		t.Errorf("error %v", err)
	}
	// Looking does not create it.
	meta, err := s.kafka.Client().Metadata(t.Context(), &kafka.MetadataRequest{})
	if err != nil || len(meta.Topics) != 0 {
		t.Errorf("topics %v, error %v", meta, err)
	}
}

// Without the right to read, the error names it and no password.
func TestReadingRights(t *testing.T) {
	c := cluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "pw-of-all"),
		kfake.User("PLAIN", "exporter", "pw-of-one", grants(kmsg.ACLOperationDescribe)...))
	connect := func(user, password string) *consumer.Kafka {
		k := consumer.Connect(consumer.KafkaOptions{
			Brokers: c.ListenAddrs(), SASL: plain.Mechanism{Username: user, Password: password}, Logger: slog.New(slog.DiscardHandler),
		})
		t.Cleanup(func() { _ = k.Close() })
		return k
	}
	if err := open(t, connect("admin", "pw-of-all").Client()).Write(t.Context(), letters(3, 10)); err != nil {
		t.Fatal(err)
	}
	k := connect("exporter", "pw-of-one")
	log := k.Topic(topicName)
	defer log.Close()
	_, err := open(t, k.Client()).Snapshot(t.Context(), log, nil)
	if kindOf(t, err) != Forbidden || !strings.Contains(err.Error(), "READ") || strings.Contains(err.Error(), "pw-of") {
		t.Errorf("error %v", err)
	}
}

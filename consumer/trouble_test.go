package consumer

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestWhereANewGroupStarts(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	tests := map[string]struct {
		start Start
		want  int64
	}{
		"latest":                 {Start{}, 10},
		"earliest":               {Start{Kind: Earliest}, 0},
		"at":                     {Start{Kind: At, Time: at.Add(4 * time.Second)}, 4},
		"at, in the future":      {Start{Kind: At, Time: at.Add(time.Hour)}, 10},
		"at, before everything ": {Start{Kind: At, Time: at.Add(-time.Hour)}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, kfake.SeedTopics(2, testTopic))
			for p := range int32(2) {
				var records []*kgo.Record
				for i, v := range numbered("x", 10) {
					records = append(records, &kgo.Record{Topic: testTopic, Partition: p, Value: []byte(v), Timestamp: at.Add(time.Duration(i) * time.Second)})
				}
				for _, r := range records {
					produceRecords(t, c, []*kgo.Record{r})
				}
			}
			o := testOptions(t, connect(t, c))
			o.Start = test.start
			h := start(t, o)
			h.untilStable(2)
			for p := range int32(2) {
				if got := committed(t, c, p); got != test.want {
					t.Errorf("partition %d: committed %d before the first fetch, want %d", p, got, test.want)
				}
			}
			produce(t, c, 0, []string{"new"})
			h.until("the new record", func() bool {
				return slices.ContainsFunc(h.records, func(r got) bool { return r.Value == "new" })
			})
			if want := int(2*(10-test.want)) + 1; len(h.untilRecords(want)) != want {
				t.Errorf("read %d records, want %d", len(h.seen()), want)
			}
			// The group has offsets now: another start changes nothing.
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
			o = testOptions(t, connect(t, c))
			again := start(t, o)
			again.untilStable(2)
			produce(t, c, 0, []string{"newer"})
			if seen := again.untilRecords(1); seen[0].Value != "newer" {
				t.Errorf("read %q after a restart", seen[0].Value)
			}
		})
	}
}

func TestTopicThatDoesNotExistYet(t *testing.T) {
	c := newCluster(t)
	h := start(t, testOptions(t, connect(t, c)))
	h.until("topic missing", func() bool { return h.Status().State == StateTopicMissing })
	if s := h.Status(); !strings.Contains(s.LastError, testTopic) {
		t.Errorf("last error %q does not name the topic", s.LastError)
	}
	if err := c.CreateTopic(testTopic, 2, nil); err != nil {
		t.Fatal(err)
	}
	produce(t, c, 1, numbered("x", 3))
	h.untilRecords(3)
	if len(h.noticed(NoticeTrouble)) != 1 || len(h.noticed(NoticeRecovered)) != 1 {
		t.Errorf("notices %+v; want one of the trouble and one of its end", h.notices)
	}
}

func TestBrokerRestart(t *testing.T) {
	dir := t.TempDir()
	c := newCluster(t, kfake.DataDir(dir), kfake.SeedTopics(2, testTopic))
	h := start(t, testOptions(t, connect(t, c)))
	produce(t, c, 0, numbered("a", 10))
	h.untilRecords(10)
	h.until("committed", func() bool { return h.partitionStatus(0).Committed == 10 })
	port := mustPort(t, c.ListenAddrs()[0])
	c.Close()
	h.until("trouble", func() bool { return h.Status().LastError != "" })
	again, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.Ports(port), kfake.GroupMinSessionTimeout(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	produce(t, again, 0, numbered("b", 10))
	h.untilRecords(20)
	h.until("committed", func() bool { return h.partitionStatus(0).Committed == 20 })
	h.until("no trouble", func() bool { return h.Status().LastError == "" })
	if seen := h.seen(); len(seen) != 20 {
		t.Errorf("%d records, want each of 20 once", len(seen))
	}
}

func mustPort(t *testing.T, address string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}

func TestLeaderMoves(t *testing.T) {
	c := newCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(3, testTopic))
	h := start(t, testOptions(t, connect(t, c)))
	h.untilStable(3)
	next := 0
	for round := range 3 {
		for p := range int32(3) {
			produce(t, c, p, numbered(fmt.Sprint(round), 10))
		}
		next += 30
		h.untilRecords(next)
		for p := range int32(3) {
			if err := c.MoveTopicPartition(testTopic, p, (c.LeaderFor(testTopic, p)+1)%3); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen := h.seen(); len(seen) != next || h.Status().Rebalances != 1 {
		t.Errorf("%d records in %d generations, want each of %d once in one", len(seen), h.Status().Rebalances, next)
	}
}

func TestPositionBeforeTheLog(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	produce(t, c, 0, numbered("a", 10))
	h := start(t, testOptions(t, connect(t, c)))
	h.untilRecords(10)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	produce(t, c, 0, numbered("b", 10))
	if err := c.DeleteRecords(testTopic, 0, 20); err != nil {
		t.Fatal(err)
	}
	h = start(t, testOptions(t, connect(t, c)))
	h.until("out of range", func() bool { return len(h.noticed(NoticeOutOfRange)) == 1 })
	if n := h.noticed(NoticeOutOfRange)[0]; n.Skipped != 10 || n.Offset != 10 || n.Partition != 0 {
		t.Errorf("notice %+v, want 10 skipped from offset 10", n)
	}
	// There is nothing to read, and still the group moves on.
	h.until("committed", func() bool { s := h.partitionStatus(0); return s.Committed == 20 && s.Lag == 0 })
	produce(t, c, 0, []string{"c"})
	if seen := h.untilRecords(1); seen[0].Offset != 20 || seen[0].Epoch != 1 {
		t.Errorf("read %+v, want offset 20 of the same claim", seen[0])
	}
	if s := h.Status(); s.OutOfRange != 1 || s.Skipped != 10 {
		t.Errorf("counted %d with %d skipped, want 1 with 10", s.OutOfRange, s.Skipped)
	}
}

func TestPositionPastTheLog(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	produce(t, c, 0, numbered("a", 10))
	h := start(t, testOptions(t, connect(t, c)))
	h.untilRecords(10)
	h.until("committed", func() bool { return h.partitionStatus(0).Committed == 10 })
	if err := c.DeleteTopic(testTopic); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic(testTopic, 1, nil); err != nil {
		t.Fatal(err)
	}
	produce(t, c, 0, numbered("b", 5))
	seen := h.untilRecords(15)
	if r := seen[10]; r.Offset != 0 || r.Epoch != 2 || r.Value != "b0" {
		t.Errorf("after the topic was created anew came %+v, want offset 0 under a new claim", r)
	}
	h.until("out of range", func() bool { return len(h.noticed(NoticeOutOfRange)) == 1 && len(h.lost) == 1 })
	h.Mark(Claim{Partition: 0, Epoch: 1}, 100) // of the old log
	h.until("committed", func() bool { return h.partitionStatus(0).Committed == 5 })
	if got := committed(t, c, 0); got != 5 {
		t.Errorf("committed %d, want 5", got)
	}
}

func TestSilentBroker(t *testing.T) {
	checkLeaks(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-accepted
		for _, c := range conns {
			_ = c.Close()
		}
	})
	k := Connect(KafkaOptions{Brokers: []string{l.Addr().String()}, DialTimeout: time.Second, Logger: testLogger(t)})
	h := start(t, testOptions(t, k))
	began := time.Now()
	h.until("trouble", func() bool { return h.Status().LastError != "" })
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("a silent broker was noticed after %v", d)
	}
	if s := h.Status(); s.State != StateConnecting {
		t.Errorf("state %q", s.State)
	}
	began = time.Now()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("stopping took %v", d)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestUnreachableKafka(t *testing.T) {
	checkLeaks(t)
	k := Connect(KafkaOptions{Brokers: []string{"127.0.0.1:1"}, Logger: testLogger(t)})
	h := start(t, testOptions(t, k))
	h.until("trouble", func() bool { return h.Status().LastError != "" })
	if s := h.Status(); s.State != StateConnecting || !strings.Contains(s.LastError, "127.0.0.1:1") {
		t.Errorf("state %q, error %q; want the address named", s.State, s.LastError)
	}
	h.until("tries", func() bool { return time.Since(h.Status().LastErrorAt) < time.Second })
	if n := h.noticed(NoticeTrouble); len(n) != 1 {
		t.Errorf("%d notices of one trouble", len(n))
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestThrottlingBroker(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	produce(t, c, 0, numbered("x", 10))
	var fetches []time.Time
	const pause = 300 * time.Millisecond
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		fetches = append(fetches, time.Now())
		if len(fetches) > 1 {
			return nil, nil, false
		}
		res := req.(*kmsg.FetchRequest).ResponseKind().(*kmsg.FetchResponse)
		res.ThrottleMillis = int32(pause.Milliseconds())
		return res, nil, true
	})
	h := start(t, testOptions(t, connect(t, c)))
	h.untilRecords(10)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if d := fetches[1].Sub(fetches[0]); d < pause {
		t.Errorf("the next fetch came after %v, the broker asked for %v", d, pause)
	}
	if s := h.Status(); s.Throttled != pause {
		t.Errorf("throttled for %v", s.Throttled)
	}
}

func TestCommitsThatFailStopTheHandOff(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	o := testOptions(t, connect(t, c))
	o.MaxUncommitted = 20
	h := start(t, o)
	h.untilStable(1)
	fail := true
	release := make(chan struct{})
	c.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		select {
		case <-release:
			fail = false
		default:
		}
		if fail {
			return answerWith(req, 15), nil, true
		}
		return nil, nil, false
	})
	produce(t, c, 0, numbered("a", 30))
	h.untilRecords(30)
	h.until("behind", func() bool { return h.Status().CommitsBehind })
	produce(t, c, 0, numbered("b", 30))
	h.until("the lag is known although nothing is fetched", func() bool { return h.partitionStatus(0).HighWatermark == 60 })
	if n := len(h.seen()); n != 30 {
		t.Errorf("%d records were handed out while 30 are uncommitted", n)
	}
	if s := h.partitionStatus(0); s.Lag != 60 || s.UncommittedSince.IsZero() {
		t.Errorf("status %+v", s)
	}
	close(release)
	h.untilRecords(60)
	h.until("committed", func() bool { s := h.partitionStatus(0); return s.Committed == 60 && s.UncommittedSince.IsZero() })
}

func TestRecommitAndOffsetsOfAGroupThatRests(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, testTopic))
	produce(t, c, 0, numbered("x", 10))
	k := connect(t, c)
	if err := Recommit(t.Context(), k, testGroup, testTopic); err != nil {
		t.Fatalf("a group without offsets: %v", err)
	}
	if got := committed(t, c, 0); got != -1 {
		t.Errorf("committed %d for a group that never read", got)
	}
	h := start(t, testOptions(t, k))
	h.untilRecords(10)
	h.until("committed", func() bool { return h.partitionStatus(0).Committed == 10 })
	if err := Recommit(t.Context(), k, testGroup, testTopic); err != nil {
		t.Fatalf("a group that runs: %v", err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	produce(t, c, 0, numbered("y", 5))
	commits := 0
	c.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		commits++
		return nil, nil, false
	})
	if err := Recommit(t.Context(), k, testGroup, testTopic); err != nil {
		t.Fatal(err)
	}
	offsets, err := GroupOffsets(t.Context(), k, testGroup, testTopic)
	if err != nil {
		t.Fatal(err)
	}
	want := []GroupOffset{{Partition: 0, Committed: 10, HighWatermark: 15, Lag: 5}, {Partition: 1, Committed: 0}}
	if !slices.Equal(offsets, want) {
		t.Errorf("offsets %+v, want %+v", offsets, want)
	}
	if commits != 1 {
		t.Errorf("%d commits", commits)
	}
	if _, err := GroupOffsets(t.Context(), k, testGroup, "missing"); err == nil {
		t.Error("a topic that does not exist has offsets")
	} else if e := (*Error)(nil); !errors.As(err, &e) || e.Kind != ErrTopicMissing {
		t.Errorf("error %v", err)
	}
}

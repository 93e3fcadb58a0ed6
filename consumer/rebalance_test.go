package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func partitionsOf(h *harness) []int32 {
	var ps []int32
	for _, p := range h.Status().Partitions {
		ps = append(ps, p.Claim.Partition)
	}
	return ps
}

func TestMembersShareAndTakeOver(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(6, testTopic))
	k := connect(t, c)
	first := start(t, testOptions(t, k))
	first.untilStable(6)
	epochs := map[int32]uint32{}
	for _, p := range first.Status().Partitions {
		epochs[p.Claim.Partition] = p.Claim.Epoch
	}
	second := start(t, testOptions(t, k))
	second.untilStable(3)
	first.untilStable(3)
	all := append(partitionsOf(first), partitionsOf(second)...)
	slices.Sort(all)
	if !slices.Equal(all, []int32{0, 1, 2, 3, 4, 5}) {
		t.Fatalf("assigned %v", all)
	}
	for _, p := range first.Status().Partitions {
		if p.Claim.Epoch != epochs[p.Claim.Partition] {
			t.Errorf("partition %d has epoch %d after a rebalance that left it in place, had %d", p.Claim.Partition, p.Claim.Epoch, epochs[p.Claim.Partition])
		}
	}
	if len(first.lost) != 0 || len(first.revoked) != 1 || len(first.revoked[0]) != 3 {
		t.Errorf("revoked %v, lost %v; want three claims revoked once", first.revoked, first.lost)
	}
	for p := range int32(6) {
		produce(t, c, p, numbered("x", 10))
	}
	first.untilRecords(30)
	second.untilRecords(30)
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	first.untilStable(6)
	for p := range int32(6) {
		produce(t, c, p, numbered("y", 10))
	}
	first.until("all partitions read on", func() bool { return len(first.records) >= 90 })
	if n := len(first.seen()) + len(second.seen()); n != 120 {
		t.Errorf("read %d records in all, want each of 120 once", n)
	}
}

func TestMemberTakesOverFromACrash(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(4, testTopic))
	first := start(t, testOptions(t, connect(t, c)))
	first.untilStable(4)
	o := testOptions(t, connect(t, c))
	o.SessionTimeout = 300 * time.Millisecond
	second := start(t, o)
	second.untilStable(2)
	_ = o.Kafka.Close() // all its connections are cut, and it cannot leave
	first.untilStable(4)
	for p := range int32(4) {
		produce(t, c, p, numbered("x", 5))
	}
	first.untilRecords(20)
}

// A partition that stays is read and committed on while another member holds
// the rebalance up.
func TestKeptPartitionsDoNotPause(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, testTopic))
	k := connect(t, c)
	letGo := make(chan struct{})
	o := testOptions(t, k)
	o.RevokeTimeout = patience
	o.Revoke = func(ctx context.Context, _ []Claim) {
		select {
		case <-letGo:
		case <-ctx.Done():
		}
	}
	first := start(t, o)
	first.untilStable(2)
	second := start(t, testOptions(t, k))
	first.until("revoking", func() bool { return len(first.revoked) == 1 })
	taken := first.revoked[0][0].Partition
	kept := 1 - taken

	produce(t, c, kept, numbered("during revoke ", 10))
	produce(t, c, taken, numbered("waits ", 10))
	first.untilRecords(10)
	first.until("committed while revoking", func() bool { return first.partitionStatus(kept).Committed == 10 })
	for _, r := range first.seen() {
		if r.Partition != kept {
			t.Fatalf("record of partition %d, which is being revoked", r.Partition)
		}
	}
	// Now the sync is held up: joined, but the assignment is not known.
	syncs := make(chan struct{}, 16)
	hold := make(chan struct{})
	c.ControlKey(int16(kmsg.SyncGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		syncs <- struct{}{}
		c.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	close(letGo)
	<-syncs
	produce(t, c, kept, numbered("between join and sync ", 10))
	first.untilRecords(20)
	close(hold)
	second.untilStable(1)
	second.untilRecords(10)
	first.until("committed", func() bool { return first.partitionStatus(kept).Committed == 20 })
	if first.partitionStatus(kept).Claim.Epoch != 1 {
		t.Error("the kept partition was interrupted")
	}
}

func TestNothingIsCommittedAfterRevoke(t *testing.T) {
	for _, marked := range []bool{true, false} {
		t.Run(fmt.Sprintf("marked in time %v", marked), func(t *testing.T) {
			c := newCluster(t, kfake.SeedTopics(2, testTopic))
			produce(t, c, 0, numbered("a", 10))
			produce(t, c, 1, numbered("b", 10))
			k := connect(t, c)
			o := testOptions(t, k)
			var first *harness
			ready := make(chan struct{})
			o.Revoke = func(_ context.Context, claims []Claim) {
				<-ready
				for _, claim := range claims {
					if marked {
						first.Mark(claim, 10)
					}
				}
			}
			first = start(t, o, func(h *harness) { h.hold = true })
			close(ready)
			first.untilRecords(20)
			second := start(t, testOptions(t, k), func(h *harness) { h.hold = true })
			second.untilStable(1)
			claim := first.revoked[0][0]
			first.Mark(claim, 10) // too late, in both cases
			if err := first.commit(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			want := int64(0)
			if marked {
				want = 10
			}
			if got := committed(t, c, claim.Partition); got != want {
				t.Errorf("committed %d, want %d", got, want)
			}
			// The control case: the partition that stayed can be marked.
			stayed := Claim{Partition: 1 - claim.Partition, Epoch: 1}
			first.Mark(stayed, 7)
			first.until("committed", func() bool { return first.partitionStatus(stayed.Partition).Committed == 7 })
		})
	}
}

func TestCoordinatorTroubleInterruptsNothing(t *testing.T) {
	for _, code := range []int16{14, 15, 16, 7} {
		for _, key := range []kmsg.Key{kmsg.Heartbeat, kmsg.OffsetCommit, kmsg.FindCoordinator, kmsg.SyncGroup, kmsg.JoinGroup, kmsg.OffsetFetch} {
			if (code == 15 || code == 7) && key != kmsg.Heartbeat && key != kmsg.OffsetCommit {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", key.Name(), code), func(t *testing.T) {
				c := newCluster(t, kfake.SeedTopics(1, testTopic))
				failed := make(chan struct{}, 1000)
				n := 0
				fail := func() {
					c.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
						c.KeepControl()
						if n++; n > 3 {
							return nil, nil, false
						}
						failed <- struct{}{}
						return answerWith(req, code), nil, true
					})
				}
				atStart := key == kmsg.SyncGroup || key == kmsg.JoinGroup || key == kmsg.OffsetFetch
				if atStart {
					fail()
				}
				h := start(t, testOptions(t, connect(t, c)))
				h.untilStable(1)
				if !atStart {
					fail()
				}
				produce(t, c, 0, numbered("x", 10))
				h.untilRecords(10)
				for range 3 {
					select {
					case <-failed:
					case <-time.After(patience):
						t.Fatal("nothing failed")
					}
				}
				h.until("committed", func() bool { return h.partitionStatus(0).Committed == 10 })
				s := h.Status()
				if s.Rebalances != 1 || len(h.lost) != 0 || s.Partitions[0].Claim.Epoch != 1 {
					t.Errorf("%d rebalances, lost %v, epoch %d; want one undisturbed generation", s.Rebalances, h.lost, s.Partitions[0].Claim.Epoch)
				}
			})
		}
	}
}

// answerWith makes an answer that carries an error code.
func answerWith(req kmsg.Request, code int16) kmsg.Response {
	switch r := req.(type) {
	case *kmsg.HeartbeatRequest:
		res := r.ResponseKind().(*kmsg.HeartbeatResponse)
		res.ErrorCode = code
		return res
	case *kmsg.FindCoordinatorRequest:
		res := r.ResponseKind().(*kmsg.FindCoordinatorResponse)
		res.ErrorCode, res.NodeID = code, -1
		return res
	case *kmsg.JoinGroupRequest:
		res := r.ResponseKind().(*kmsg.JoinGroupResponse)
		res.ErrorCode, res.Generation = code, -1
		return res
	case *kmsg.SyncGroupRequest:
		res := r.ResponseKind().(*kmsg.SyncGroupResponse)
		res.ErrorCode = code
		return res
	case *kmsg.OffsetFetchRequest:
		res := r.ResponseKind().(*kmsg.OffsetFetchResponse)
		res.ErrorCode = code
		return res
	case *kmsg.OffsetCommitRequest:
		res := r.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res
	default:
		panic(fmt.Sprintf("no answer for %T", req))
	}
}

func TestLostMembership(t *testing.T) {
	for _, code := range []int16{22, 25} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			c := newCluster(t, kfake.SeedTopics(1, testTopic))
			produce(t, c, 0, numbered("x", 10))
			h := start(t, testOptions(t, connect(t, c)), func(h *harness) { h.hold = true })
			h.untilRecords(10)
			before := h.Status().MemberID
			c.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
				return answerWith(req, code), nil, true
			})
			h.until("lost", func() bool { return len(h.lost) == 1 })
			h.Mark(Claim{Partition: 0, Epoch: 1}, 10)
			h.untilRecords(20) // read again, under a new claim
			seen := h.seen()
			if seen[10].Offset != 0 || seen[10].Epoch != 2 {
				t.Errorf("after the loss came %+v, want offset 0 of epoch 2", seen[10])
			}
			if after := h.Status().MemberID; (after == before) != (code == 22) {
				t.Errorf("member id %q became %q", before, after)
			}
			if got := committed(t, c, 0); got != 0 {
				t.Errorf("committed %d, want 0", got)
			}
			if len(h.noticed(NoticeLost)) != 1 {
				t.Errorf("notices %v", h.notices)
			}
		})
	}
}

func TestRebalanceDuringCommit(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	h := start(t, testOptions(t, connect(t, c)))
	h.untilStable(1)
	for _, code := range []int16{27, 22, 25} {
		c.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
			return answerWith(req, code), nil, true
		})
		next := produce(t, c, 0, numbered("x", 10)) + 10
		h.until("committed in the end", func() bool { return h.partitionStatus(0).Committed == next })
	}
	if s := h.Status(); s.CommitFailures != 3 || len(h.lost) != 0 {
		t.Errorf("%d commit failures, lost %v; want three and nothing lost: only a heartbeat decides", s.CommitFailures, h.lost)
	}
}

func TestStaticMember(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(2, testTopic))
	o := testOptions(t, connect(t, c))
	o.InstanceID = "one"
	first := start(t, o)
	first.untilStable(2)
	generation := first.Status().Generation
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	o = testOptions(t, connect(t, c))
	o.InstanceID = "one"
	again := start(t, o)
	again.untilStable(2)
	if g := again.Status().Generation; g != generation {
		t.Errorf("generation %d after a restart, want %d", g, generation)
	}
	// Another process with the same id: whoever was first is fenced.
	thief := start(t, o)
	select {
	case <-again.done:
	case <-time.After(patience):
		t.Fatal("the first of two processes with one id goes on")
	}
	var e *Error
	if !errors.As(again.err, &e) || e.Kind != ErrFenced {
		t.Errorf("Run returned %v", again.err)
	}
	if s := again.Status(); s.State != StateFenced || len(s.Partitions) != 0 || len(again.lost) != 1 {
		t.Errorf("fenced member has status %+v, lost %v", s, again.lost)
	}
	thief.untilStable(2)
}

func TestTopicGrows(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	produce(t, c, 0, numbered("old", 5))
	o := testOptions(t, connect(t, c))
	o.Start = Start{Kind: Latest}
	first := start(t, o)
	first.untilStable(1)
	second := start(t, o)
	second.until("a member of two", func() bool { return second.Status().State == StateStable })
	grow(t, c, 4)
	produce(t, c, 3, numbered("new", 5))
	first.until("two partitions each", func() bool {
		return len(first.Status().Partitions) == 2 && len(second.Status().Partitions) == 2
	})
	first.until("the new partition from its beginning", func() bool { return len(first.records)+len(second.seen()) == 5 })
}

// A member that was stopped for longer than a session wakes up: others may own
// its partitions, so that it must hear from the coordinator first.
func TestNoCommitAfterASilentSession(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, testTopic))
	o := testOptions(t, connect(t, c))
	o.Heartbeat, o.CommitInterval = time.Hour, 5*time.Second
	h := start(t, o, func(h *harness) { h.hold = true })
	h.untilStable(1)
	produce(t, c, 0, numbered("x", 10))
	h.untilRecords(10)
	h.mu.Lock()
	h.Member.mu.Lock()
	h.aliveAt = time.Now().Add(-2 * o.SessionTimeout)
	h.Member.mu.Unlock()
	h.mu.Unlock()
	h.Mark(Claim{Partition: 0, Epoch: 1}, 10)
	if err := h.commit(t.Context(), nil); err == nil {
		t.Error("committed")
	}
	if got := committed(t, c, 0); got != 0 {
		t.Errorf("committed %d, want 0", got)
	}
	h.until("heard from the coordinator", func() bool {
		h.Member.mu.Lock()
		defer h.Member.mu.Unlock()
		return time.Since(h.aliveAt) < time.Minute/10
	})
	if err := h.commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := committed(t, c, 0); got != 10 {
		t.Errorf("committed %d, want 10", got)
	}
}

// A join that waits for other members is given up when the coordinator moves.
func TestCoordinatorMovesDuringAJoin(t *testing.T) {
	c := newCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(1, testTopic), kfake.SleepOutOfOrder())
	coordinator := c.CoordinatorFor(testGroup)
	moved := make(chan struct{})
	hang := make(chan struct{})
	joins := 0
	c.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if joins++; joins == 1 {
			c.SleepControl(func() { <-hang })
		}
		return nil, nil, false
	})
	asked := 0
	c.ControlKey(int16(kmsg.FindCoordinator), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		select {
		case <-moved:
			return nil, nil, false
		default:
		}
		if asked++; asked < 10 { // seed and join ask too
			return nil, nil, false
		}
		close(moved)
		res := req.(*kmsg.FindCoordinatorRequest).ResponseKind().(*kmsg.FindCoordinatorResponse)
		res.NodeID = 1 - coordinator
		return res, nil, true
	})
	o := testOptions(t, connect(t, c))
	o.RebalanceTimeout = time.Hour
	h := start(t, o)
	<-moved
	h.untilStable(1) // while the first join hangs still
	close(hang)
}

package consumer

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
)

// commitTimeout is longer than a broker waits for its replicas (5 s by
// default), so that its answer is heard.
const commitTimeout = 8 * time.Second

// A commit that nobody answered may still be carried out, even after a later
// one: a broker that stood still takes up what waited. So what is committed is
// committed again for a while, and a position that went back does not stay back.
const (
	commitDoubt  = 30 * time.Second // for how long; a coordinator that stands still for longer is replaced
	commitRepeat = 2 * time.Second  // how often
)

// commitLoop commits what was marked, at most once every CommitInterval.
func (m *Member) commitLoop(ctx context.Context) {
	t := time.NewTicker(m.o.CommitInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := m.commit(ctx, nil); err != nil && ctx.Err() == nil {
			m.log.Debug("commit failed; trying again", "error", err)
		}
	}
}

// commit commits what is marked and not committed: of all owned partitions, or
// of some claims. It names the generation in which they are owned, so that the
// coordinator refuses a commit that comes late. It never decides about the
// membership: a refusal makes the heartbeat find out.
func (m *Member) commit(ctx context.Context, claims []Claim) error {
	m.commits.Lock()
	defer m.commits.Unlock()

	m.mu.Lock()
	id := m.id
	now := time.Now()
	silent := (m.state == StateStable || m.state == StateRevoking) && now.Sub(m.aliveAt) > m.o.SessionTimeout
	var sent []*partition
	var offsets []offsetcommit.RequestPartition
	add := func(p *partition) {
		if p.marked > p.committed || p.doubted(now) {
			sent = append(sent, p)
			offsets = append(offsets, offsetcommit.RequestPartition{PartitionIndex: p.claim.Partition, CommittedOffset: p.marked, CommittedLeaderEpoch: -1})
		}
	}
	if claims == nil {
		for _, p := range m.owned {
			add(p)
		}
	}
	for _, c := range claims {
		if p := m.owned[c.Partition]; p != nil && p.claim == c {
			add(p)
		}
	}
	m.mu.Unlock()
	if len(sent) == 0 {
		return nil
	}
	var err error
	if silent {
		// Stopped or cut off for longer than a session: others may own the
		// partitions by now.
		err = &Error{Doing: "committing", Err: errors.New("no heartbeat was answered for a whole session"), Kind: ErrKafka}
		m.beat.broadcast()
	} else {
		err = m.sendCommit(ctx, id, sent, offsets)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.failingSince = time.Time{}
		m.wake.broadcast()
		return nil
	}
	if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		m.commitFailures++
		if m.failingSince.IsZero() {
			m.failingSince = now
		}
	}
	return err
}

// commitLast commits claims, or all when there are none, before they are given
// away. It tries until ctx is done or the coordinator says that it is too late.
func (m *Member) commitLast(ctx context.Context, claims []Claim) {
	retry := backoff{first: 50 * time.Millisecond, most: 500 * time.Millisecond}
	for ctx.Err() == nil {
		err := m.commit(ctx, claims)
		if err == nil {
			return
		}
		if errors.Is(err, kafka.IllegalGeneration) || errors.Is(err, kafka.UnknownMemberId) || errors.Is(err, kafka.FencedInstanceID) {
			m.log.Warn("the last commit came too late; the next owner reads again what is not committed", "error", err)
			return
		}
		sleep(ctx, retry.next(), nil)
	}
	m.log.Warn("the last commit failed; the next owner reads again what is not committed")
}

// sendCommit returns the first error; partitions that were committed count as
// committed whatever became of the others.
func (m *Member) sendCommit(ctx context.Context, id identity, sent []*partition, offsets []offsetcommit.RequestPartition) error {
	codes, throttle, err := commitOffsets(ctx, m.link, m.patience(commitTimeout), &offsetcommit.Request{
		GroupID: m.o.Group, GenerationID: id.generation, MemberID: id.member, GroupInstanceID: m.o.InstanceID,
		Topics: []offsetcommit.RequestTopic{{Name: m.o.Topic, Partitions: offsets}},
	})
	if err != nil {
		m.doubt(sent)
		return explain("committing", err, m.o.Topic, m.o.Group)
	}
	m.throttle(throttle)
	var first error
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for i, p := range sent {
		code, answered := codes[p.claim.Partition]
		switch {
		case !answered:
			first = errors.Join(first, &Error{Doing: "committing", Err: errShort, Kind: ErrKafka})
			continue
		case code != 0:
			if first == nil {
				first = m.codeError("committing", code)
			}
			if c := kafka.Error(code); c == kafka.IllegalGeneration || c == kafka.UnknownMemberId || c == kafka.FencedInstanceID || c == kafka.RebalanceInProgress {
				m.beat.broadcast()
			}
			continue
		}
		p.committed = offsets[i].CommittedOffset
		p.committedAt = now
		p.uncommittedSince = time.Time{}
		if p.marked > p.committed {
			p.uncommittedSince = now
		}
	}
	return first
}

// doubt notes a commit that nobody answered.
func (m *Member) doubt(sent []*partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	until := time.Now().Add(commitDoubt)
	for _, p := range sent {
		p.doubtUntil = until
	}
}

// doubted tells whether the committed position is to be committed once more.
func (p *partition) doubted(now time.Time) bool {
	return p.committed >= 0 && p.marked == p.committed && now.Before(p.doubtUntil) && now.Sub(p.committedAt) >= commitRepeat
}

// commitOffsets sends a commit and returns the code of each partition.
func commitOffsets(ctx context.Context, l *link, timeout time.Duration, req *offsetcommit.Request) (map[int32]int16, int32, error) {
	req.RetentionTimeMs = -1 // the broker's own
	res, err := roundTrip[*offsetcommit.Response](ctx, l, timeout, req)
	if err != nil {
		return nil, 0, err
	}
	codes := make(map[int32]int16)
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			codes[p.PartitionIndex] = p.ErrorCode
		}
	}
	return codes, res.ThrottleTimeMs, nil
}

// behindLocked tells whether so much is delivered and uncommitted that nothing
// more may be handed out. It only ever is while commits fail.
func (m *Member) behindLocked(now time.Time) bool {
	if m.failingSince.IsZero() {
		return false
	}
	if now.Sub(m.failingSince) >= m.o.CommitGrace {
		return true
	}
	var sum int64
	for _, p := range m.owned {
		if p.marked > p.committed && p.committed >= 0 {
			sum += p.marked - p.committed
		}
	}
	return sum >= m.o.MaxUncommitted
}

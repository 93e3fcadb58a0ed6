package consumer

import (
	"cmp"
	"slices"
	"time"
)

// State is what a member is doing.
type State string

// The states of a member, see Member.
const (
	StateIdle         State = "idle"          // Run was not called
	StateConnecting   State = "connecting"    // no broker answered yet
	StateTopicMissing State = "topic missing" // waits for the topic
	StateRefused      State = "refused"       // credentials or access rules; retried
	StateJoining      State = "joining"       // owned partitions are read on
	StateStable       State = "stable"
	StateRevoking     State = "revoking" // lets go of partitions that move to another member
	StateStopped      State = "stopped"
	StateFenced       State = "fenced" // Run returned: another process has the static id
)

// NoticeKind tells what a Notice is about.
type NoticeKind string

// What an operator must be told.
const (
	NoticeOutOfRange NoticeKind = "out_of_range" // the position is not in the log (any more); Skipped records were passed over
	NoticeCorrupt    NoticeKind = "corrupt"      // the batch at Offset cannot be read; its partition waits and tries again
	NoticeFenced     NoticeKind = "fenced"       // another process has the static id; Run returns
	NoticeTrouble    NoticeKind = "trouble"      // the member cannot work for the reason in Err; it keeps trying
	NoticeRecovered  NoticeKind = "recovered"    // the trouble is over
	NoticeLost       NoticeKind = "lost"         // the group went on without this member
)

// Notice is something an operator must be told. Partition is -1 when it
// concerns all.
type Notice struct {
	Err       error
	Kind      NoticeKind
	Offset    int64
	Skipped   int64 // records that will never be read, or were read again when negative
	Partition int32
}

// Status is a snapshot of a member.
type Status struct {
	LastErrorAt    time.Time
	State          State
	LastError      string // empty while all is well
	MemberID       string
	Partitions     []PartitionStatus // owned ones, sorted
	Throttled      time.Duration     // how long brokers asked to wait, in all
	Rebalances     int64             // completed
	CommitFailures int64
	Records        int64 // returned to the reader
	Bytes          int64 // fetched
	ControlBatches int64 // passed over
	Aborted        int64 // records of aborted transactions passed over
	TooLarge       int64 // records reported without their value
	OutOfRange     int64
	Skipped        int64 // offsets that were deleted before they were read
	Corrupt        int64 // batches, each try counted
	Held           int64 // bytes that are fetched and not released, or asked for
	Generation     int32
	Leader         bool // computes the assignments of the group
	CommitsBehind  bool // too much is delivered and uncommitted: hand-off waits for a commit
}

// PartitionStatus is a snapshot of one owned partition. Offsets are -1 while
// unknown.
type PartitionStatus struct {
	UncommittedSince time.Time // zero when all that is marked is committed
	CommittedAt      time.Time // of the last commit by this member; zero when there was none
	WatermarkAt      time.Time // when a broker last told the high watermark; zero before
	Trouble          string    // why it is not read at present
	Position         int64     // what is fetched next
	Marked           int64
	Committed        int64
	HighWatermark    int64
	LogStart         int64
	Lag              int64 // high watermark - committed (or log start), records
	CommitAge        time.Duration
	Claim            Claim
	Leader           int32
}

// Status returns a snapshot. It never blocks on I/O.
func (m *Member) Status() Status {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{
		State: m.state, LastErrorAt: m.troubleAt, MemberID: m.id.member, Generation: m.id.generation, Leader: m.leading,
		Rebalances: m.rebalances, CommitFailures: m.commitFailures, Throttled: m.throttled,
		CommitsBehind: m.behindLocked(now),
		Records:       m.count.records.Load(), Bytes: m.count.bytes.Load(), ControlBatches: m.count.control.Load(),
		Aborted: m.count.aborted.Load(), TooLarge: m.count.tooLarge.Load(),
		OutOfRange: m.count.outOfRange.Load(), Skipped: m.count.skipped.Load(), Corrupt: m.count.corrupt.Load(),
	}
	if m.share != nil {
		s.Held = m.share.holding()
	}
	if m.trouble != nil {
		s.LastError = m.trouble.Error()
	}
	for _, p := range m.owned {
		s.Partitions = append(s.Partitions, p.status(now))
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStatus) int { return cmp.Compare(a.Claim.Partition, b.Claim.Partition) })
	return s
}

func (p *partition) status(now time.Time) PartitionStatus {
	s := PartitionStatus{
		Claim: p.claim, Leader: p.leader, Position: p.position, Marked: p.marked, Committed: p.committed,
		HighWatermark: p.high, LogStart: p.logStart, CommittedAt: p.committedAt, UncommittedSince: p.uncommittedSince,
		WatermarkAt: p.watermarkAt,
	}
	if p.trouble != nil {
		s.Trouble = p.trouble.Error()
	}
	if !p.committedAt.IsZero() {
		s.CommitAge = now.Sub(p.committedAt)
	}
	from := p.committed
	if from < 0 {
		from = max(p.logStart, 0)
	}
	if p.high >= 0 {
		s.Lag = max(p.high-from, 0)
	}
	return s
}

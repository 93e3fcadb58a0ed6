package consumer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/joingroup"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/syncgroup"
)

// groupLoop keeps the membership until ctx is done. It returns an error only
// for what retrying cannot mend.
func (m *Member) groupLoop(ctx context.Context) error {
	retry := backoff{first: 100 * time.Millisecond, most: m.o.RetryInterval}
	for ctx.Err() == nil {
		err := m.round(ctx)
		if err == nil || ctx.Err() != nil {
			retry.reset()
			continue
		}
		var e *Error
		if errors.As(err, &e) && e.Kind == ErrFenced {
			m.loseAll(e)
			m.setTrouble(e)
			m.notice(Notice{Kind: NoticeFenced, Partition: -1, Err: e})
			return e
		}
		if !errors.Is(err, errAgain) {
			switch kindOf(err) {
			case ErrTopicMissing:
				m.setState(StateTopicMissing)
			case ErrAccessRefused, ErrCredentials, ErrForeignGroup:
				m.setState(StateRefused)
			case ErrUnreachable:
				m.setState(StateConnecting)
			case ErrKafka, ErrFenced:
			}
			// A coordinator that is only just found is no trouble yet.
			if kindOf(err) != ErrKafka || retry.failures >= 3 {
				m.setTrouble(err)
			}
		}
		sleep(ctx, retry.next(), nil)
	}
	return nil
}

// errAgain asks for another round without making a fuss.
var errAgain = errors.New("try again")

// round goes once from joining to the end of the generation. It returns nil
// when the next round should begin at once.
func (m *Member) round(ctx context.Context) error {
	partitions, err := m.topicPartitions(ctx)
	if err != nil {
		return err
	}
	m.mu.Lock()
	fresh := len(m.owned) == 0
	m.mu.Unlock()
	if fresh {
		if err := m.seed(ctx, partitions); err != nil {
			return err
		}
	}
	m.setState(StateJoining)
	joined, err := m.join(ctx, partitions)
	if err != nil || joined == nil {
		return err
	}
	assigned, err := m.sync(ctx, joined, partitions)
	if err != nil {
		return err
	}
	m.setTrouble(nil)
	return m.keep(ctx, m.settle(assigned))
}

// topicPartitions makes sure that the cluster answers and has the topic.
func (m *Member) topicPartitions(ctx context.Context) (int32, error) {
	layout, err := m.layout(ctx)
	if err != nil {
		return 0, err
	}
	return int32(len(layout.Partitions)), nil //nolint:gosec // far fewer
}

func (m *Member) layout(ctx context.Context) (*metadata.ResponseTopic, error) {
	return topicLayout(ctx, m.link, m.o.Topic, m.o.Group)
}

// join returns nil without an error when it must be called again at once.
func (m *Member) join(ctx context.Context, partitions int32) (*joingroup.Response, error) {
	const doing = "joining the group"
	m.mu.Lock()
	id := m.id
	owned := slices.Sorted(maps.Keys(m.owned))
	m.mu.Unlock()
	words, err := encodeSubscription(m.o.Topic, owned, id.generation, partitions)
	if err != nil {
		return nil, err
	}
	joinCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go m.watchCoordinator(joinCtx, cancel)
	res, err := roundTrip[*joingroup.Response](joinCtx, m.link, m.o.RebalanceTimeout+m.link.dialTimeout(), &joingroup.Request{
		GroupID:            m.o.Group,
		SessionTimeoutMS:   int32(m.o.SessionTimeout.Milliseconds()),   //nolint:gosec // minutes
		RebalanceTimeoutMS: int32(m.o.RebalanceTimeout.Milliseconds()), //nolint:gosec // minutes
		MemberID:           id.member,
		GroupInstanceID:    m.o.InstanceID,
		ProtocolType:       protocolType,
		Protocols:          []joingroup.RequestProtocol{{Name: protocolName, Metadata: words}},
	})
	if err != nil {
		return nil, explain(doing, err, m.o.Topic, m.o.Group)
	}
	sleep(ctx, m.throttle(res.ThrottleTimeMS), nil)
	if res.ErrorCode == int16(kafka.MemberIDRequired) {
		m.mu.Lock()
		m.id.member = res.MemberID
		m.mu.Unlock()
		return nil, nil //nolint:nilnil // documented
	}
	if res.ErrorCode != 0 {
		return nil, m.groupError(doing, res.ErrorCode)
	}
	m.mu.Lock()
	m.id = identity{member: res.MemberID, generation: res.GenerationID}
	m.leading = res.LeaderID == res.MemberID
	m.aliveAt = time.Now()
	m.mu.Unlock()
	return res, nil
}

// sync returns what this member is assigned; the leader works it out first.
func (m *Member) sync(ctx context.Context, joined *joingroup.Response, partitions int32) ([]int32, error) {
	const doing = "learning the assignment"
	req := &syncgroup.Request{
		GroupID: m.o.Group, GenerationID: joined.GenerationID, MemberID: joined.MemberID, GroupInstanceID: m.o.InstanceID,
		ProtocolType: protocolType, ProtocolName: protocolName,
	}
	if joined.LeaderID == joined.MemberID {
		members := make([]claimant, 0, len(joined.Members))
		for _, member := range joined.Members {
			members = append(members, decodeSubscription(member.MemberID, m.o.Topic, member.Metadata))
		}
		for id, assigned := range assign(members, partitions) {
			b, err := encodeAssignment(m.o.Topic, assigned, partitions)
			if err != nil {
				return nil, err
			}
			req.Assignments = append(req.Assignments, syncgroup.RequestAssignment{MemberID: id, Assignment: b})
		}
	}
	retry := backoff{first: 50 * time.Millisecond, most: m.o.RetryInterval}
	for {
		res, err := roundTrip[*syncgroup.Response](ctx, m.link, m.patience(m.o.SessionTimeout+m.o.AnswerTimeout), req)
		var failed error
		switch {
		case err != nil:
			failed = explain(doing, err, m.o.Topic, m.o.Group)
		case coordinatorMoved(res.ErrorCode):
			failed = m.codeError(doing, res.ErrorCode)
		case res.ErrorCode != 0:
			return nil, m.groupError(doing, res.ErrorCode)
		default:
			sleep(ctx, m.throttle(res.ThrottleTimeMS), nil)
			assigned, of, err := decodeAssignment(m.o.Topic, res.Assignments)
			if err != nil {
				return nil, err
			}
			m.mu.Lock()
			m.assignedOf = of
			m.aliveAt = time.Now()
			m.rebalances++
			m.mu.Unlock()
			return assigned, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err() //nolint:wrapcheck // the caller looks at ctx itself
		}
		m.log.Debug("sync failed; trying again", "error", failed)
		sleep(ctx, retry.next(), nil)
	}
}

// coordinatorMoved tells whether a code only means that the coordinator is
// somewhere else, or not ready: the membership is untouched.
func coordinatorMoved(code int16) bool {
	switch kafka.Error(code) {
	case kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup, kafka.RequestTimedOut:
		return true
	default:
		return false
	}
}

// groupError does what a code of the coordinator asks for.
func (m *Member) groupError(doing string, code int16) error {
	err := m.codeError(doing, code)
	switch kafka.Error(code) {
	case kafka.RebalanceInProgress:
		return errAgain
	case kafka.IllegalGeneration:
		m.loseAll(err)
		return errAgain
	case kafka.UnknownMemberId:
		m.loseAll(err)
		m.mu.Lock()
		m.id.member = ""
		m.mu.Unlock()
		return errAgain
	default:
		return err
	}
}

// loseAll forgets all partitions: the group has gone on without this member.
func (m *Member) loseAll(cause error) {
	m.mu.Lock()
	claims := m.ownedClaimsLocked()
	m.dropLocked(claims)
	m.id.generation = -1
	m.leading = false
	m.mu.Unlock()
	if len(claims) == 0 {
		return
	}
	m.log.Warn("lost all partitions", "partitions", len(claims), "error", cause)
	m.o.Lost(claims)
	m.notice(Notice{Kind: NoticeLost, Partition: -1, Err: cause})
}

// settle starts what is new and returns the claims that must be let go.
func (m *Member) settle(assigned []int32) []Claim {
	m.mu.Lock()
	var revoked []Claim
	keep := make(map[int32]bool, len(assigned))
	for _, p := range assigned {
		keep[p] = true
		if m.owned[p] == nil {
			m.claimLocked(p)
		}
	}
	for id, p := range m.owned {
		if !keep[id] {
			p.revoked = true
			p.reading.stop()
			revoked = append(revoked, p.claim)
		}
	}
	sortClaims(revoked)
	generation := m.id.generation
	m.mu.Unlock()
	m.log.Info("assigned", "generation", generation, "partitions", len(assigned), "revoked", len(revoked))
	m.wake.broadcast()
	return revoked
}

// keep holds the membership with heartbeats until the generation ends. Claims
// that must be let go are finished meanwhile.
func (m *Member) keep(ctx context.Context, revoked []Claim) error {
	var done chan struct{}
	if len(revoked) == 0 {
		m.setState(StateStable)
	} else {
		m.setState(StateRevoking)
		revokeCtx, cancel := context.WithTimeout(ctx, m.o.RevokeTimeout)
		done = make(chan struct{})
		defer func() { cancel(); <-done }()
		go func() {
			defer close(done)
			m.o.Revoke(revokeCtx, revoked)
		}()
	}
	finished := done
	retry := backoff{first: min(100*time.Millisecond, m.o.Heartbeat), most: m.o.Heartbeat}
	// The partitions that this member waits for come with the next round, which begins as soon as their owners have let
	// go. A heartbeat is what tells of it, so the first ones are quick.
	usual := min(firstHeartbeat, m.o.Heartbeat)
	pause := usual
	var rejoin bool
	for {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-finished:
			t.Stop()
			m.letGo(ctx, revoked)
			return nil
		case <-t.C:
		case <-m.beat.wait():
			t.Stop()
		}
		code, err := m.heartbeat(ctx)
		switch {
		case err != nil || coordinatorMoved(code):
			if err == nil {
				err = m.codeError("sending a heartbeat", code)
			}
			if ctx.Err() != nil {
				return nil
			}
			if pause = retry.next(); retry.failures > 3 {
				m.setTrouble(err)
			}
			continue
		case code == int16(kafka.RebalanceInProgress):
			rejoin = true
		case code != 0:
			return m.groupError("sending a heartbeat", code)
		default:
			rejoin = m.grown(ctx)
		}
		m.setTrouble(nil)
		retry.reset()
		usual = min(2*usual, m.o.Heartbeat)
		pause = usual
		if rejoin && finished == nil {
			return nil
		}
	}
}

// letGo commits what is finished of revoked partitions and ends their
// ownership.
func (m *Member) letGo(ctx context.Context, revoked []Claim) {
	ctx, cancel := context.WithTimeout(ctx, m.o.LeaveTimeout)
	defer cancel()
	m.commitLast(ctx, revoked)
	m.mu.Lock()
	m.dropLocked(revoked)
	m.mu.Unlock()
}

package consumer

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/findcoordinator"
)

// heartbeatTimeout leaves time for a second try within a session.
const heartbeatTimeout = 5 * time.Second

// firstHeartbeat is the pause before the first heartbeat of a generation; it grows to the usual one.
const firstHeartbeat = 100 * time.Millisecond

// heartbeat tells the coordinator that the member lives and returns its code.
func (m *Member) heartbeat(ctx context.Context) (int16, error) {
	m.mu.Lock()
	id := m.id
	m.mu.Unlock()
	res, err := roundTrip[*codeResponse](ctx, m.link, m.patience(min(m.o.SessionTimeout/2, heartbeatTimeout)), &heartbeatRequest{
		clientID: m.o.Kafka.options.ClientID, group: m.o.Group, member: id.member, instance: m.o.InstanceID, generation: id.generation,
	})
	if err != nil {
		return 0, explain("sending a heartbeat", err, m.o.Topic, m.o.Group)
	}
	m.throttle(res.throttle)
	if res.code == 0 || res.code == int16(kafka.RebalanceInProgress) {
		m.mu.Lock()
		m.aliveAt = time.Now()
		m.mu.Unlock()
	}
	return res.code, nil
}

// grown tells whether the topic has other partitions than were assigned. The
// leader acts at once. The others give it time to see for itself; they watch
// because a restarted static leader does not know that it leads.
func (m *Member) grown(ctx context.Context) bool {
	layout, err := m.layout(ctx)
	if err != nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.assignedOf == 0 || int(m.assignedOf) == len(layout.Partitions) {
		m.grownAt = time.Time{}
		return false
	}
	if m.grownAt.IsZero() {
		m.grownAt = time.Now()
	}
	if !m.leading && time.Since(m.grownAt) < 3*metadataTTL {
		return false
	}
	m.grownAt = time.Time{}
	m.log.Info("the topic's partitions have changed", "before", m.assignedOf, "now", len(layout.Partitions))
	return true
}

// watchCoordinator gives a join up when the coordinator is another broker by
// now. A join may take as long as the slowest member, so that its own deadline
// would notice a dead coordinator far too late.
func (m *Member) watchCoordinator(ctx context.Context, giveUp context.CancelFunc) {
	first := int32(-1)
	for {
		sleep(ctx, m.o.Heartbeat, nil)
		if ctx.Err() != nil {
			return
		}
		res, err := roundTrip[*findcoordinator.Response](ctx, m.link, heartbeatTimeout, &findcoordinator.Request{Key: m.o.Group})
		if err != nil || res.ErrorCode != 0 || res.NodeID < 0 {
			continue
		}
		if first >= 0 && res.NodeID != first {
			m.log.Debug("the coordinator has moved; joining again", "before", first, "now", res.NodeID)
			giveUp()
			return
		}
		first = res.NodeID
	}
}
